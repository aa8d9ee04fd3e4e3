//! The renders of this process: begun once for each ticket, watched, handed out, forgotten.

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
use image::{DynamicImage, RgbImage};
use offline_image::{ImageRequest, Quality};
use offline_video::{RenderError, Rendered};
use sha2::{Digest, Sha256};
use tokio::{
    sync::{Semaphore, watch},
    time::sleep,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::Ticket;
use crate::{
    error::{Error, ProviderError},
    fault_injection::Fault,
    media::MediaStore,
    video::Variant,
};

/// A clip is encoded in two threads, so this many cores make one at a time.
const CORES_PER_CLIP: usize = 2;

/// The largest picture that is read back, in bytes; larger ones are never taken.
const LARGEST_PICTURE: u64 = 64 << 20;

/// A painted picture is this much larger than the frame, in eighths, so that the camera finds detail when it moves in.
const OVERSIZE: u32 = 10;

/// The longest side that is painted, in pixels.
const LONGEST_SIDE: u32 = 4096;

/// Between tries to read a picture from a media_store that is away.
const VAULT_AGAIN: Duration = Duration::from_secs(1);

/// Where clips are made.
#[derive(Debug)]
pub(super) struct Studio {
    media_store: MediaStore,
    cameras: Arc<Semaphore>,
    // A std mutex: no await happens under it.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    renders: HashMap<String, Kept>,
    /// How often a submission knocked that was turned away on request.
    knocks: HashMap<String, u32>,
}

/// A render, until its files were handed out.
#[derive(Debug)]
struct Kept {
    render: Render,
    /// Which files nobody fetched so far.
    waiting: Vec<Variant>,
    /// Whatever forgets a render stops it; so does the end of the process.
    _stops: DropGuard,
}

/// A look at one render.
#[derive(Debug, Clone)]
pub(super) struct Render {
    percent: Arc<AtomicU8>,
    outcome: watch::Receiver<Option<Outcome>>,
}

type Outcome = Result<Arc<Files>, ProviderError>;

/// What a render made.
#[derive(Debug)]
pub(super) struct Files {
    mp4: Bytes,
    thumbnail: Bytes,
    spritesheet: Bytes,
}

impl Render {
    /// Frames done, 0 to 99.
    pub(super) fn percent(&self) -> u8 {
        self.percent.load(Ordering::Relaxed).min(99)
    }

    /// Returns once it ended.
    #[cfg(test)]
    pub(super) async fn wait(&mut self) {
        drop(self.outcome.wait_for(Option::is_some).await);
    }

    /// How it ended, once it did.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        self.outcome.borrow().clone()
    }
}

impl Studio {
    pub(super) fn new(media_store: MediaStore) -> Self {
        let cores = available_parallelism().map_or(1, Into::into);
        let cameras = Arc::new(Semaphore::new((cores / CORES_PER_CLIP).max(1)));
        Self { media_store, cameras, state: Mutex::default() }
    }

    /// Counts a submission under this key.
    pub(super) fn knocks(&self, id: &str) -> u32 {
        let mut state = self.state();
        let knocks = state.knocks.entry(id.to_owned()).or_default();
        *knocks += 1;
        *knocks
    }

    /// The render of this ticket, begun now unless it was before.
    pub(super) fn begin(&self, ticket: Ticket) -> Render {
        let mut state = self.state();
        if let Some(kept) = state.renders.get(&ticket.id) {
            return kept.render.clone();
        }
        let stop = CancellationToken::new();
        let percent = Arc::new(AtomicU8::new(0));
        let (sender, outcome) = watch::channel(None);
        let render = Render { percent: Arc::clone(&percent), outcome };
        let kept = Kept { render: render.clone(), waiting: Variant::ALL.to_vec(), _stops: stop.clone().drop_guard() };
        state.knocks.remove(&ticket.id);
        state.renders.insert(ticket.id.clone(), kept);
        let work = work(self.media_store.clone(), Arc::clone(&self.cameras), ticket, percent, stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                made = work => {
                    sender.send_replace(Some(made));
                }
                () = stop.cancelled() => {}
            }
        });
        render
    }

    /// One file of the render, which is waited for where it has to be made again. The last of them is forgotten here.
    pub(super) async fn hand_out(&self, ticket: Ticket, variant: Variant) -> Result<Bytes, ProviderError> {
        let id = ticket.id.clone();
        let mut render = self.begin(ticket);
        let ended = render.outcome.wait_for(Option::is_some).await.map(|outcome| outcome.clone());
        let cancelled = || ProviderError::unavailable("the render was cancelled".to_owned());
        let files = ended.map_err(|_| cancelled())?.ok_or_else(cancelled)??;
        let mut state = self.state();
        if let Some(kept) = state.renders.get_mut(&id) {
            kept.waiting.retain(|waiting| *waiting != variant);
            if kept.waiting.is_empty() {
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
    pub(super) fn end(&self, id: &str) {
        let mut state = self.state();
        state.renders.remove(id);
        state.knocks.remove(id);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.state().renders.len()
    }
}

/// Waits for a camera, then makes the clip. Dropping this stops the thread as well, through `stop`.
async fn work(
    media_store: MediaStore,
    cameras: Arc<Semaphore>,
    ticket: Ticket,
    percent: Arc<AtomicU8>,
    stop: CancellationToken,
) -> Outcome {
    let Ok(camera) = cameras.acquire_owned().await else {
        return Err(ProviderError::unavailable("the engine is closed".to_owned()));
    };
    let reference = match ticket.reference() {
        None => None,
        Some(key) => loop {
            match media_store.bytes(&key, LARGEST_PICTURE).await {
                Ok(bytes) => break Some(bytes),
                Err(Error::Storage(why)) => {
                    tracing::warn!("the picture of a render cannot be read, trying again: {why}");
                    sleep(VAULT_AGAIN).await;
                }
                Err(error) => return Err(ProviderError::Refused { message: error.to_string(), field: None }),
            }
        },
    };
    let made = tokio::task::spawn_blocking(move || {
        // Held by the thread that renders, not by the task that waits for it.
        let _camera = camera;
        make(&ticket, reference.as_ref(), &percent, &stop)
    });
    made.await.unwrap_or_else(|error| Err(ProviderError::Unreadable(format!("the engine broke: {error}"))))
}

/// Takes up to minutes: not for async threads.
fn make(ticket: &Ticket, reference: Option<&Bytes>, percent: &AtomicU8, stop: &CancellationToken) -> Outcome {
    let fails_at = (ticket.fault == Some(Fault::RenderFails)).then_some(Fault::RENDER_FAILS_AT);
    let lens = Lens { percent, stop, fails_at };
    let cancelled = || ProviderError::unavailable("the render was cancelled".to_owned());
    let picture = match reference {
        Some(bytes) => decode(bytes)?,
        None => paint(ticket, &lens).ok_or_else(cancelled)?,
    };
    match offline_video::render(&ticket.shot(&picture), &lens) {
        Ok(Rendered { mp4, thumbnail, spritesheet, frames: _ }) => {
            Ok(Arc::new(Files { mp4: mp4.into(), thumbnail: thumbnail.into(), spritesheet: spritesheet.into() }))
        }
        Err(RenderError::Cancelled) if lens.broken() => {
            Err(ticket.fault.and_then(Fault::error).unwrap_or_else(cancelled))
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
        message: format!("the picture to start from cannot be decoded: {error}"),
        field: Some("input_reference".to_owned()),
    };
    image::load_from_memory(bytes).map(DynamicImage::into_rgb8).map_err(refused)
}

/// A picture of the prompt to move over; `None` if it was stopped.
fn paint(ticket: &Ticket, lens: &Lens<'_>) -> Option<RgbImage> {
    let side = |pixels: u32| (pixels * OVERSIZE / 8).min(LONGEST_SIDE);
    let brief = ImageRequest {
        prompt: ticket.prompt.clone(),
        width: side(ticket.width),
        height: side(ticket.height),
        seed: ticket.seed,
        quality: Quality::Standard,
        transparent: false,
    };
    // Without the caption: it would sway with the camera, and half of it out of the frame.
    let picture = offline_image::paint_without_caption(&brief, lens).ok()?;
    Some(DynamicImage::ImageRgba8(picture).into_rgb8())
}

/// The same number for the same text, on every machine.
pub(super) fn word(text: &str) -> u64 {
    let digest = Sha256::digest(text);
    digest.iter().take(8).fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// Looks on from both engines.
struct Lens<'a> {
    percent: &'a AtomicU8,
    stop: &'a CancellationToken,
    fails_at: Option<u8>,
}

impl Lens<'_> {
    fn broken(&self) -> bool {
        self.fails_at.is_some_and(|share| self.percent.load(Ordering::Relaxed) >= share)
    }
}

impl offline_video::Observer for Lens<'_> {
    fn frames(&self, done: u32, total: u32) {
        let percent = u8::try_from(u64::from(done) * 100 / u64::from(total.max(1))).unwrap_or(100);
        // Both encoders report, and a clip that is told to fail at 60 % is not seen beyond it.
        self.percent.fetch_max(percent.min(self.fails_at.unwrap_or(100)), Ordering::Relaxed);
    }

    fn cancelled(&self) -> bool {
        self.stop.is_cancelled() || self.broken()
    }
}

impl offline_image::Observer for Lens<'_> {
    fn cancelled(&self) -> bool {
        self.stop.is_cancelled()
    }
}
