//! Reads stored MP4 files: the size, the duration and the sound track of a video, its first and last frame, and its *stills*, a
//! thumbnail and a spritesheet.
//!
//! The files come from providers and may be invalid. A video whose file cannot be read is reported with the size and the duration
//! that were requested, and gets no stills.

mod check;
mod frames;
mod reader;
mod stills;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use image::RgbImage;
use re_mp4::{Mp4, TrackKind};
use tokio::runtime::Handle;

pub use self::{frames::End, stills::Stills};
use self::{frames::video_track, reader::StoredFile};
use super::{MediaKey, MediaStore, PictureBudget};
use crate::size::Size;

/// The estimated number of frames in memory while a file is decoded: the references of the decoder, and the pictures made of them.
const FRAMES_IN_MEMORY: u64 = 8;

/// The number of decoded pixels while a file is only parsed.
const NO_PIXELS: u64 = 0;

/// Size, duration and sound of a video file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClipInfo {
    /// The size of the frames in pixels.
    pub size: Size,
    /// The duration.
    pub duration: Duration,
    /// Whether there is a sound track.
    pub has_audio: bool,
}

/// Reads stored video files. Clones share the store and the budget.
#[derive(Debug, Clone)]
pub struct ClipInspector {
    media_store: MediaStore,
    budget: PictureBudget,
}

impl ClipInspector {
    /// Returns an inspector of the files in this store.
    pub fn new(media_store: MediaStore, budget: PictureBudget) -> Self {
        Self { media_store, budget }
    }

    /// Returns size, duration and sound of the file; `None`, with a line in the log, if it cannot be read.
    pub async fn inspect(&self, key: &MediaKey) -> Option<ClipInfo> {
        let info = self.on_thread(key, NO_PIXELS, |file| info(&parse(file)?)).await;
        info.inspect_err(|why| tracing::warn!(media.key = key.as_str(), "a video file cannot be inspected: {why}")).ok()
    }

    /// Makes stills of the file, whose frames have this size; `None`, with a line in the log, if it is not H.264 or
    /// cannot be decoded.
    pub async fn stills(&self, key: &MediaKey, size: Size) -> Option<Stills> {
        let pixels = size.pixels().saturating_mul(FRAMES_IN_MEMORY);
        let made = self.on_thread(key, pixels, stills::make).await;
        made.inspect_err(|why| tracing::info!(media.key = key.as_str(), "no stills of a video: {why}")).ok()
    }

    /// Decodes the first or last frame of the file.
    ///
    /// # Errors
    /// Why the file has none: it is not H.264, or cannot be decoded.
    pub async fn frame(&self, key: &MediaKey, end: End) -> Result<RgbImage, String> {
        let info = self.on_thread(key, NO_PIXELS, |file| info(&parse(file)?)).await?;
        let pixels = info.size.pixels().saturating_mul(FRAMES_IN_MEMORY);
        self.on_thread(key, pixels, move |file| frames::at_end(file, end)).await
    }

    /// Runs `work` on a blocking thread, once there is memory for this many decoded pixels; a file that is only parsed needs none.
    /// A panic of `work` is an error, because the parser panics on some invalid files.
    async fn on_thread<T: Send + 'static>(
        &self,
        key: &MediaKey,
        pixels: u64,
        work: impl FnOnce(StoredFile) -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        let file = StoredFile::open(self.media_store.clone(), key.clone(), Handle::current()).await?;
        let work =
            move || catch_unwind(AssertUnwindSafe(|| work(file))).unwrap_or_else(|_| Err("it is invalid".to_owned()));
        self.budget.conversion().run(pixels, work).await.map_err(|error| error.to_string())?
    }
}

/// Parses the boxes of a file.
fn parse(mut file: StoredFile) -> Result<Mp4, String> {
    check::sample_counts(&mut file)?;
    let size = file.size();
    Mp4::read(file, size).map_err(|error| error.to_string())
}

/// Returns size, duration and sound of a parsed file; fails without a size or a duration.
fn info(mp4: &Mp4) -> Result<ClipInfo, String> {
    let video = video_track(mp4)?;
    let has_audio = mp4.tracks().values().any(|track| track.kind == Some(TrackKind::Audio));
    let size = Size::new(video.width.into(), video.height.into());
    // Fragmented files have no duration in the header.
    let last = video.samples.last();
    let end = last.map_or(0, |sample| sample.composition_timestamp.max(0).unsigned_abs() + sample.duration);
    let units = video.duration.max(end);
    if size.pixels() == 0 || video.timescale == 0 || units == 0 {
        return Err("it has no size or no duration".to_owned());
    }
    let millis = u128::from(units) * 1000 / u128::from(video.timescale);
    let duration = Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX));
    Ok(ClipInfo { size, duration, has_audio })
}

#[cfg(test)]
mod tests;
