//! Still images of a clip: the thumbnail, and the spritesheet (a grid of small frames, for a preview while seeking).

use std::borrow::Cow;

use image::codecs::jpeg::JpegEncoder;
use image::{GenericImage, RgbImage};

use crate::error::RenderError;
use crate::sample::{blend, round_side, scale_crop};
use crate::shot::Shot;
use crate::timeline::{FrameContent, Timeline, View};

/// The media type of [`Rendered::thumbnail`](crate::Rendered::thumbnail) and
/// [`Rendered::spritesheet`](crate::Rendered::spritesheet).
pub const STILLS_MEDIA_TYPE: &str = "image/jpeg";
/// Maximum width of the thumbnail, in pixels. The thumbnail of a narrower clip has the size of the frame.
pub const THUMBNAIL_WIDTH: u32 = 512;
/// Number of tiles per row of the spritesheet.
pub const SHEET_COLUMNS: u32 = 4;
/// Number of rows of the spritesheet.
pub const SHEET_ROWS: u32 = 4;
/// Maximum length of a tile's longer side, in pixels. Tiles of a smaller clip have the size of the frame. All tiles of a
/// spritesheet have the same size.
pub const TILE_SIDE: u32 = 240;

/// JPEG quality.
const QUALITY: u8 = 85;

/// The pictures of a clip.
type Pictures<'a> = [Cow<'a, RgbImage>];

/// Encodes the first frame, which a player shows before playback.
pub(crate) fn thumbnail(pictures: &Pictures<'_>, timeline: &Timeline, shot: &Shot<'_>) -> Result<Vec<u8>, RenderError> {
    let size = shrink(shot, f64::from(THUMBNAIL_WIDTH) / f64::from(shot.width));
    jpeg(&frame(pictures, timeline.at(0.0), size)?)
}

/// Encodes a grid of evenly spaced frames in row-major order.
pub(crate) fn spritesheet(
    pictures: &Pictures<'_>,
    timeline: &Timeline,
    shot: &Shot<'_>,
) -> Result<Vec<u8>, RenderError> {
    let (width, height) = shrink(shot, f64::from(TILE_SIDE) / f64::from(shot.width.max(shot.height)));
    let mut sheet = RgbImage::new(width * SHEET_COLUMNS, height * SHEET_ROWS);
    let tiles = SHEET_COLUMNS * SHEET_ROWS;
    for tile in 0..tiles {
        let at = shot.time_of(tile * (shot.frames() - 1) / (tiles - 1));
        let small = frame(pictures, timeline.at(at), (width, height))?;
        let (column, row) = (tile % SHEET_COLUMNS, tile / SHEET_COLUMNS);
        sheet.copy_from(&small, column * width, row * height).map_err(RenderError::encode)?;
    }
    jpeg(&sheet)
}

/// Draws a frame at this size.
fn frame(pictures: &Pictures<'_>, content: FrameContent, size: (u32, u32)) -> Result<RgbImage, RenderError> {
    let draw = |view: View| scale_crop(&pictures[view.picture], view.part, size.0, size.1);
    let mut frame = draw(content.view)?;
    if let Some((view, opacity)) = content.next {
        blend(&mut frame, &draw(view)?, opacity);
    }
    Ok(frame)
}

/// Returns the scaled frame size, or the frame size if `scale` is greater than 1.
fn shrink(shot: &Shot<'_>, scale: f64) -> (u32, u32) {
    let side = |pixels: u32| round_side(f64::from(pixels) * scale.min(1.0)).max(1);
    (side(shot.width), side(shot.height))
}

fn jpeg(picture: &RgbImage) -> Result<Vec<u8>, RenderError> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, QUALITY).encode_image(picture).map_err(RenderError::encode)?;
    Ok(bytes)
}
