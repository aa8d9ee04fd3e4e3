//! The renders of this process: each task is started once, and forgotten when its files were fetched.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    thread::available_parallelism,
    time::Duration,
};

use bytes::Bytes;
use image::RgbImage;
use offline_image::{ImageRequest, Quality};
use offline_video::{RenderError, Rendered};
use tokio::{
    sync::{Semaphore, watch},
    time::sleep,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::task::OfflineTask;
use crate::{
    config::MAX_INPUT_BYTES,
    error::{Error, ProviderError},
    fault_injection::Fault,
    media::{MediaStore, PictureBudget, clip::ClipInspector, pixels},
    video::provider::{Slot, Variant},
};

/// The encoder uses two threads, so a render takes this many cores.
const CORES_PER_RENDER: usize = 2;

/// The size of a generated image relative to the frame, in eighths: larger, so that zooming in shows detail.
const OVERSIZE_EIGHTHS: u32 = 10;

/// The maximum side of a generated image, in pixels.
const MAX_SIDE: u32 = 4096;

/// The delay between attempts to read an image from an unavailable media store.
const MEDIA_RETRY_DELAY: Duration = Duration::from_secs(1);

/// The renders in progress or not fetched yet.
#[derive(Debug)]
pub(super) struct Renders {
    media_store: MediaStore,
    permits: Arc<Semaphore>,
    // A std mutex: no await happens under it.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    renders: HashMap<String, Entry>,
    /// The number of submissions by key, for the faults that reject the first ones.
    submissions: HashMap<String, u32>,
}

/// A render whose files were not all fetched yet.
#[derive(Debug)]
struct Entry {
    render: Render,
    /// The files that were not fetched yet.
    unfetched: Vec<Variant>,
    /// Removing the entry stops the render.
    _stop: DropGuard,
}

/// A handle to one render.
#[derive(Debug, Clone)]
pub(super) struct Render {
    percent: Arc<AtomicU8>,
    outcome: watch::Receiver<Option<Outcome>>,
}

type Outcome = Result<Arc<Files>, ProviderError>;

/// The files of a finished render.
#[derive(Debug)]
pub(super) struct Files {
    mp4: Bytes,
    thumbnail: Bytes,
    spritesheet: Bytes,
}

impl Render {
    /// Returns the share of finished frames, 0 to 99.
    pub(super) fn percent(&self) -> u8 {
        self.percent.load(Ordering::Relaxed).min(99)
    }

    /// Waits until the render has ended.
    #[cfg(test)]
    pub(super) async fn wait(&mut self) {
        drop(self.outcome.wait_for(Option::is_some).await);
    }

    /// Returns the outcome, if the render has ended.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        self.outcome.borrow().clone()
    }
}

impl Renders {
    pub(super) fn new(media_store: MediaStore) -> Self {
        let cores = available_parallelism().map_or(1, Into::into);
        let permits = Arc::new(Semaphore::new((cores / CORES_PER_RENDER).max(1)));
        Self { media_store, permits, state: Mutex::default() }
    }

    /// Counts a submission under this key and returns the count.
    pub(super) fn count_submission(&self, id: &str) -> u32 {
        let mut state = self.state();
        let count = state.submissions.entry(id.to_owned()).or_default();
        *count += 1;
        *count
    }

    pub(super) fn has_free_slot(&self) -> bool {
        self.permits.available_permits() > 0
    }

    /// Reserves the slot of one render, if one is free.
    pub(super) fn reserve(&self) -> Option<Slot> {
        Arc::clone(&self.permits).try_acquire_owned().ok().map(Slot::from)
    }

    /// Returns the render of this task, and starts it unless it was started before. Without a reserved slot, as after a
    /// restart, it waits for one.
    pub(super) fn start(&self, task: OfflineTask, slot: Slot) -> Render {
        let mut state = self.state();
        if let Some(entry) = state.renders.get(&task.id) {
            return entry.render.clone();
        }
        let stop = CancellationToken::new();
        let percent = Arc::new(AtomicU8::new(0));
        let (sender, outcome) = watch::channel(None);
        let render = Render { percent: Arc::clone(&percent), outcome };
        let entry =
            Entry { render: render.clone(), unfetched: Variant::ALL.to_vec(), _stop: stop.clone().drop_guard() };
        state.submissions.remove(&task.id);
        state.renders.insert(task.id.clone(), entry);
        let work = work(self.media_store.clone(), Arc::clone(&self.permits), slot, task, percent, stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                outcome = work => {
                    sender.send_replace(Some(outcome));
                }
                () = stop.cancelled() => {}
            }
        });
        render
    }

    /// Returns one file of the render, after it has ended. The render is forgotten with its last file.
    pub(super) async fn file(&self, task: OfflineTask, variant: Variant) -> Result<Bytes, ProviderError> {
        let id = task.id.clone();
        let mut render = self.start(task, Slot::default());
        let ended = render.outcome.wait_for(Option::is_some).await.map(|outcome| outcome.clone());
        let cancelled = || ProviderError::unavailable("the render was cancelled".to_owned());
        let files = ended.map_err(|_| cancelled())?.ok_or_else(cancelled)??;
        let mut state = self.state();
        if let Some(entry) = state.renders.get_mut(&id) {
            entry.unfetched.retain(|unfetched| *unfetched != variant);
            if entry.unfetched.is_empty() {
                state.renders.remove(&id);
            }
        }
        Ok(match variant {
            Variant::Video => files.mp4.clone(),
            Variant::Thumbnail => files.thumbnail.clone(),
            Variant::Spritesheet => files.spritesheet.clone(),
        })
    }

    /// Stops and forgets a render.
    pub(super) fn cancel(&self, id: &str) {
        let mut state = self.state();
        state.renders.remove(id);
        state.submissions.remove(id);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.state().renders.len()
    }
}

/// Waits for a slot unless one is reserved, then renders. Dropping the future stops the thread as well, through `stop`.
async fn work(
    media_store: MediaStore,
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
    let frame = match task.source() {
        None => None,
        Some((key, end)) => {
            let inspector = ClipInspector::new(media_store.clone(), PictureBudget::default());
            let refused = |why| ProviderError::Refused {
                message: format!("video: no frame of it can be read: {why}; send an MP4 file with H.264"),
                field: Some("video".to_owned()),
            };
            Some(inspector.frame(&key, end).await.map_err(refused)?)
        }
    };
    let reference = match task.first_frame() {
        None => None,
        Some(key) => loop {
            match media_store.bytes(&key, MAX_INPUT_BYTES).await {
                Ok(bytes) => break Some(bytes),
                Err(Error::Storage(why)) => {
                    tracing::warn!("the reference image of a render cannot be read, retrying: {why}");
                    sleep(MEDIA_RETRY_DELAY).await;
                }
                Err(error) => return Err(ProviderError::Refused { message: error.to_string(), field: None }),
            }
        },
    };
    let rendered = tokio::task::spawn_blocking(move || {
        // Held by the thread that renders, not by the future that waits for it.
        let _slot = slot;
        render(&task, frame, reference.as_ref(), &percent, &stop)
    });
    rendered
        .await
        .unwrap_or_else(|error| Err(ProviderError::Unreadable(format!("the built-in engine panicked: {error}"))))
}

/// Renders a video. Takes up to minutes, so it must run on a blocking thread.
fn render(
    task: &OfflineTask,
    frame: Option<RgbImage>,
    reference: Option<&Bytes>,
    percent: &AtomicU8,
    stop: &CancellationToken,
) -> Outcome {
    let fails_at = (task.fault == Some(Fault::RenderFails)).then_some(Fault::RENDER_FAILS_AT);
    let observer = RenderObserver { percent, stop, fails_at };
    let cancelled = || ProviderError::unavailable("the render was cancelled".to_owned());
    let image = match (frame, reference) {
        (Some(frame), _) => frame,
        (None, Some(bytes)) => decode(bytes)?,
        (None, None) => generate_image(task, &observer).ok_or_else(cancelled)?,
    };
    match offline_video::render(&task.shot(&image), &observer) {
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

fn decode(bytes: &Bytes) -> Result<RgbImage, ProviderError> {
    let refused = |error: image::ImageError| ProviderError::Refused {
        message: format!("the reference image cannot be decoded: {error}"),
        field: Some("input_reference".to_owned()),
    };
    pixels::decode(bytes).map(pixels::flatten).map_err(refused)
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

/// Reports progress of the engines, and cancels them.
struct RenderObserver<'a> {
    percent: &'a AtomicU8,
    stop: &'a CancellationToken,
    fails_at: Option<u8>,
}

impl RenderObserver<'_> {
    fn fault_reached(&self) -> bool {
        self.fails_at.is_some_and(|share| self.percent.load(Ordering::Relaxed) >= share)
    }
}

impl offline_video::Observer for RenderObserver<'_> {
    fn frames(&self, done: u32, total: u32) {
        let percent = u8::try_from(u64::from(done) * 100 / u64::from(total.max(1))).unwrap_or(100);
        // Both encoders report. A render that is to fail at 60 % must not report more.
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
