//! The decoded frames of an H.264 file.

use std::{
    io::{Read, Seek, SeekFrom},
    ops::Range,
};

use image::RgbImage;
use openh264::{
    decoder::{DecodedYUV, Decoder},
    formats::YUVSource,
};
use re_mp4::{Mp4, Sample, StsdBoxContent, Track, TrackKind};

use super::{check, reader::StoredFile};

/// The largest encoded frame, in bytes.
const MAX_SAMPLE_BYTES: u64 = 32 << 20;

/// The most frames that an H.264 decoder holds back to put them in order.
const REORDERED: usize = 16;

/// One end of a video.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Its first frame.
    First,
    /// Its last frame.
    Last,
}

/// Returns the first video track.
pub(super) fn video_track(mp4: &Mp4) -> Result<&Track, String> {
    let track = mp4.tracks().values().find(|track| track.kind == Some(TrackKind::Video));
    track.ok_or_else(|| "it has no video track".to_owned())
}

/// Decodes the frame at one end of the video.
pub(super) fn at_end(file: StoredFile, end: End) -> Result<RgbImage, String> {
    let mut frames = Frames::open(file)?;
    let samples = match end {
        End::First => 0..REORDERED,
        End::Last => frames.last_sync_sample()..frames.count(),
    };
    // Conversion to pixels is slow, so only frames that can be the requested one are converted.
    let first_candidate = frames.count().saturating_sub(REORDERED + 1);
    let mut found = None;
    frames.decode(samples, |index, frame| {
        let is_candidate = match end {
            End::First => found.is_none(),
            End::Last => index >= first_candidate,
        };
        if is_candidate {
            found = Some(rgb(frame)?);
        }
        Ok(())
    })?;
    found.ok_or_else(|| "no frame can be decoded".to_owned())
}

/// Converts a frame to pixels.
pub(super) fn rgb(frame: &DecodedYUV<'_>) -> Result<RgbImage, String> {
    let (width, height) = frame.dimensions();
    let mut pixels = vec![0; width * height * 3];
    frame.write_rgb8(&mut pixels);
    let side = |pixels: usize| u32::try_from(pixels).map_err(|error| error.to_string());
    RgbImage::from_raw(side(width)?, side(height)?, pixels).ok_or_else(|| "a frame has no pixels".to_owned())
}

/// The frames of a file, in the order in which they are shown.
pub(super) struct Frames {
    units: Units,
    samples: Vec<Sample>,
    /// The parameter sets of the track, which the decoder gets before the frames.
    header: Vec<u8>,
}

impl Frames {
    /// Parses a file.
    pub(super) fn open(mut file: StoredFile) -> Result<Self, String> {
        check::sample_counts(&mut file)?;
        let size = file.size();
        let mp4 = Mp4::read(&mut file, size).map_err(|error| error.to_string())?;
        let track = video_track(&mp4)?;
        let description = mp4.moov.traks.iter().find(|trak| trak.tkhd.track_id == track.track_id);
        let Some(StsdBoxContent::Avc1(avc)) = description.map(|trak| &trak.mdia.minf.stbl.stsd.contents) else {
            return Err("it is not H.264".to_owned());
        };
        let sets = avc.avcc.sequence_parameter_sets.iter().chain(&avc.avcc.picture_parameter_sets);
        let header = sets.flat_map(|set| [&START_CODE, set.bytes.as_slice()].concat()).collect();
        let length_bytes = usize::from(avc.avcc.length_size_minus_one & 3) + 1;
        let samples = track.samples.clone();
        Ok(Self { units: Units { file, length_bytes, bytes: Vec::new() }, samples, header })
    }

    /// Returns the number of frames.
    pub(super) fn count(&self) -> usize {
        self.samples.len()
    }

    /// Returns the last frame that can be decoded without those before it.
    fn last_sync_sample(&self) -> usize {
        self.samples.iter().rposition(|sample| sample.is_sync).unwrap_or_default()
    }

    /// Decodes a range of samples, whose first must be a sync sample, and calls `take` with each frame and the index of the sample
    /// that was read last. A frame that cannot be decoded is left out.
    pub(super) fn decode(
        &mut self,
        range: Range<usize>,
        mut take: impl FnMut(usize, &DecodedYUV<'_>) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut decoder = Decoder::new().map_err(|error| error.to_string())?;
        decoder.decode(&self.header).map_err(|error| error.to_string())?;
        let end = range.end.min(self.samples.len());
        for (index, sample) in self.samples[..end].iter().enumerate().skip(range.start) {
            if let Ok(Some(frame)) = decoder.decode(self.units.read(sample)?) {
                take(index, &frame)?;
            }
        }
        if let Ok(frames) = decoder.flush_remaining() {
            frames.iter().try_for_each(|frame| take(end, frame))?;
        }
        Ok(())
    }
}

/// Precedes each unit in the byte stream format of H.264, which the decoder reads.
const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// Reads encoded frames in the form of the decoder. In the file, each unit (NAL unit) of a frame follows its length; here, a start
/// code.
struct Units {
    file: StoredFile,
    /// How many bytes the length of a unit has in the file, 1 to 4.
    length_bytes: usize,
    /// The frame that was read last.
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
