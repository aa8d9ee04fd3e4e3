//! Renders a clip: the entry point of the mock video engine.

use crate::error::RenderError;
use crate::observer::Observer;
use crate::shot::Shot;
use crate::timeline::Timeline;
use crate::{encode, mux, sample, stills};

/// The media type of [`Rendered::mp4`].
pub const VIDEO_MEDIA_TYPE: &str = "video/mp4";

/// A finished clip.
#[derive(Clone, PartialEq, Eq)]
pub struct Rendered {
    /// H.264 High, yuv420p, BT.709 limited range; the sound track, if any, is AAC-LC. The index precedes the media data, so
    /// that players can start before the download is complete.
    pub mp4: Vec<u8>,
    /// The first frame as JPEG, at most [`THUMBNAIL_WIDTH`](crate::THUMBNAIL_WIDTH) pixels wide.
    pub thumbnail: Vec<u8>,
    /// Evenly spaced frames as one JPEG, [`SHEET_COLUMNS`](crate::SHEET_COLUMNS) by [`SHEET_ROWS`](crate::SHEET_ROWS), in
    /// row-major order, from the first frame to the last.
    pub spritesheet: Vec<u8>,
    /// Number of frames: exactly seconds times frame rate.
    pub frames: u32,
}

impl std::fmt::Debug for Rendered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rendered")
            .field("mp4_bytes", &self.mp4.len())
            .field("thumbnail_bytes", &self.thumbnail.len())
            .field("spritesheet_bytes", &self.spritesheet.len())
            .field("frames", &self.frames)
            .finish()
    }
}

/// Renders a shot.
///
/// Blocks until the clip is finished, or for at most one frame after cancellation. Allocates a few frames, each picture
/// scaled to at most twice the frame size, and two copies of the encoded bytes (about 1 MB per second of 1920x1080).
///
/// # Errors
///
/// Returns the errors of [`Shot::validate`], [`RenderError::Cancelled`] once the observer cancels, and
/// [`RenderError::Encode`] if encoding fails.
pub fn render(shot: &Shot<'_>, observer: &dyn Observer) -> Result<Rendered, RenderError> {
    shot.validate()?;
    let pictures = shot.pictures.iter().map(|picture| sample::limit_size(picture, shot.width, shot.height));
    let pictures: Vec<_> = pictures.collect::<Result<_, _>>()?;
    let sizes: Vec<_> = pictures.iter().map(|picture| picture.dimensions()).collect();
    let timeline = Timeline::plan(shot, &sizes);
    let planes: Vec<_> = pictures.iter().map(|picture| sample::Planes::from_rgb(picture)).collect();
    let units = encode::encode(&planes, &timeline, shot, observer)?;
    if observer.cancelled() {
        return Err(RenderError::Cancelled);
    }
    Ok(Rendered {
        mp4: mux::mp4(units, shot)?,
        thumbnail: stills::thumbnail(&pictures, &timeline, shot)?,
        spritesheet: stills::spritesheet(&pictures, &timeline, shot)?,
        frames: shot.frames(),
    })
}
