//! Progress and cancellation of a render.

/// Receives the progress of a render and can cancel it. Called from both encoding threads; calls of
/// [`frames`](Self::frames) do not overlap.
pub trait Observer: Sync {
    /// Reports that `done` of `total` frames are encoded. `done` increases from call to call and reaches `total` before
    /// [`render`](crate::render) returns `Ok`.
    fn frames(&self, done: u32, total: u32);

    /// Returns whether to stop. Called before every frame; once `true`, the render ends with
    /// [`RenderError::Cancelled`](crate::RenderError::Cancelled).
    fn cancelled(&self) -> bool;
}
