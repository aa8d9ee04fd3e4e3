//! One render of the built-in engine: loads the input pictures, generates an image of the prompt, and encodes a video in which a
//! camera moves over the pictures. Also injects [`Fault::RenderFails`].

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use bytes::Bytes;
use image::RgbImage;
use offline_image::{ImageRequest, Quality};
use offline_video::{RenderError, Rendered};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::{pictures::Pictures, task::OfflineTask};
use crate::{error::ProviderError, fault_injection::Fault, media::pixels, video::provider::Slot};

/// The sides of a generated image relative to those of the video, in eighths: 10/8, so that zooming in shows detail.
const OVERSIZE_EIGHTHS: u32 = 10;

/// The maximum side of a generated image, in pixels.
const MAX_SIDE: u32 = 4096;

/// The result of a render.
pub(super) type Outcome = Result<Arc<Files>, ProviderError>;

/// The files of a finished render.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) mp4: Bytes,
    pub(super) thumbnail: Bytes,
    pub(super) spritesheet: Bytes,
}

/// Waits for a slot of `permits` unless `slot` holds one, then renders; writes the progress to `percent`. The render runs on a
/// blocking thread: dropping this future does not stop it, cancelling `stop` does.
pub(super) async fn work(
    pictures: Pictures,
    permits: Arc<Semaphore>,
    slot: Slot,
    task: OfflineTask,
    percent: Arc<AtomicU8>,
    stop: CancellationToken,
) -> Outcome {
    let slot = if slot.is_reserved() {
        slot
    } else {
        let closed = |_| ProviderError::unavailable("the built-in engine is shutting down".to_owned());
        permits.acquire_owned().await.map_err(closed)?.into()
    };
    let pictures = pictures.load(&task).await?;
    let rendered = tokio::task::spawn_blocking(move || {
        // Held until the thread ends, even if the future that waits for it is dropped before.
        let _slot = slot;
        render(&task, pictures, &percent, &stop)
    });
    rendered
        .await
        .unwrap_or_else(|error| Err(ProviderError::Unreadable(format!("the built-in engine panicked: {error}"))))
}

/// Renders a video. Takes up to minutes, so it must run on a blocking thread.
fn render(task: &OfflineTask, mut pictures: Vec<RgbImage>, percent: &AtomicU8, stop: &CancellationToken) -> Outcome {
    let fails_at = (task.fault == Some(Fault::RenderFails)).then_some(Fault::RENDER_FAILS_AT);
    let observer = RenderObserver { percent, stop, fails_at };
    let cancelled = || ProviderError::unavailable("the render was cancelled".to_owned());
    if task.starts_with_the_prompt() {
        pictures.insert(0, generate_image(task, &observer).ok_or_else(cancelled)?);
    }
    match offline_video::render(&task.shot(&pictures), &observer) {
        Ok(Rendered { mp4, thumbnail, spritesheet, frames: _ }) => {
            Ok(Arc::new(Files { mp4: mp4.into(), thumbnail: thumbnail.into(), spritesheet: spritesheet.into() }))
        }
        Err(RenderError::Cancelled) if observer.fault_reached() => {
            Err(task.fault.and_then(Fault::error).unwrap_or_else(cancelled))
        }
        Err(RenderError::Cancelled) => Err(cancelled()),
        Err(error @ (RenderError::BadSize { .. } | RenderError::BadDuration { .. } | RenderError::EmptyPicture)) => {
            Err(ProviderError::Refused { message: error.to_string(), field: None })
        }
        Err(error @ RenderError::Encode(_)) => Err(ProviderError::Unreadable(error.to_string())),
    }
}

/// Generates an image of the prompt, over which the camera moves; `None` if the render was stopped.
fn generate_image(task: &OfflineTask, observer: &RenderObserver<'_>) -> Option<RgbImage> {
    let side = |pixels: u32| (pixels * OVERSIZE_EIGHTHS / 8).min(MAX_SIDE);
    let request = ImageRequest {
        prompt: task.parameters.prompt.clone(),
        width: side(task.parameters.width),
        height: side(task.parameters.height),
        seed: task.parameters.seed,
        quality: Quality::Standard,
        transparent: false,
    };
    // Without the caption, which would move with the camera and leave the frame.
    let image = offline_image::paint_without_caption(&request, observer).ok()?;
    Some(pixels::flatten(image.into()))
}

/// Receives the progress of the engines, and cancels them.
struct RenderObserver<'a> {
    percent: &'a AtomicU8,
    stop: &'a CancellationToken,
    /// The percentage at which the render fails, with [`Fault::RenderFails`].
    fails_at: Option<u8>,
}

impl RenderObserver<'_> {
    /// Returns whether the render has come to the percentage at which it fails.
    fn fault_reached(&self) -> bool {
        self.fails_at.is_some_and(|fails_at| self.percent.load(Ordering::Relaxed) >= fails_at)
    }
}

impl offline_video::Observer for RenderObserver<'_> {
    fn frames(&self, done: u32, total: u32) {
        let percent = u8::try_from(u64::from(done) * 100 / u64::from(total.max(1))).unwrap_or(100);
        // The maximum, because two encoder threads report. Before it fails, a render must not report more than `fails_at`.
        self.percent.fetch_max(percent.min(self.fails_at.unwrap_or(100)), Ordering::Relaxed);
    }

    fn cancelled(&self) -> bool {
        self.stop.is_cancelled() || self.fault_reached()
    }
}

impl offline_image::Observer for RenderObserver<'_> {
    fn cancelled(&self) -> bool {
        self.stop.is_cancelled()
    }
}
