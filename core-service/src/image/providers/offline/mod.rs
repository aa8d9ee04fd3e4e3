//! The built-in mock engine for images (the library `offline_image`) as a provider, and as models that fail in a defined way
//! (`fault_injection`).

mod usage;

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use image::{RgbaImage, imageops};
use offline_image::{Format, ImageRequest, Observer, edit, encode, paint};
use tokio::sync::mpsc::{self, Sender};
use tokio_stream::wrappers::ReceiverStream;

use crate::{
    call::{Call, Chunks},
    error::ProviderError,
    fault_injection::Fault,
    image::{
        Edits, ImageEvent, ImageProvider, Usage,
        parameters::{Background, Encoding, ImageParameters, MAX_PIXELS, Quality, SIDES},
    },
    media::{InputPicture, PictureBudget, pixels},
    models::{Entry, Visibility},
    size::Size,
};

/// The model name of the built-in engine.
pub const MODEL: &str = "offline-image";

/// The size of images if the request has none.
const DEFAULT_SIZE: Size = Size::new(1024, 1024);

/// The capacity of the event channel: the events of one image, three previews, the usage and the final one.
const EVENTS: usize = 5;

/// The provider of the built-in engine. A budget limits its memory and threads.
#[derive(Debug, Clone)]
pub struct OfflineImage {
    budget: PictureBudget,
}

impl OfflineImage {
    /// Creates a provider.
    pub fn new(budget: PictureBudget) -> Self {
        Self { budget }
    }

    /// Generates the images one after the other. Stops when the receiver is dropped.
    async fn run(self, parameters: ImageParameters, events: Sender<Result<ImageEvent, ProviderError>>) {
        let parameters = Arc::new(parameters);
        for index in 0..parameters.n {
            let size = output_size(&parameters);
            // Input images are decoded one after the other and scaled to cover the output.
            let largest_input =
                parameters.pictures.iter().map(|picture| picture.size.pixels()).max().unwrap_or_default();
            let pixels = size.pixels() * (1 + parameters.pictures.len() as u64) + largest_input;
            let (parameters, sender) = (Arc::clone(&parameters), events.clone());
            let generated = self.budget.generation().run(pixels, move || generate(&parameters, size, index, &sender));
            // A generation that has started ends by itself when the channel is closed.
            let generated = tokio::select! {
                generated = generated => generated.unwrap_or_else(|error| Err(broken(&error))),
                () = events.closed() => return,
            };
            let failed = generated.is_err();
            let finished = match generated {
                Ok((usage, finished)) => {
                    if events.send(Ok(ImageEvent::Usage(usage))).await.is_err() {
                        return;
                    }
                    Ok(finished)
                }
                Err(error) => Err(error),
            };
            if events.send(finished).await.is_err() || failed {
                return;
            }
        }
    }
}

/// Returns the entry of the engine, followed by hidden entries for fault injection.
pub fn entries(budget: PictureBudget) -> Vec<Entry<dyn ImageProvider>> {
    let provider = Arc::new(OfflineImage::new(budget));
    let entry = |id: &str, visibility| {
        let provider = provider.clone() as Arc<dyn ImageProvider>;
        Entry::built_in(id, &[], visibility, ["edit", "preview"], provider)
    };
    let faults = Fault::IMAGE.iter().map(|fault| entry(&fault.model(MODEL), Visibility::Hidden));
    std::iter::once(entry(MODEL, Visibility::Listed)).chain(faults).collect()
}

#[async_trait]
impl ImageProvider for OfflineImage {
    async fn generate(&self, call: Call<ImageParameters>) -> Result<Chunks<ImageEvent>, ProviderError> {
        if let Some(fault) = Fault::of(&call.model) {
            fault.before_first_event().await?;
        }
        let (sender, receiver) = mpsc::channel(EVENTS);
        // A task, so that generation does not wait for the stream to be polled. It ends when the channel is closed.
        tokio::spawn(self.clone().run(call.request, sender));
        Ok(ReceiverStream::new(receiver).boxed())
    }

    fn edits(&self, _model: &str) -> Edits {
        Edits { pictures: 16, mask: true }
    }
}

/// Returns the size of the images of a request.
fn output_size(parameters: &ImageParameters) -> Size {
    let first = parameters.pictures.first().map(|picture| valid_size(picture.size));
    parameters.size.or(first).unwrap_or(DEFAULT_SIZE)
}

/// Generates and encodes one image; returns its usage and final event. Blocks for up to seconds.
fn generate(
    parameters: &ImageParameters,
    size: Size,
    index: u32,
    events: &Sender<Result<ImageEvent, ProviderError>>,
) -> Result<(Usage, ImageEvent), ProviderError> {
    let request = ImageRequest {
        prompt: parameters.prompt.clone(),
        width: size.width,
        height: size.height,
        // Without a seed the first image equals that of a request for one image.
        seed: match (parameters.seed, index) {
            (None, 0) => None,
            (seed, index) => Some(seed.unwrap_or_default().wrapping_add(index.into())),
        },
        quality: match parameters.quality {
            Quality::Low => offline_image::Quality::Low,
            Quality::Auto | Quality::Standard | Quality::Medium => offline_image::Quality::Standard,
            Quality::High | Quality::Hd | Quality::Xhigh | Quality::Max => offline_image::Quality::High,
        },
        transparent: parameters.background == Background::Transparent,
    };
    let observer = EventObserver { events, parameters, index, previews: AtomicU32::new(0) };
    let picture = if parameters.pictures.is_empty() {
        paint(&request, &observer)
    } else {
        let load =
            |picture: &InputPicture| if events.is_closed() { Err(cancelled()) } else { load(&picture.bytes, size) };
        let pictures = parameters.pictures.iter().map(load).collect::<Result<Vec<_>, _>>()?;
        let mask = parameters.mask.as_ref().map(load).transpose()?;
        edit(&request, &pictures, mask.as_ref(), &observer)
    };
    let picture = picture.map_err(|_| cancelled())?;
    let picture = encode_as(&picture, parameters.format)?;
    let finished = ImageEvent::Finished { index, picture, revised_prompt: String::new() };
    Ok((usage::usage(parameters, index, size), finished))
}

/// Receives the engine's previews and reports a cancellation to it.
#[derive(Debug)]
struct EventObserver<'a> {
    events: &'a Sender<Result<ImageEvent, ProviderError>>,
    parameters: &'a ImageParameters,
    index: u32,
    /// Previews sent so far.
    previews: AtomicU32,
}

impl Observer for EventObserver<'_> {
    fn wants_previews(&self) -> u8 {
        u8::try_from(self.parameters.partial_images).unwrap_or(u8::MAX)
    }

    fn preview(&self, _share_done: f32, picture: &RgbaImage) {
        // A slow receiver misses previews instead of delaying the image.
        let Ok(permit) = self.events.try_reserve() else { return };
        if let Ok(picture) = encode_as(picture, self.parameters.format) {
            let preview_index = self.previews.fetch_add(1, Ordering::Relaxed);
            permit.send(Ok(ImageEvent::Preview { index: self.index, preview_index, picture }));
        }
    }

    /// Returns whether the receiver was dropped.
    fn cancelled(&self) -> bool {
        self.events.is_closed()
    }
}

fn encode_as(picture: &RgbaImage, format: Encoding) -> Result<Bytes, ProviderError> {
    let format = match format {
        Encoding::Png => Format::Png,
        Encoding::Jpeg { quality } => Format::Jpeg { quality },
        Encoding::Webp { .. } => Format::WebP,
    };
    encode(picture, format).map(Bytes::from).map_err(|error| broken(&error))
}

/// Returns the default size of an edit: the size of the input image, adjusted to the limits of requests.
fn valid_size(size: Size) -> Size {
    let Size { width, height } = scaled_to_limits(size);
    let at_least_min = |side: u32| side.max(*SIDES.start());
    Size::new(at_least_min(width), at_least_min(height))
}

/// Scales a size down to the maximum number of pixels and the maximum side, keeping its ratio.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "the result is at most the length of a given side"
)]
fn scaled_to_limits(Size { width, height }: Size) -> Size {
    let max_scale = f64::from(*SIDES.end()) / f64::from(width.max(height));
    let pixels = f64::from(width) * f64::from(height);
    let scale = (MAX_PIXELS as f64 / pixels).sqrt().min(max_scale).min(1.0);
    // The epsilon keeps rounding errors from costing a pixel.
    let side = |side: u32| ((f64::from(side) * scale + 1e-6) as u32).max(1);
    Size::new(side(width), side(height))
}

/// Decodes an input image and scales it down so that it just covers `size`: sixteen of the largest would exhaust the memory.
fn load(bytes: &[u8], size: Size) -> Result<RgbaImage, ProviderError> {
    let picture = pixels::decode(bytes).map_err(|error| broken(&error))?.into_rgba8();
    let original = Size::new(picture.width(), picture.height());
    let (width, height) = (u64::from(original.width), u64::from(original.height));
    // The scale that covers `size` is `cover / area`; the engine crops to the exact size.
    let area = width * height;
    let cover = area.min((u64::from(size.width) * height).max(u64::from(size.height) * width));
    let covering = |side: u64| u32::try_from((side * cover).div_ceil(area)).unwrap_or(u32::MAX);
    let target = scaled_to_limits(Size::new(covering(width), covering(height)));
    if target == original {
        return Ok(picture);
    }
    Ok(imageops::thumbnail(&picture, target.width, target.height))
}

fn broken(error: &dyn std::fmt::Display) -> ProviderError {
    ProviderError::Broken(format!("the built-in engine failed: {error}"))
}

fn cancelled() -> ProviderError {
    ProviderError::Broken("the generation was cancelled".to_owned())
}

#[cfg(test)]
mod tests;
