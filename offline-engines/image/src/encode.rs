//! Encodes finished pictures as PNG, JPEG or WebP.

use image::codecs::jpeg::JpegEncoder;
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder, RgbImage, RgbaImage};

/// A file format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Lossless, with fast compression. Opaque pictures are stored as RGB.
    Png,
    /// Lossy. Transparent pixels are blended with white.
    Jpeg {
        /// From 1 (smallest file) to 100 (best quality); other values are clamped.
        quality: u8,
    },
    /// Lossless.
    WebP,
}

/// An encoder failed, which happens only for pictures without pixels or beyond the limits of the format.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// From the PNG encoder.
    #[error("the picture could not be written as PNG")]
    Png(#[from] png::EncodingError),
    /// From the JPEG or WebP encoder.
    #[error("the picture could not be written as JPEG or WebP")]
    Image(#[from] image::ImageError),
}

/// The name of this engine in the metadata of a file.
const SOFTWARE: &str = "Triptych offline-image (mock engine)";

/// Encodes a picture and returns the bytes of the file. Its metadata names this engine: the text `Software` of PNG, the Exif tag of
/// this name in the other formats.
pub fn encode(picture: &RgbaImage, format: Format) -> Result<Vec<u8>, EncodeError> {
    let (width, height) = picture.dimensions();
    let mut file = Vec::with_capacity(picture.len() / 3);
    match format {
        Format::Png => {
            let opaque = picture.pixels().all(|pixel| pixel[3] == 255);
            let mut encoder = png::Encoder::new(&mut file, width, height);
            encoder.set_depth(png::BitDepth::Eight);
            encoder.set_compression(png::Compression::Fast);
            encoder.set_color(if opaque { png::ColorType::Rgb } else { png::ColorType::Rgba });
            encoder.add_text_chunk("Software".to_owned(), SOFTWARE.to_owned())?;
            let mut writer = encoder.write_header()?;
            if opaque {
                writer.write_image_data(&without_alpha(picture))?;
            } else {
                writer.write_image_data(picture)?;
            }
            writer.finish()?;
        }
        Format::Jpeg { quality } => {
            let mut encoder = JpegEncoder::new_with_quality(&mut file, quality.clamp(1, 100));
            encoder.set_exif_metadata(exif()).map_err(image::ImageError::Unsupported)?;
            encoder.write_image(&without_alpha(picture), width, height, ExtendedColorType::Rgb8)?;
        }
        Format::WebP => {
            let mut encoder = WebPEncoder::new_lossless(&mut file);
            encoder.set_exif_metadata(exif()).map_err(image::ImageError::Unsupported)?;
            encoder.write_image(picture, width, height, ExtendedColorType::Rgba8)?;
        }
    }
    Ok(file)
}

/// Returns Exif metadata with the tag `Software` alone: a TIFF header, and a directory of one entry (Exif 2.32, section 4.5).
fn exif() -> Vec<u8> {
    // Little-endian; the directory begins after these 8 bytes.
    let mut exif = b"II*\0\x08\0\0\0".to_vec();
    let (entries, software, ascii) = (1_u16, 0x0131_u16, 2_u16);
    for word in [entries, software, ascii] {
        exif.extend(word.to_le_bytes());
    }
    let length = SOFTWARE.len() as u32 + 1;
    // The text follows the entry of 12 bytes and the absence of a further directory.
    let (offset, next_directory) = (8 + 2 + 12 + 4_u32, 0_u32);
    for number in [length, offset, next_directory] {
        exif.extend(number.to_le_bytes());
    }
    exif.extend(SOFTWARE.as_bytes());
    exif.push(0);
    exif
}

/// Blends the picture with white.
fn without_alpha(picture: &RgbaImage) -> RgbImage {
    let mut flat = RgbImage::new(picture.width(), picture.height());
    for (target, source) in flat.pixels_mut().zip(picture.pixels()) {
        let [r, g, b, alpha] = source.0.map(u32::from);
        target.0 = [r, g, b].map(|part| ((part * alpha + 255 * (255 - alpha) + 127) / 255) as u8);
    }
    flat
}
