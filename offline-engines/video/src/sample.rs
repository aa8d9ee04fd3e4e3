//! Resamples a crop of a picture to the planes (luma and two of chroma) of a frame. Colours are converted once per clip, not
//! per frame.

use std::borrow::Cow;

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::RgbImage;
use openh264::formats::YUVSlices;

use crate::camera::Crop;
use crate::error::RenderError;
use crate::timeline::FrameContent;

/// Maximum size of the picture in relation to the frame; larger pictures are scaled down first. No move zooms further, so
/// no visible detail is lost, and the time per frame does not depend on the size of the input.
const MAX_OVERSIZE: f64 = 2.0;

/// Scales the picture down if it is much larger than the frame. [`render`](crate::render) does the same; callers with large
/// pictures save memory.
///
/// # Errors
///
/// [`RenderError::Encode`] if the resampler fails.
pub fn limit_size(picture: &RgbImage, width: u32, height: u32) -> Result<Cow<'_, RgbImage>, RenderError> {
    let (w, h) = (f64::from(picture.width()), f64::from(picture.height()));
    let scale = MAX_OVERSIZE * (f64::from(width) / w).max(f64::from(height) / h);
    if scale >= 1.0 {
        return Ok(Cow::Borrowed(picture));
    }
    let scaled = |side: f64| round_side(side * scale).max(1);
    scale_crop(picture, Crop { left: 0.0, top: 0.0, width: w, height: h }, scaled(w), scaled(h)).map(Cow::Owned)
}

/// Scales a part of the picture to the given size.
pub(crate) fn scale_crop(picture: &RgbImage, part: Crop, width: u32, height: u32) -> Result<RgbImage, RenderError> {
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
pub(crate) fn round_side(side: f64) -> u32 {
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

/// A picture as Y, Cb and Cr planes: BT.709 limited range, without chroma subsampling.
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

/// Converts to BT.709 limited range (luma 16 to 235, chroma 16 to 240) in 16-bit fixed point. The coefficients of each chroma
/// component add up to zero, so that grey remains neutral.
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

/// Draws frames of one size into reusable buffers.
#[derive(Debug)]
pub(crate) struct Sampler {
    resizer: Resizer,
    width: u32,
    height: u32,
    /// The planes of the frame: Y, Cb and Cr.
    frame: [Vec<u8>; 3],
    /// The planes of the picture that fades in. Empty until there is one.
    next: [Vec<u8>; 3],
}

impl Sampler {
    /// Creates a sampler. Width and height must be even.
    pub(crate) fn new(width: u32, height: u32) -> Self {
        let frame = buffers(width, height);
        Self { resizer: Resizer::new(), width, height, frame, next: <[Vec<u8>; 3]>::default() }
    }

    /// Draws parts of the pictures, scaled to the frame.
    pub(crate) fn draw(&mut self, pictures: &[Planes], content: FrameContent) -> Result<YUVSlices<'_>, RenderError> {
        let FrameContent { view, next } = content;
        let mut frame = std::mem::take(&mut self.frame);
        self.draw_part(&pictures[view.picture], view.part, &mut frame)?;
        if let Some((view, opacity)) = next {
            let mut next = std::mem::take(&mut self.next);
            if next[0].is_empty() {
                next = buffers(self.width, self.height);
            }
            self.draw_part(&pictures[view.picture], view.part, &mut next)?;
            for (below, above) in frame.iter_mut().zip(&next) {
                blend(below, above, opacity);
            }
            self.next = next;
        }
        self.frame = frame;
        let [y, cb, cr] = &self.frame;
        let (width, height) = (self.width as usize, self.height as usize);
        Ok(YUVSlices::new((y, cb, cr), (width, height), (width, width / 2, width / 2)))
    }

    fn draw_part(&mut self, picture: &Planes, part: Crop, target: &mut [Vec<u8>; 3]) -> Result<(), RenderError> {
        let (half_width, half_height) = (self.width / 2, self.height / 2);
        // In H.264 a chroma sample is co-located with the left of its two luma samples, not centred between them.
        let left = (part.left - part.width / f64::from(self.width) / 2.0).max(0.0);
        let chroma_part = Crop { left, ..part };
        let [y, cb, cr] = target;
        let jobs = [
            (&picture.y, y, part, self.width, self.height),
            (&picture.cb, cb, chroma_part, half_width, half_height),
            (&picture.cr, cr, chroma_part, half_width, half_height),
        ];
        for (from, to, part, width, height) in jobs {
            let source =
                ImageRef::new(picture.width, picture.height, from, PixelType::U8).map_err(RenderError::encode)?;
            let mut target = Image::from_slice_u8(width, height, to, PixelType::U8).map_err(RenderError::encode)?;
            self.resizer.resize(&source, &mut target, &options(part)).map_err(RenderError::encode)?;
        }
        Ok(())
    }
}

/// Returns the planes of a frame: Y, Cb and Cr.
fn buffers(width: u32, height: u32) -> [Vec<u8>; 3] {
    let pixels = width as usize * height as usize;
    [vec![0; pixels], vec![0; pixels / 4], vec![0; pixels / 4]]
}

/// Draws `above` over `below` with this opacity, 255 being opaque.
pub(crate) fn blend(below: &mut [u8], above: &[u8], opacity: u8) {
    let opacity = u16::from(opacity);
    for (below, above) in below.iter_mut().zip(above) {
        // A weighted mean of two bytes is at most 255.
        let mean = (u16::from(*below) * (255 - opacity) + u16::from(*above) * opacity + 127) / 255;
        *below = mean.to_be_bytes()[1];
    }
}

#[cfg(test)]
mod tests {
    use image::Rgb;
    use openh264::formats::YUVSource;

    use super::*;
    use crate::timeline::View;

    fn content(part: Crop) -> FrameContent {
        FrameContent { view: View { picture: 0, part }, next: None }
    }

    #[test]
    fn primary_colours_have_the_bt709_levels() {
        assert_eq!(bt709([0, 0, 0]), [16, 128, 128]);
        assert_eq!(bt709([255, 255, 255]), [235, 128, 128]);
        assert_eq!(bt709([128, 128, 128]), [126, 128, 128]);
        assert_eq!(bt709([255, 0, 0]), [63, 102, 240]);
        assert_eq!(bt709([0, 255, 0]), [173, 42, 26]);
        assert_eq!(bt709([0, 0, 255]), [32, 240, 118]);
    }

    #[test]
    fn limit_size_scales_only_large_pictures_and_keeps_the_aspect_ratio() {
        let small = RgbImage::new(300, 200);
        assert!(matches!(limit_size(&small, 640, 360).unwrap(), Cow::Borrowed(_)));
        // Twice the height of the frame; the width follows.
        let huge = RgbImage::new(4000, 2000);
        assert_eq!(limit_size(&huge, 320, 180).unwrap().dimensions(), (720, 360));
    }

    #[test]
    fn crop_position_has_subpixel_precision() {
        let ramp = RgbImage::from_fn(256, 64, |x, _| Rgb([u8::try_from(x).unwrap(); 3]));
        let planes = [Planes::from_rgb(&ramp)];
        let mut sampler = Sampler::new(64, 64);
        let mut row_sum = |left: f64| {
            let part = Crop { left, top: 0.0, width: 64.0, height: 64.0 };
            let frame = sampler.draw(&planes, content(part)).unwrap();
            // The middle row.
            frame.y()[32 * 64..33 * 64].iter().map(|&luma| u32::from(luma)).sum::<u32>()
        };
        let (first, half, next) = (row_sum(40.0), row_sum(40.5), row_sum(41.0));
        assert!(first < half && half < next, "{first} {half} {next}");
    }

    #[test]
    fn frame_of_a_grey_picture_has_no_border() {
        let grey = RgbImage::from_pixel(37, 91, Rgb([128; 3]));
        let planes = [Planes::from_rgb(&grey)];
        let mut sampler = Sampler::new(128, 72);
        let part = Crop { left: 0.0, top: 3.3, width: 37.0, height: 37.0 * 72.0 / 128.0 };
        let frame = sampler.draw(&planes, content(part)).unwrap();
        assert!(frame.y().iter().all(|&level| level == 126));
        assert!(frame.u().iter().chain(frame.v()).all(|&level| level == 128));
    }

    #[test]
    fn fade_is_the_weighted_mean_of_both_pictures() {
        for (opacity, expected) in
            [(0, [0, 200, 10]), (51, [40, 180, 10]), (128, [100, 150, 10]), (255, [200, 100, 10])]
        {
            let mut mixed = [0, 200, 10];
            blend(&mut mixed, &[200, 100, 10], opacity);
            assert!(mixed.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 1), "{opacity}: {mixed:?}");
        }
    }
}
