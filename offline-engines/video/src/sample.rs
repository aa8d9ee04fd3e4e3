//! From a picture and a crop to the planes of a frame: colour is converted once, every frame only resamples.

use std::borrow::Cow;

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::RgbImage;
use openh264::formats::YUVSlices;

use crate::{Crop, RenderError};

/// A picture more than this many times larger than the frame is scaled down first. No move zooms deeper, so nothing
/// that could be seen is lost, and the cost of a frame stops depending on the upload.
const HEADROOM: f64 = 2.0;

/// The picture, scaled down where it is much larger than the frame.
pub(crate) fn fit(picture: &RgbImage, width: u32, height: u32) -> Result<Cow<'_, RgbImage>, RenderError> {
    let (w, h) = (f64::from(picture.width()), f64::from(picture.height()));
    let scale = HEADROOM * (f64::from(width) / w).max(f64::from(height) / h);
    if scale >= 1.0 {
        return Ok(Cow::Borrowed(picture));
    }
    let shrunk = |side: f64| whole(side * scale).max(1);
    scaled(picture, Crop { left: 0.0, top: 0.0, width: w, height: h }, shrunk(w), shrunk(h)).map(Cow::Owned)
}

/// A part of the picture at another size, in RGB.
pub(crate) fn scaled(picture: &RgbImage, part: Crop, width: u32, height: u32) -> Result<RgbImage, RenderError> {
    let source = ImageRef::new(picture.width(), picture.height(), picture.as_raw(), PixelType::U8x3)
        .map_err(RenderError::encode)?;
    let mut target = RgbImage::new(width, height);
    {
        let mut view =
            Image::from_slice_u8(width, height, &mut target, PixelType::U8x3).map_err(RenderError::encode)?;
        Resizer::new().resize(&source, &mut view, &options(part)).map_err(RenderError::encode)?;
    }
    Ok(target)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "sides are positive and below 2^32")]
pub(crate) fn whole(side: f64) -> u32 {
    side.round() as u32
}

fn options(part: Crop) -> ResizeOptions {
    ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom)).crop(
        part.left,
        part.top,
        part.width,
        part.height,
    )
}

/// A picture as BT.709 limited-range Y, Cb and Cr, all at full size.
#[derive(Debug)]
pub(crate) struct Planes {
    width: u32,
    height: u32,
    y: Vec<u8>,
    cb: Vec<u8>,
    cr: Vec<u8>,
}

impl Planes {
    pub(crate) fn from_rgb(picture: &RgbImage) -> Self {
        let pixels = picture.as_raw().len() / 3;
        let (mut y, mut cb, mut cr) =
            (Vec::with_capacity(pixels), Vec::with_capacity(pixels), Vec::with_capacity(pixels));
        for pixel in picture.pixels() {
            let [luma, blue, red] = bt709(pixel.0);
            y.push(luma);
            cb.push(blue);
            cr.push(red);
        }
        Self { width: picture.width(), height: picture.height(), y, cb, cr }
    }
}

/// BT.709, 16 to 235 and 16 to 240, in 16-bit fixed point. Each chroma row adds up to zero, so that grey stays grey.
fn bt709(rgb: [u8; 3]) -> [u8; 3] {
    let [r, g, b] = rgb.map(i32::from);
    let level = |offset: i32, sum: i32| {
        let value = offset + ((sum + 32_768) >> 16);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "16..=240 by the coefficients")]
        let byte = value as u8;
        byte
    };
    [
        level(16, 11_966 * r + 40_254 * g + 4_064 * b),
        level(128, -6_596 * r - 22_188 * g + 28_784 * b),
        level(128, 28_784 * r - 26_145 * g - 2_639 * b),
    ]
}

/// Draws frames of one size into buffers it keeps.
#[derive(Debug)]
pub(crate) struct Sampler {
    resizer: Resizer,
    width: u32,
    height: u32,
    y: Vec<u8>,
    cb: Vec<u8>,
    cr: Vec<u8>,
}

impl Sampler {
    /// Sides are even.
    pub(crate) fn new(width: u32, height: u32) -> Self {
        let pixels = width as usize * height as usize;
        Self {
            resizer: Resizer::new(),
            width,
            height,
            y: vec![0; pixels],
            cb: vec![0; pixels / 4],
            cr: vec![0; pixels / 4],
        }
    }

    /// Fills the frame with a part of the picture.
    pub(crate) fn draw(&mut self, picture: &Planes, part: Crop) -> Result<YUVSlices<'_>, RenderError> {
        let (half_width, half_height) = (self.width / 2, self.height / 2);
        // H.264 puts a chroma sample on the left of its two luma samples, not between them.
        let left = (part.left - part.width / f64::from(self.width) / 2.0).max(0.0);
        let sited = Crop { left, ..part };
        let jobs = [
            (&picture.y, &mut self.y, part, self.width, self.height),
            (&picture.cb, &mut self.cb, sited, half_width, half_height),
            (&picture.cr, &mut self.cr, sited, half_width, half_height),
        ];
        for (from, to, part, width, height) in jobs {
            let source =
                ImageRef::new(picture.width, picture.height, from, PixelType::U8).map_err(RenderError::encode)?;
            let mut target = Image::from_slice_u8(width, height, to, PixelType::U8).map_err(RenderError::encode)?;
            self.resizer.resize(&source, &mut target, &options(part)).map_err(RenderError::encode)?;
        }
        let (width, height) = (self.width as usize, self.height as usize);
        Ok(YUVSlices::new((&self.y, &self.cb, &self.cr), (width, height), (width, width / 2, width / 2)))
    }
}

#[cfg(test)]
mod tests {
    use image::Rgb;
    use openh264::formats::YUVSource;

    use super::*;

    #[test]
    fn colours_have_their_textbook_levels() {
        assert_eq!(bt709([0, 0, 0]), [16, 128, 128]);
        assert_eq!(bt709([255, 255, 255]), [235, 128, 128]);
        assert_eq!(bt709([128, 128, 128]), [126, 128, 128]);
        assert_eq!(bt709([255, 0, 0]), [63, 102, 240]);
        assert_eq!(bt709([0, 255, 0]), [173, 42, 26]);
        assert_eq!(bt709([0, 0, 255]), [32, 240, 118]);
    }

    #[test]
    fn a_small_picture_stays_and_a_huge_one_shrinks_with_its_shape() {
        let small = RgbImage::new(300, 200);
        assert!(matches!(fit(&small, 640, 360).unwrap(), Cow::Borrowed(_)));
        let huge = RgbImage::new(4000, 2000);
        assert_eq!(fit(&huge, 320, 180).unwrap().dimensions(), (720, 360));
    }

    #[test]
    fn half_a_pixel_of_crop_moves_the_frame_by_half_a_pixel() {
        let ramp = RgbImage::from_fn(256, 64, |x, _| Rgb([u8::try_from(x).unwrap(); 3]));
        let planes = Planes::from_rgb(&ramp);
        let mut sampler = Sampler::new(64, 64);
        let mut middle = |left: f64| {
            let part = Crop { left, top: 0.0, width: 64.0, height: 64.0 };
            let frame = sampler.draw(&planes, part).unwrap();
            frame.y()[32 * 64..33 * 64].iter().map(|&luma| u32::from(luma)).sum::<u32>()
        };
        let (whole, half, next) = (middle(40.0), middle(40.5), middle(41.0));
        assert!(whole < half && half < next, "{whole} {half} {next}");
    }

    #[test]
    fn the_frame_has_no_border_of_its_own() {
        let grey = RgbImage::from_pixel(37, 91, Rgb([128; 3]));
        let planes = Planes::from_rgb(&grey);
        let mut sampler = Sampler::new(128, 72);
        let part = Crop { left: 0.0, top: 3.3, width: 37.0, height: 37.0 * 72.0 / 128.0 };
        let frame = sampler.draw(&planes, part).unwrap();
        assert!(frame.y().iter().all(|&level| level == 126));
        assert!(frame.u().iter().chain(frame.v()).all(|&level| level == 128));
    }
}
