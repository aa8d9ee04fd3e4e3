//! The pictures that stand for a clip: a thumbnail and a sheet of small frames.

use image::codecs::jpeg::JpegEncoder;
use image::{GenericImage, RgbImage};

use crate::sample::{scaled, whole};
use crate::{Path, RenderError, Shot};

/// The media type of [`Rendered::thumbnail`](crate::Rendered::thumbnail) and
/// [`Rendered::spritesheet`](crate::Rendered::spritesheet).
pub const STILLS_MEDIA_TYPE: &str = "image/jpeg";
/// The most a thumbnail is wide, in pixels; a narrower clip keeps its size.
pub const THUMBNAIL_WIDTH: u32 = 512;
/// Tiles in a row of the spritesheet.
pub const SHEET_COLUMNS: u32 = 4;
/// Rows of the spritesheet.
pub const SHEET_ROWS: u32 = 4;
/// The most the longer side of a tile measures, in pixels; a smaller clip keeps its size. All tiles are of one size.
pub const TILE_SIDE: u32 = 240;

const QUALITY: u8 = 85;

/// The first frame: what a player shows before it plays.
pub(crate) fn thumbnail(picture: &RgbImage, path: &Path, shot: &Shot<'_>) -> Result<Vec<u8>, RenderError> {
    let (width, height) = shrink(shot, f64::from(THUMBNAIL_WIDTH) / f64::from(shot.width));
    jpeg(&scaled(picture, path.at(0.0), width, height)?)
}

/// A grid of evenly spaced frames, row by row.
pub(crate) fn spritesheet(picture: &RgbImage, path: &Path, shot: &Shot<'_>) -> Result<Vec<u8>, RenderError> {
    let (width, height) = shrink(shot, f64::from(TILE_SIDE) / f64::from(shot.width.max(shot.height)));
    let mut sheet = RgbImage::new(width * SHEET_COLUMNS, height * SHEET_ROWS);
    let tiles = SHEET_COLUMNS * SHEET_ROWS;
    for tile in 0..tiles {
        let frame = tile * (shot.frames() - 1) / (tiles - 1);
        let small = scaled(picture, path.at(shot.time_of(frame)), width, height)?;
        let (column, row) = (tile % SHEET_COLUMNS, tile / SHEET_COLUMNS);
        sheet.copy_from(&small, column * width, row * height).map_err(RenderError::encode)?;
    }
    jpeg(&sheet)
}

fn shrink(shot: &Shot<'_>, scale: f64) -> (u32, u32) {
    let side = |pixels: u32| whole(f64::from(pixels) * scale.min(1.0)).max(1);
    (side(shot.width), side(shot.height))
}

fn jpeg(picture: &RgbImage) -> Result<Vec<u8>, RenderError> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, QUALITY).encode_image(picture).map_err(RenderError::encode)?;
    Ok(bytes)
}
