//! Previews of a picture while it is drawn, and cancellation.

use image::RgbaImage;

/// Receives previews of a picture and can cancel it. The implementation for `()` does neither.
pub trait Observer: Sync {
    /// Returns the number of previews to render, at most 3, as in OpenAI's API.
    fn wants_previews(&self) -> u8 {
        0
    }

    /// Receives a coarser version of the picture at its full size. `share_done` increases from call to call and is less
    /// than 1.
    fn preview(&self, share_done: f32, picture: &RgbaImage) {
        let _ = (share_done, picture);
    }

    /// Returns whether to stop. Called every few milliseconds, from several threads. Must not return to `false` once it
    /// was `true`.
    fn cancelled(&self) -> bool {
        false
    }
}

impl Observer for () {}

/// [`Observer::cancelled`] returned `true`; there is no picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the picture was cancelled")]
pub struct Cancelled;
