//! The thumbnail and the spritesheet of a video whose provider returns none.

use bytes::Bytes;
use image::{GenericImage, RgbImage, codecs::jpeg::JpegEncoder, imageops};
use offline_video::{SHEET_COLUMNS, SHEET_ROWS, THUMBNAIL_WIDTH, TILE_SIDE};
use openh264::decoder::DecodedYUV;

use super::{
    frames::{Frames, rgb},
    reader::StoredFile,
};

/// The most frames that are decoded for a spritesheet. Longer videos get tiles of their beginning only.
const MAX_FRAMES: usize = 2_000;

/// JPEG quality.
const QUALITY: u8 = 85;

/// JPEG files made from the frames of a video.
#[derive(Debug, Clone)]
pub struct Stills {
    /// The first frame, at most 512 pixels wide.
    pub thumbnail: Bytes,
    /// A grid of evenly spaced frames.
    pub spritesheet: Bytes,
}

/// Decodes the file and makes its stills.
pub(super) fn make(file: StoredFile) -> Result<Stills, String> {
    let mut frames = Frames::open(file)?;
    let mut sheet = Sheet::new(frames.count().min(MAX_FRAMES));
    frames.decode(0..MAX_FRAMES, |_, frame| sheet.add(frame))?;
    sheet.finish()
}

/// The stills while frames are added.
struct Sheet {
    /// The number of frames of the video, at most [`MAX_FRAMES`].
    frames: usize,
    /// The number of frames added.
    seen: usize,
    thumbnail: Option<Vec<u8>>,
    tiles: Vec<RgbImage>,
}

impl Sheet {
    const TILES: usize = (SHEET_COLUMNS * SHEET_ROWS) as usize;

    fn new(frames: usize) -> Self {
        Self { frames, seen: 0, thumbnail: None, tiles: Vec::with_capacity(Self::TILES) }
    }

    /// Adds the next frame: the first as the thumbnail, and each as the tiles at its place in the video, if any. A frame of a short
    /// video can be several tiles.
    fn add(&mut self, frame: &DecodedYUV<'_>) -> Result<(), String> {
        let index = self.seen;
        self.seen += 1;
        // Tile `tiles` of `TILES` shows the frame at this share of the video: the first tile the first frame, the last tile the last.
        let is_next =
            |tiles: usize| tiles < Self::TILES && index >= tiles * self.frames.saturating_sub(1) / (Self::TILES - 1);
        if self.thumbnail.is_some() && !is_next(self.tiles.len()) {
            return Ok(());
        }
        let picture = rgb(frame)?;
        if self.thumbnail.is_none() {
            let scale = f64::from(THUMBNAIL_WIDTH) / f64::from(picture.width());
            self.thumbnail = Some(jpeg(&shrink(&picture, scale))?);
        }
        let scale = f64::from(TILE_SIDE) / f64::from(picture.width().max(picture.height()));
        let tile = shrink(&picture, scale);
        while is_next(self.tiles.len()) {
            self.tiles.push(tile.clone());
        }
        Ok(())
    }

    /// Composes the spritesheet. The last tile is repeated where tiles are missing.
    fn finish(mut self) -> Result<Stills, String> {
        let (Some(thumbnail), Some(last)) = (self.thumbnail, self.tiles.last().cloned()) else {
            return Err("no frame can be decoded".to_owned());
        };
        self.tiles.resize(Self::TILES, last);
        let (width, height) = self.tiles[0].dimensions();
        let mut sheet = RgbImage::new(width * SHEET_COLUMNS, height * SHEET_ROWS);
        for (tile, index) in self.tiles.iter().zip(0..) {
            let (column, row) = (index % SHEET_COLUMNS, index / SHEET_COLUMNS);
            sheet.copy_from(tile, column * width, row * height).map_err(|error| error.to_string())?;
        }
        Ok(Stills { thumbnail: thumbnail.into(), spritesheet: jpeg(&sheet)?.into() })
    }
}

/// Scales a picture down; unchanged if `scale` is 1 or more.
fn shrink(picture: &RgbImage, scale: f64) -> RgbImage {
    if scale >= 1.0 {
        return picture.clone();
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below the side of the picture")]
    let side = |pixels: u32| ((f64::from(pixels) * scale).round() as u32).max(1);
    imageops::thumbnail(picture, side(picture.width()), side(picture.height()))
}

fn jpeg(picture: &RgbImage) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, QUALITY).encode_image(picture).map_err(|error| error.to_string())?;
    Ok(bytes)
}
