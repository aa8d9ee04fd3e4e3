//! The built-in video engine: a camera moves over one picture, and the result is an H.264 MP4 that browsers play.
//!
//! Pure and synchronous. The same [`Shot`] gives the same bytes, whatever the number of cores; [`render`] uses two
//! threads of its own for the time of the call, so run it where blocking is allowed. The words of the prompt choose the
//! move ([`Motion`]), the path of the camera is a plain function of time ([`Path`]), and the picture always fills the
//! frame: it is cropped to the frame's shape, never stretched, never framed in black.

mod camera;
mod encode;
mod motion;
mod mux;
mod sample;
mod shot;
mod stills;

use std::error::Error;

pub use camera::{Crop, Path};
pub use motion::{Direction, Motion, Pace};
pub use shot::{FrameRate, SECONDS, SIDE, Shot, SideLimits};
pub use stills::{SHEET_COLUMNS, SHEET_ROWS, STILLS_MEDIA_TYPE, THUMBNAIL_WIDTH, TILE_SIDE};

/// Whether the encoder was built with its assembly, which makes it about three times faster. On x86 that takes `nasm` on
/// the `PATH` of the build; without it the build falls back to C++ without a word, so say it at start.
pub const ASSEMBLER: bool = cfg!(assembler);

/// The media type of [`Rendered::mp4`].
pub const VIDEO_MEDIA_TYPE: &str = "video/mp4";

/// Follows a render from outside. Called from both encoding threads, one call at a time.
pub trait Watch: Sync {
    /// `done` of `total` frames are encoded. Never falls, and reaches `total` before [`render`] returns `Ok`.
    fn frames(&self, done: u32, total: u32);

    /// Asked before every frame; from the first `true` on the render ends with [`RenderError::Cancelled`].
    fn cancelled(&self) -> bool;
}

/// A finished clip.
#[derive(Clone, PartialEq, Eq)]
pub struct Rendered {
    /// H.264 High, yuv420p, BT.709 limited range, the index before the pictures so that players start at once.
    pub mp4: Vec<u8>,
    /// The first frame as JPEG, at most [`THUMBNAIL_WIDTH`] wide.
    pub thumbnail: Vec<u8>,
    /// Evenly spaced frames as one JPEG, [`SHEET_COLUMNS`] by [`SHEET_ROWS`], row by row, first and last frame included.
    pub spritesheet: Vec<u8>,
    /// Pictures in the clip: seconds times frame rate, exactly.
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

/// Why there is no clip.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// [`Watch::cancelled`] said so.
    #[error("the render was cancelled")]
    Cancelled,
    /// A side is odd or out of range.
    #[error(
        "{width}x{height} cannot be encoded: both sides must be even and at least {}, the longer at most {}, the shorter at most {}",
        SIDE.min, SIDE.max_long, SIDE.max_short
    )]
    BadSize {
        /// Pixels asked for.
        width: u32,
        /// Pixels asked for.
        height: u32,
    },
    /// The length is out of range.
    #[error("a clip lasts {} to {} seconds, not {seconds}", SECONDS.start(), SECONDS.end())]
    BadDuration {
        /// Seconds asked for.
        seconds: u32,
    },
    /// The picture has no pixels.
    #[error("the picture is empty")]
    EmptyPicture,
    /// The codec, the resampler or the container refused: a fault of this crate, not of the shot.
    #[error("the clip could not be encoded: {0}")]
    Encode(#[source] Box<dyn Error + Send + Sync>),
}

impl RenderError {
    fn encode(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Encode(cause.into())
    }
}

/// Renders the shot. Memory is a few frames, the picture scaled to at most twice the frame, and two copies of the encoded
/// bytes (about 1 MB per second of 1920x1080). Blocks until the clip is done, or for one frame after a cancellation.
pub fn render(shot: &Shot<'_>, watch: &dyn Watch) -> Result<Rendered, RenderError> {
    shot.validate()?;
    let picture = sample::fit(shot.picture, shot.width, shot.height)?;
    let motion = Motion::from_prompt(shot.prompt, shot.seed);
    let path = Path::plan(&motion, picture.dimensions(), (shot.width, shot.height), shot.seconds);
    let units = encode::encode(&sample::Planes::from_rgb(&picture), &path, shot, watch)?;
    if watch.cancelled() {
        return Err(RenderError::Cancelled);
    }
    Ok(Rendered {
        mp4: mux::mp4(units, shot)?,
        thumbnail: stills::thumbnail(&picture, &path, shot)?,
        spritesheet: stills::spritesheet(&picture, &path, shot)?,
        frames: shot.frames(),
    })
}
