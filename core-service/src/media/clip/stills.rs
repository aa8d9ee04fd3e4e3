//! The thumbnail and the spritesheet of a video whose provider returns none.

use std::{
    io::{Read, Seek, SeekFrom},
    ops::ControlFlow,
};

use bytes::Bytes;
use image::{GenericImage, RgbImage, codecs::jpeg::JpegEncoder, imageops};
use offline_video::{SHEET_COLUMNS, SHEET_ROWS, THUMBNAIL_WIDTH, TILE_SIDE};
use openh264::{
    decoder::{DecodedYUV, Decoder},
    formats::YUVSource,
};
use re_mp4::{Mp4, Sample, StsdBoxContent, Track, TrackKind};

use super::{check, reader::StoredFile};

/// The most frames that are decoded for a spritesheet. Longer videos get tiles of their beginning only.
const MAX_FRAMES: usize = 2_000;

/// The largest encoded frame, in bytes.
const MAX_SAMPLE_BYTES: u64 = 32 << 20;

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

/// Returns the first video track.
pub(super) fn video_track(mp4: &Mp4) -> Result<&Track, String> {
    let track = mp4.tracks().values().find(|track| track.kind == Some(TrackKind::Video));
    track.ok_or_else(|| "it has no video track".to_owned())
}

/// Decodes the file and makes its stills.
pub(super) fn make(file: StoredFile) -> Result<Stills, String> {
    let mut sheet = None;
    decode(file, |frame, frames| {
        sheet.get_or_insert_with(|| Sheet::new(frames)).add(frame)?;
        Ok(ControlFlow::Continue(()))
    })?;
    sheet.ok_or("no frame can be decoded")?.finish()
}

/// Decodes the first frame.
pub(super) fn first_frame(file: StoredFile) -> Result<RgbImage, String> {
    let mut first = None;
    decode(file, |frame, _| {
        first = Some(picture(frame)?);
        Ok(ControlFlow::Break(()))
    })?;
    first.ok_or_else(|| "no frame can be decoded".to_owned())
}

/// Passes the frames to a function, with their number, until it breaks. A frame that cannot be decoded is left out.
fn decode(
    mut file: StoredFile,
    mut use_frame: impl FnMut(&DecodedYUV<'_>, usize) -> Result<ControlFlow<()>, String>,
) -> Result<(), String> {
    check::sample_counts(&mut file)?;
    let size = file.size();
    let mp4 = Mp4::read(&mut file, size).map_err(|error| error.to_string())?;
    let track = video_track(&mp4)?;
    let description = mp4.moov.traks.iter().find(|trak| trak.tkhd.track_id == track.track_id);
    let Some(StsdBoxContent::Avc1(avc)) = description.map(|trak| &trak.mdia.minf.stbl.stsd.contents) else {
        return Err("it is not H.264".to_owned());
    };
    let samples = &track.samples[..track.samples.len().min(MAX_FRAMES)];
    let mut decoder = Decoder::new().map_err(|error| error.to_string())?;
    let mut units =
        Units { file, length_bytes: usize::from(avc.avcc.length_size_minus_one & 3) + 1, bytes: Vec::new() };
    let sets = avc.avcc.sequence_parameter_sets.iter().chain(&avc.avcc.picture_parameter_sets);
    let header: Vec<u8> = sets.flat_map(|set| [&START_CODE, set.bytes.as_slice()].concat()).collect();
    decoder.decode(&header).map_err(|error| error.to_string())?;
    for sample in samples {
        if let Ok(Some(frame)) = decoder.decode(units.read(sample)?)
            && use_frame(&frame, samples.len())?.is_break()
        {
            return Ok(());
        }
    }
    if let Ok(frames) = decoder.flush_remaining() {
        for frame in &frames {
            if use_frame(frame, samples.len())?.is_break() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Converts a frame to pixels.
fn picture(frame: &DecodedYUV<'_>) -> Result<RgbImage, String> {
    let (width, height) = frame.dimensions();
    let mut pixels = vec![0; width * height * 3];
    frame.write_rgb8(&mut pixels);
    let side = |pixels: usize| u32::try_from(pixels).map_err(|error| error.to_string());
    RgbImage::from_raw(side(width)?, side(height)?, pixels).ok_or_else(|| "a frame has no pixels".to_owned())
}

const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// The encoded frames in the form that the decoder reads: each unit behind a start code instead of its length.
struct Units {
    file: StoredFile,
    /// The length of the lengths, 1 to 4.
    length_bytes: usize,
    bytes: Vec<u8>,
}

impl Units {
    fn read(&mut self, sample: &Sample) -> Result<&[u8], String> {
        if sample.size > MAX_SAMPLE_BYTES {
            return Err("a frame is too large".to_owned());
        }
        self.file.seek(SeekFrom::Start(sample.offset)).map_err(|error| error.to_string())?;
        let mut encoded = Vec::new();
        (&mut self.file).take(sample.size).read_to_end(&mut encoded).map_err(|error| error.to_string())?;
        self.bytes.clear();
        let mut rest = encoded.as_slice();
        while let Some((length, unit)) = rest.split_at_checked(self.length_bytes) {
            let length = length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
            let (unit, after) = unit.split_at_checked(length).ok_or("a frame is cut off")?;
            self.bytes.extend_from_slice(&START_CODE);
            self.bytes.extend_from_slice(unit);
            rest = after;
        }
        Ok(&self.bytes)
    }
}

/// The stills so far.
struct Sheet {
    /// The number of frames of the video.
    frames: usize,
    seen: usize,
    thumbnail: Option<Vec<u8>>,
    tiles: Vec<RgbImage>,
}

impl Sheet {
    const TILES: usize = (SHEET_COLUMNS * SHEET_ROWS) as usize;

    fn new(frames: usize) -> Self {
        Self { frames, seen: 0, thumbnail: None, tiles: Vec::with_capacity(Self::TILES) }
    }

    /// Adds the next frame, as often as it is evenly spaced.
    fn add(&mut self, frame: &DecodedYUV<'_>) -> Result<(), String> {
        let index = self.seen;
        self.seen += 1;
        let is_next =
            |tiles: usize| tiles < Self::TILES && index >= tiles * self.frames.saturating_sub(1) / (Self::TILES - 1);
        if self.thumbnail.is_some() && !is_next(self.tiles.len()) {
            return Ok(());
        }
        let picture = picture(frame)?;
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
