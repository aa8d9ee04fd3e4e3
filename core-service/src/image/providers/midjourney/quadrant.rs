//! Cropping one image out of a grid of four: the same result as an upscale task of the proxy, without the task.

use std::io::Cursor;

use bytes::Bytes;
use image::{DynamicImage, ImageFormat, ImageReader, Limits};

use crate::{error::ProviderError, media::pixels};

/// The memory limit of the decoder in bytes. The largest grids have 16 million pixels: 64 MB as 8-bit RGBA.
const MAX_MEMORY: u64 = 512 << 20;

/// Decodes a grid.
///
/// # Errors
/// [`ProviderError::Unreadable`] if it is not an image of at least 2x2 pixels.
pub(super) fn decode_grid(grid: &[u8]) -> Result<DynamicImage, ProviderError> {
    let mut reader = ImageReader::new(Cursor::new(grid)).with_guessed_format().map_err(|error| unreadable(&error))?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_MEMORY);
    reader.limits(limits);
    let grid = pixels::decode_upright(reader).map_err(|error| unreadable(&error))?;
    if grid.width().min(grid.height()) < 2 {
        return Err(unreadable(&"it is smaller than 2x2 pixels"));
    }
    Ok(grid)
}

/// Crops the image at a position and encodes it as PNG. Positions: 0 top left, 1 top right, 2 bottom left, 3 bottom right.
///
/// # Errors
/// [`ProviderError::Unreadable`] if encoding fails.
pub(super) fn quadrant(grid: &DynamicImage, position: u32) -> Result<Bytes, ProviderError> {
    let (width, height) = (grid.width() / 2, grid.height() / 2);
    let single = grid.crop_imm(position % 2 * width, position / 2 % 2 * height, width, height);
    let mut out = Vec::new();
    single.write_to(&mut Cursor::new(&mut out), ImageFormat::Png).map_err(|error| unreadable(&error))?;
    Ok(out.into())
}

fn unreadable(error: &dyn std::fmt::Display) -> ProviderError {
    ProviderError::Unreadable(format!("the grid cannot be split into single images: {error}"))
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage};

    use super::*;

    #[test]
    fn positions_are_numbered_by_row() {
        let color = |x: u32, y: u32| Rgb([u8::from(x >= 8) * 200, u8::from(y >= 6) * 200, 9]);
        let mut grid = Cursor::new(Vec::new());
        RgbImage::from_fn(16, 12, color).write_to(&mut grid, ImageFormat::Png).unwrap();
        let grid = decode_grid(grid.get_ref()).unwrap();
        for (position, expected) in [[0, 0, 9], [200, 0, 9], [0, 200, 9], [200, 200, 9]].into_iter().enumerate() {
            let single = quadrant(&grid, u32::try_from(position).unwrap()).unwrap();
            let single = image::load_from_memory(&single).unwrap().into_rgb8();
            assert_eq!(single.dimensions(), (8, 6));
            assert!(single.pixels().all(|pixel| pixel.0 == expected), "{position}");
        }
        let mut dot = Cursor::new(Vec::new());
        RgbImage::new(1, 1).write_to(&mut dot, ImageFormat::Png).unwrap();
        for invalid in [&b"not an image"[..], dot.get_ref()] {
            assert!(matches!(decode_grid(invalid), Err(ProviderError::Unreadable(_))));
        }
    }
}
