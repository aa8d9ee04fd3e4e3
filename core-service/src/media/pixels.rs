//! Decodes pictures, turns them upright, and blends transparent ones with white.

use std::io::{BufRead, Cursor, Seek};

use image::{DynamicImage, ImageDecoder, ImageReader, ImageResult, RgbImage, metadata::Orientation};

use crate::size::Size;

/// The size, transparency and orientation in a picture's header.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header {
    /// The size of the upright picture.
    pub(crate) size: Size,
    pub(crate) has_alpha: bool,
    /// Whether viewers show the stored pixels as they are.
    pub(crate) is_upright: bool,
}

/// Reads the header of a picture.
///
/// # Errors
/// That of the decoder.
pub(crate) fn read_header<R: BufRead + Seek>(reader: ImageReader<R>) -> ImageResult<Header> {
    let mut decoder = reader.into_decoder()?;
    let orientation = orientation(&mut decoder);
    let (width, height) = decoder.dimensions();
    let size = if swaps_sides(orientation) { Size::new(height, width) } else { Size::new(width, height) };
    let is_upright = orientation == Orientation::NoTransforms;
    Ok(Header { size, has_alpha: decoder.color_type().has_alpha(), is_upright })
}

/// Decodes a complete file of any supported format; see [`decode_upright`].
///
/// # Errors
/// That of the decoder.
pub(crate) fn decode(bytes: &[u8]) -> ImageResult<DynamicImage> {
    decode_upright(ImageReader::new(Cursor::new(bytes)).with_guessed_format()?)
}

/// Decodes a picture and turns it by the orientation in its EXIF metadata.
///
/// # Errors
/// That of the decoder.
pub(crate) fn decode_upright<R: BufRead + Seek>(reader: ImageReader<R>) -> ImageResult<DynamicImage> {
    let mut decoder = reader.into_decoder()?;
    let orientation = orientation(&mut decoder);
    let mut picture = DynamicImage::from_decoder(decoder)?;
    picture.apply_orientation(orientation);
    Ok(picture)
}

/// Returns the orientation in the EXIF metadata. Unreadable metadata has none.
pub(super) fn orientation(decoder: &mut impl ImageDecoder) -> Orientation {
    decoder.orientation().unwrap_or(Orientation::NoTransforms)
}

/// Returns whether the upright picture has the stored height as its width.
fn swaps_sides(orientation: Orientation) -> bool {
    match orientation {
        Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH => {
            true
        }
        Orientation::NoTransforms
        | Orientation::Rotate180
        | Orientation::FlipHorizontal
        | Orientation::FlipVertical => false,
    }
}

/// Returns the picture without alpha channel, blended with white: the colours of transparent pixels are arbitrary, and
/// programs leave deleted parts of a picture there.
pub(crate) fn flatten(picture: DynamicImage) -> RgbImage {
    if !picture.color().has_alpha() {
        return picture.into_rgb8();
    }
    let picture = picture.into_rgba8();
    let mut opaque = RgbImage::new(picture.width(), picture.height());
    for (target, source) in opaque.pixels_mut().zip(picture.pixels()) {
        let [channels @ .., alpha] = source.0.map(u16::from);
        // A weighted mean of two bytes is at most 255.
        target.0 =
            channels.map(|channel| u8::try_from((channel * alpha + 255 * (255 - alpha) + 127) / 255).unwrap_or(255));
    }
    opaque
}

#[cfg(test)]
mod tests {
    use image::{ImageFormat, LumaA, Rgba};

    use super::*;
    use crate::media::{MediaType, picture::tests::with_orientation};

    #[test]
    fn transparent_pixels_are_blended_with_white_in_every_layout() {
        let rgba = image::RgbaImage::from_fn(3, 1, |x, _| Rgba([255, 0, 0, [0, 128, 255][x as usize]]));
        let wide = DynamicImage::from(rgba.clone()).into_rgba16();
        let grey = image::GrayAlphaImage::from_fn(3, 1, |x, _| LumaA([0, [0, 128, 255][x as usize]]));
        for picture in [DynamicImage::from(rgba), wide.into()] {
            assert_eq!(flatten(picture).into_raw(), [255, 255, 255, 255, 127, 127, 255, 0, 0]);
        }
        assert_eq!(flatten(grey.into()).into_raw(), [255, 255, 255, 127, 127, 127, 0, 0, 0]);
        assert_eq!(flatten(DynamicImage::new_luma16(1, 1)).into_raw(), [0; 3]);
    }

    #[test]
    fn every_orientation_gives_its_size_and_its_upright_picture() {
        // Where the left, red half of the stored 40x20 pixels must be.
        for (orientation, size, red, blue) in [
            (1, (40, 20), (5, 10), (35, 10)),
            (2, (40, 20), (35, 10), (5, 10)),
            (3, (40, 20), (35, 10), (5, 10)),
            (4, (40, 20), (5, 10), (35, 10)),
            (5, (20, 40), (10, 5), (10, 35)),
            (6, (20, 40), (10, 5), (10, 35)),
            (7, (20, 40), (10, 35), (10, 5)),
            (8, (20, 40), (10, 35), (10, 5)),
        ] {
            for (format, image_format) in [
                (MediaType::Png, ImageFormat::Png),
                (MediaType::Jpeg, ImageFormat::Jpeg),
                (MediaType::Webp, ImageFormat::WebP),
            ] {
                let bytes = with_orientation(format, orientation);
                let header = read_header(ImageReader::with_format(Cursor::new(&bytes), image_format)).unwrap();
                assert_eq!(header.size, Size::new(size.0, size.1), "{format} {orientation}");
                assert_eq!(header.is_upright, orientation == 1);
                let picture = decode_upright(ImageReader::with_format(Cursor::new(&bytes), image_format)).unwrap();
                let picture = picture.into_rgb8();
                assert_eq!(picture.dimensions(), size);
                assert!(picture[red][0] > 200 && picture[blue][2] > 200, "{format} {orientation}");
            }
        }
    }

    #[test]
    fn cmyk_jpeg_has_the_colours_of_its_inks() {
        // Adobe stores the inks inverted; both files are blue on the left and red on the right.
        for bytes in [
            &include_bytes!("../../../tests/fixtures/pictures/cmyk.jpg")[..],
            include_bytes!("../../../tests/fixtures/pictures/ycck.jpg"),
        ] {
            let picture = flatten(decode(bytes).unwrap());
            for (x, expected) in [(4, [20, 40, 200]), (27, [220, 60, 40])] {
                let pixel = picture.get_pixel(x, 16).0;
                assert!(pixel.iter().zip(expected).all(|(a, b)| a.abs_diff(b) < 12), "{x}: {pixel:?}");
            }
        }
    }
}
