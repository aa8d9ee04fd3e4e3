//! Renders a clip: the entry point.

use crate::camera::CameraPath;
use crate::error::RenderError;
use crate::motion::Motion;
use crate::observer::Observer;
use crate::shot::Shot;
use crate::{encode, mux, sample, stills};

/// The media type of [`Rendered::mp4`].
pub const VIDEO_MEDIA_TYPE: &str = "video/mp4";

/// A finished clip.
#[derive(Clone, PartialEq, Eq)]
pub struct Rendered {
    /// H.264 High, yuv420p, BT.709 limited range. The index precedes the media data, so that players can start before the
    /// download is complete.
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
/// Blocks until the clip is finished, or for at most one frame after cancellation. Allocates a few frames, the picture
/// scaled to at most twice the frame size, and two copies of the encoded bytes (about 1 MB per second of 1920x1080).
///
/// # Errors
///
/// Returns the errors of [`Shot::validate`], [`RenderError::Cancelled`] once the observer cancels, and
/// [`RenderError::Encode`] if encoding fails.
pub fn render(shot: &Shot<'_>, observer: &dyn Observer) -> Result<Rendered, RenderError> {
    shot.validate()?;
    let picture = sample::limit_size(shot.picture, shot.width, shot.height)?;
    let motion = Motion::from_prompt(shot.prompt, shot.seed);
    let path = CameraPath::plan(&motion, picture.dimensions(), (shot.width, shot.height), shot.seconds);
    let units = encode::encode(&sample::Planes::from_rgb(&picture), &path, shot, observer)?;
    if observer.cancelled() {
        return Err(RenderError::Cancelled);
    }
    Ok(Rendered {
        mp4: mux::mp4(units, shot)?,
        thumbnail: stills::thumbnail(&picture, &path, shot)?,
        spritesheet: stills::spritesheet(&picture, &path, shot)?,
        frames: shot.frames(),
    })
}
