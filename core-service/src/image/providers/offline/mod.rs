//! The built-in image engine as a provider.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread::available_parallelism,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use image::{RgbaImage, imageops};
use offline_image::{Format, ImageRequest, Observer, edit, encode, paint};
use tokio::sync::{
    Semaphore,
    mpsc::{self, Sender},
};
use tokio_stream::wrappers::ReceiverStream;

use super::super::{Background, Edits, Encoding, ImageEvent, ImageProvider, ImageSpec, MOST_PIXELS, Quality, SIDES};
use crate::{
    call::{Call, Chunks},
    catalog::Entry,
    error::ProviderError,
    fault_injection::Fault,
    media::InputPicture,
    size::Size,
};

/// The engine's model name.
pub const MODEL: &str = "offline-image";

/// The size of a picture nobody asked a size of.
const DEFAULT_SIZE: Size = Size::new(1024, 1024);

/// One picture's previews and its end: the engine is never held up by a reader who is slow.
const EVENTS: usize = 4;

/// The built-in image engine.
#[derive(Debug, Clone)]
pub struct OfflineImage {
    /// One picture is painted per core; the others wait.
    easels: Arc<Semaphore>,
}

impl OfflineImage {
    /// An engine that uses all cores.
    pub fn new() -> Self {
        let cores = available_parallelism().map_or(1, Into::into);
        Self { easels: Arc::new(Semaphore::new(cores)) }
    }

    /// The engine, the first, and below it the faults, hidden.
    pub fn entries() -> Vec<Entry<dyn ImageProvider>> {
        let provider = Arc::new(Self::new());
        let entry = |id: &str, hidden| Entry {
            id: id.to_owned(),
            upstream: id.to_owned(),
            owned_by: "offline".to_owned(),
            provider_id: "offline".to_owned(),
            aliases: Vec::new(),
            capabilities: &["edit", "preview"],
            hidden,
            provider: provider.clone() as Arc<dyn ImageProvider>,
        };
        let faults = Fault::IMAGE.iter().map(|fault| entry(&fault.model(MODEL), true));
        std::iter::once(entry(MODEL, false)).chain(faults).collect()
    }

    /// Paints the pictures one after the other. Ends early when nobody listens any more.
    async fn work(self, spec: ImageSpec, events: Sender<Result<ImageEvent, ProviderError>>) {
        let spec = Arc::new(spec);
        for index in 0..spec.n {
            let easel = tokio::select! {
                easel = Arc::clone(&self.easels).acquire_owned() => easel,
                () = events.closed() => return,
            };
            let (spec, line) = (Arc::clone(&spec), events.clone());
            let picture = tokio::task::spawn_blocking(move || {
                // Held by the thread that paints, not by the task that waits for it.
                let _easel = easel;
                make(&spec, index, &line)
            });
            let picture = picture.await.unwrap_or_else(|error| Err(broken(&error)));
            let failed = picture.is_err();
            if events.send(picture).await.is_err() || failed {
                return;
            }
        }
    }
}

impl Default for OfflineImage {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl ImageProvider for OfflineImage {
    async fn generate(&self, call: Call<ImageSpec>) -> Result<Chunks<ImageEvent>, ProviderError> {
        if let Some(fault) = Fault::of(&call.model) {
            fault.before_first_event().await?;
        }
        let (sender, receiver) = mpsc::channel(EVENTS);
        // Runs beside the stream, so that previews need no one to ask; ends with it, through the closed channel.
        tokio::spawn(self.clone().work(call.request, sender));
        Ok(ReceiverStream::new(receiver).boxed())
    }

    fn edits(&self, _model: &str) -> Edits {
        Edits { pictures: 16, mask: true }
    }
}

/// Paints and encodes one picture of the request. Takes up to seconds: not for async threads.
fn make(
    spec: &ImageSpec,
    index: u32,
    events: &Sender<Result<ImageEvent, ProviderError>>,
) -> Result<ImageEvent, ProviderError> {
    let first = spec.pictures.first().map(|picture| paintable(picture.size));
    let size = spec.size.or(first).unwrap_or(DEFAULT_SIZE);
    let brief = ImageRequest {
        prompt: spec.prompt.clone(),
        width: size.width,
        height: size.height,
        // The first picture is the one that a request for a single one gets.
        seed: match (spec.seed, index) {
            (None, 0) => None,
            (seed, index) => Some(seed.unwrap_or_default().wrapping_add(index.into())),
        },
        quality: match spec.quality {
            Quality::Low => offline_image::Quality::Low,
            Quality::Auto | Quality::Standard | Quality::Medium => offline_image::Quality::Standard,
            Quality::High | Quality::Hd | Quality::Xhigh | Quality::Max => offline_image::Quality::High,
        },
        transparent: spec.background == Background::Transparent,
    };
    let watch = Line { events, spec, index, shown: AtomicU32::new(0) };
    let picture = if spec.pictures.is_empty() {
        paint(&brief, &watch)
    } else {
        let load =
            |picture: &InputPicture| if events.is_closed() { Err(abandoned()) } else { load(&picture.bytes, size) };
        let pictures = spec.pictures.iter().map(load).collect::<Result<Vec<_>, _>>()?;
        let mask = spec.mask.as_ref().map(load).transpose()?;
        edit(&brief, &pictures, mask.as_ref(), &watch)
    };
    let picture = picture.map_err(|_| abandoned())?;
    let picture = encoded(&picture, spec.format)?;
    Ok(ImageEvent::Finished { index, picture, revised_prompt: String::new() })
}

/// The engine's line to whoever reads the events.
#[derive(Debug)]
struct Line<'a> {
    events: &'a Sender<Result<ImageEvent, ProviderError>>,
    spec: &'a ImageSpec,
    index: u32,
    shown: AtomicU32,
}

impl Observer for Line<'_> {
    fn wants_previews(&self) -> u8 {
        u8::try_from(self.spec.partial_images).unwrap_or(u8::MAX)
    }

    fn preview(&self, _share_done: f32, picture: &RgbaImage) {
        // A reader who lags behind misses previews and gets the picture no later for it.
        let Ok(place) = self.events.try_reserve() else { return };
        if let Ok(picture) = encoded(picture, self.spec.format) {
            let partial = self.shown.fetch_add(1, Ordering::Relaxed);
            place.send(Ok(ImageEvent::Preview { index: self.index, partial, picture }));
        }
    }

    /// The stream that was given out is gone.
    fn cancelled(&self) -> bool {
        self.events.is_closed()
    }
}

fn encoded(picture: &RgbaImage, format: Encoding) -> Result<Bytes, ProviderError> {
    let format = match format {
        Encoding::Png => Format::Png,
        Encoding::Jpeg { quality } => Format::Jpeg { quality },
        Encoding::Webp { .. } => Format::WebP,
    };
    encode(picture, format).map(Bytes::from).map_err(|error| broken(&error))
}

/// The size an edit keeps when none is asked for: the picture's own, fitted into what may be asked for.
fn paintable(size: Size) -> Size {
    let Size { width, height } = within(size);
    let long_enough = |side: u32| side.max(*SIDES.start());
    Size::new(long_enough(width), long_enough(height))
}

/// The same shape with no more pixels, and no longer a side, than may be asked for.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "the result is at most a side that was given"
)]
fn within(Size { width, height }: Size) -> Size {
    let most = f64::from(*SIDES.end()) / f64::from(width.max(height));
    let pixels = f64::from(width) * f64::from(height);
    let scale = (MOST_PIXELS as f64 / pixels).sqrt().min(most).min(1.0);
    // A hair of rounding must not cost a pixel.
    let side = |side: u32| ((f64::from(side) * scale + 1e-6) as u32).max(1);
    Size::new(side(width), side(height))
}

/// An input picture, no larger than it takes to cover `size`: sixteen of the largest would fill the memory.
fn load(bytes: &[u8], size: Size) -> Result<RgbaImage, ProviderError> {
    let picture = image::load_from_memory(bytes).map_err(|error| broken(&error))?.into_rgba8();
    let whole = Size::new(picture.width(), picture.height());
    let (width, height) = (u64::from(whole.width), u64::from(whole.height));
    // Covering takes the scale `cover / area`; anything up to that, and down to it, is left to the engine.
    let area = width * height;
    let cover = area.min((u64::from(size.width) * height).max(u64::from(size.height) * width));
    let covering = |side: u64| u32::try_from((side * cover).div_ceil(area)).unwrap_or(u32::MAX);
    let enough = within(Size::new(covering(width), covering(height)));
    if enough == whole {
        return Ok(picture);
    }
    Ok(imageops::thumbnail(&picture, enough.width, enough.height))
}

fn broken(error: &dyn std::fmt::Display) -> ProviderError {
    ProviderError::Broken(format!("the offline engine broke: {error}"))
}

fn abandoned() -> ProviderError {
    ProviderError::Broken("the picture was abandoned".to_owned())
}

#[cfg(test)]
mod tests;
