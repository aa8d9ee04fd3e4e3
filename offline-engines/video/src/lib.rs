//! Mock video engine: Triptych's built-in video provider for offline use, tests and demos. It moves a virtual camera over
//! pictures, which its caller supplies, and encodes the result as an H.264 MP4 that browsers can play.
//!
//! Synchronous and deterministic: the same [`Shot`] yields the same bytes, whatever the number of cores. [`render`] blocks
//! and uses two threads for the duration of the call, so call it where blocking is allowed. The prompt selects the camera
//! moves ([`Motion`]); the camera's position is a function of time ([`CameraPath`]). The picture always fills the frame: it
//! is cropped to the frame's aspect ratio, never stretched or padded.

mod audio;
mod camera;
mod encode;
mod error;
mod limits;
mod motion;
mod mux;
mod observer;
mod render;
mod sample;
mod shot;
mod stills;
mod timeline;

pub use camera::{CameraPath, Crop};
pub use error::RenderError;
pub use limits::{SECONDS, SIDE, SideLimits};
pub use motion::{Direction, Motion, Pace};
pub use observer::Observer;
pub use render::{Rendered, VIDEO_MEDIA_TYPE, render};
pub use sample::limit_size;
pub use shot::{FrameRate, Shot};
pub use stills::{SHEET_COLUMNS, SHEET_ROWS, STILLS_MEDIA_TYPE, THUMBNAIL_WIDTH, TILE_SIDE};

/// Whether the H.264 encoder was built with its assembly code, which makes it about three times faster.
///
/// On x86 the assembly requires `nasm` on the `PATH` during the build. Without it, the build silently falls back to C++, so
/// programs should report this at start-up.
pub const ENCODER_HAS_ASSEMBLY: bool = cfg!(encoder_assembly);
