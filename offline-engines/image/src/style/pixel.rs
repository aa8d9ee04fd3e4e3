//! Pixel art: drawn small, quantized with ordered dithering, enlarged without interpolation. The pipeline calls [`grid`]
//! before drawing, [`apply`] as a style filter and [`enlarge`] at the end.

use image::RgbaImage;

use crate::canvas::Canvas;
use crate::colour::Rgb;

/// The 4 x 4 Bayer matrix.
const BAYER: [[f32; 4]; 4] =
    [[0.0, 8.0, 2.0, 10.0], [12.0, 4.0, 14.0, 6.0], [3.0, 11.0, 1.0, 9.0], [15.0, 7.0, 13.0, 5.0]];

/// Returns the side of a block in pixels: about 144 blocks along the shorter side of the picture, chosen by eye.
fn block_side(width: u32, height: u32) -> u32 {
    (width.min(height) / 144).max(1)
}

/// Returns the size of the small picture, in blocks.
pub(crate) fn grid(width: u32, height: u32) -> (u32, u32) {
    let block = block_side(width, height);
    (width.div_ceil(block), height.div_ceil(block))
}

/// Quantizes each colour component to eleven levels, with dithering of less than a level.
pub(crate) fn apply(canvas: &mut Canvas<'_>) {
    canvas.remap(0..canvas.height, |x, y, colour| {
        let threshold = (BAYER[y as usize % 4][x as usize % 4] + 0.5) / 16.0 - 0.5;
        Rgb(colour.saturate(1.25).0.map(|part| {
            let levels = 10.0;
            ((part * levels + threshold * 0.6).round() / levels).clamp(0.0, 1.0)
        }))
    });
}

/// Enlarges each pixel to a block.
pub(crate) fn enlarge(small: &RgbaImage, width: u32, height: u32) -> RgbaImage {
    let block = block_side(width, height);
    RgbaImage::from_fn(width, height, |x, y| {
        *small.get_pixel((x / block).min(small.width() - 1), (y / block).min(small.height() - 1))
    })
}
