//! The error type of the mock video engine.

use std::error::Error;

use crate::limits::{SECONDS, SIDE};

/// Why a render produced no clip.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// [`Observer::cancelled`](crate::Observer::cancelled) returned `true`.
    #[error("the render was cancelled")]
    Cancelled,
    /// A side of the frame is odd or out of range.
    #[error(
        "size {width}x{height}: both sides must be even and at least {}, the longer side at most {}, the shorter side at most {}",
        SIDE.min, SIDE.max_long, SIDE.max_short
    )]
    BadSize {
        /// Requested width in pixels.
        width: u32,
        /// Requested height in pixels.
        height: u32,
    },
    /// The duration is out of range.
    #[error("seconds {seconds}: must be between {} and {}", SECONDS.start(), SECONDS.end())]
    BadDuration {
        /// Requested duration in seconds.
        seconds: u32,
    },
    /// There is no picture, or one has no pixels.
    #[error("there is no picture, or one is empty")]
    EmptyPicture,
    /// The codec, the resampler or the muxer failed. This is a defect of the engine, not of the request.
    #[error("the clip could not be encoded: {0}")]
    Encode(#[source] Box<dyn Error + Send + Sync>),
}

impl RenderError {
    pub(crate) fn encode(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Encode(cause.into())
    }
}
