//! One picture out of a grid of four: what the proxy's own way of taking it out does, without another task.

use std::io::Cursor;

use bytes::Bytes;
use image::{DynamicImage, ImageFormat, ImageReader, Limits};

use crate::error::ProviderError;

/// Memory for decoding a grid; the largest have 16 million pixels.
const MAX_MEMORY: u64 = 512 << 20;

/// The pixels of a grid.
///
/// # Errors
/// [`ProviderError::Unreadable`] for what is no picture, or hardly one.
pub(super) fn opened(grid: &[u8]) -> Result<DynamicImage, ProviderError> {
    let mut reader = ImageReader::new(Cursor::new(grid)).with_guessed_format().map_err(|error| unreadable(&error))?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_MEMORY);
    reader.limits(limits);
    let grid = reader.decode().map_err(|error| unreadable(&error))?;
    if grid.width().min(grid.height()) < 2 {
        return Err(unreadable(&"it has hardly any pixels"));
    }
    Ok(grid)
}

/// The picture of this place, from 0: top left, top right, bottom left, bottom right.
///
/// # Errors
/// [`ProviderError::Unreadable`] for pixels that cannot be written again.
pub(super) fn quadrant(grid: &DynamicImage, place: u32) -> Result<Bytes, ProviderError> {
    let (width, height) = (grid.width() / 2, grid.height() / 2);
    let single = grid.crop_imm(place % 2 * width, place / 2 % 2 * height, width, height);
    let mut out = Vec::new();
    single.write_to(&mut Cursor::new(&mut out), ImageFormat::Png).map_err(|error| unreadable(&error))?;
    Ok(out.into())
}

fn unreadable(error: &dyn std::fmt::Display) -> ProviderError {
    ProviderError::Unreadable(format!("the grid of pictures cannot be taken apart: {error}"))
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage};

    use super::*;

    #[test]
    fn places_are_counted_as_the_buttons_are() {
        let colour = |x: u32, y: u32| Rgb([u8::from(x >= 8) * 200, u8::from(y >= 6) * 200, 9]);
        let mut grid = Cursor::new(Vec::new());
        RgbImage::from_fn(16, 12, colour).write_to(&mut grid, ImageFormat::Png).unwrap();
        let grid = opened(grid.get_ref()).unwrap();
        for (place, expected) in [[0, 0, 9], [200, 0, 9], [0, 200, 9], [200, 200, 9]].into_iter().enumerate() {
            let single = quadrant(&grid, u32::try_from(place).unwrap()).unwrap();
            let single = image::load_from_memory(&single).unwrap().into_rgb8();
            assert_eq!(single.dimensions(), (8, 6));
            assert!(single.pixels().all(|pixel| pixel.0 == expected), "{place}");
        }
        let mut dot = Cursor::new(Vec::new());
        RgbImage::new(1, 1).write_to(&mut dot, ImageFormat::Png).unwrap();
        for nothing in [&b"no picture"[..], dot.get_ref()] {
            assert!(matches!(opened(nothing), Err(ProviderError::Unreadable(_))));
        }
    }
}
