//! Encodes finished pictures as PNG, JPEG or WebP.

use image::codecs::jpeg::JpegEncoder;
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, RgbImage, RgbaImage};

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

/// Encodes a picture and returns the bytes of the file.
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
            let mut writer = encoder.write_header()?;
            if opaque {
                writer.write_image_data(&without_alpha(picture))?;
            } else {
                writer.write_image_data(picture)?;
            }
            writer.finish()?;
        }
        Format::Jpeg { quality } => {
            JpegEncoder::new_with_quality(&mut file, quality.clamp(1, 100)).encode(
                &without_alpha(picture),
                width,
                height,
                ExtendedColorType::Rgb8,
            )?;
        }
        Format::WebP => {
            WebPEncoder::new_lossless(&mut file).encode(picture, width, height, ExtendedColorType::Rgba8)?;
        }
    }
    Ok(file)
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
