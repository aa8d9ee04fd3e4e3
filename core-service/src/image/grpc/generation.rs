//! The images of one request, from the provider's events to the messages of the response.

use std::{collections::BTreeMap, time::Duration};

use futures_util::{Stream, TryStreamExt, stream};
use http_server::Reservation;
use tokio::time::Instant;
use triptych_proto::{
    time,
    v1::{self as pb, stream_images_response::Event},
};
use triptych_telemetry::{CallReport, Tokens};

use super::outcomes::Outcomes;
use crate::{
    call::Chunks,
    context::before_deadline,
    error::Error,
    image::{
        ImageEvent,
        parameters::ImageParameters,
        resize::{ImageResizer, Resized, Target},
        response,
        validate::Delivery,
    },
    ledger::CallMeter,
    limits::Admission,
    media::MediaStore,
    prices::Quantities,
    size::Size,
    usd::Usd,
};

/// The upper limit of the safety margin before a deadline; see [`response_deadline`].
const MAX_MARGIN: Duration = Duration::from_secs(1);

/// The assumed size of an image for which the request has none, in pixels.
const DEFAULT_PIXELS: u64 = 4 << 20;
/// The assumed size of an encoded image, in bytes for each pixel: that of a photograph as PNG.
const BYTES_PER_PIXEL: u64 = 2;

/// Returns the memory that the images of a response are expected to take, in bytes.
pub(super) fn response_bytes(parameters: &ImageParameters, delivery: Delivery) -> u64 {
    let image = parameters.size.map_or(DEFAULT_PIXELS, Size::pixels) * BYTES_PER_PIXEL;
    let image = match delivery {
        Delivery::Link => image,
        Delivery::Bytes => delivered_bytes(image),
    };
    image * u64::from(parameters.n)
}

/// Returns the memory of an image that is delivered as bytes: itself, and once more as base64 in the response.
pub(super) fn delivered_bytes(bytes: u64) -> u64 {
    bytes + bytes * 4 / 3
}

/// A running generation.
pub(super) struct Generation {
    pub(super) events: Chunks<ImageEvent>,
    pub(super) outcomes: Outcomes,
    /// The public name of the model.
    pub(super) model: String,
    /// The size and format that images are converted to.
    pub(super) target: Target,
    pub(super) delivery: Delivery,
    pub(super) deadline: Option<Instant>,
    /// How many more bytes of images fit into the message of a complete response. No limit for a stream, whose images have messages of
    /// their own.
    pub(super) bytes_left: usize,
    /// The memory of the images, from the call of the provider to the end of the response.
    pub(super) memory: Reservation,
    /// Counts the call as in flight.
    pub(super) _admission: Admission,
    /// Settles the cost when the generation is dropped.
    pub(super) meter: CallMeter,
    /// What the provider has delivered so far.
    pub(super) used: Quantities,
    /// What the events of a stream have reported of the cost so far.
    pub(super) reported_cost: Usd,
    pub(super) report: CallReport,
    pub(super) resizer: ImageResizer,
    pub(super) media_store: MediaStore,
}

/// The state of a streamed response. Failures of single images are reported after the last image.
enum StreamState {
    Generating(Box<Generation>),
    ReportingFailures(std::vec::IntoIter<pb::ImageFailure>),
}

impl Generation {
    /// Waits for all images and returns them in one response. Once an image is finished, waits until `response_deadline`
    /// instead of the deadline of the call, and reports the missing images as failures.
    pub(super) async fn unary(
        mut self,
        response_deadline: Option<Instant>,
    ) -> Result<pb::GenerateImagesResponse, Error> {
        let mut pictures = BTreeMap::new();
        let cause = loop {
            let until = if pictures.is_empty() { self.deadline } else { response_deadline };
            match before_deadline(until, self.next()).await {
                Ok(Some(Event::Finished(pb::ImageFinished { picture_index, picture, .. }))) => {
                    pictures.insert(picture_index, picture.unwrap_or_default());
                }
                Ok(Some(Event::Preview(_) | Event::Failed(_))) => {}
                Ok(None) => break None,
                // Finished images may have been billed, so they are returned in spite of the error.
                Err(Error::Provider(error)) if !pictures.is_empty() => break Some(error),
                Err(error) => return Err(error),
            }
        };
        let Self { mut outcomes, model, .. } = self;
        let usage = outcomes.take_usage();
        let failures = outcomes.into_failures(cause)?;
        let pictures = pictures.into_values().collect();
        Ok(pb::GenerateImagesResponse { create_time: Some(time::now()), model, pictures, usage, failures })
    }

    /// Returns the messages of a streamed response. An error is the last item and cancels the provider's work.
    pub(super) fn into_stream(self) -> impl Stream<Item = Result<pb::StreamImagesResponse, Error>> + Send + 'static {
        let events = stream::try_unfold(StreamState::Generating(Box::new(self)), |state| async move {
            before_deadline(state.deadline(), state.next()).await
        });
        events.map_ok(|event| pb::StreamImagesResponse { event: Some(event) })
    }

    /// Returns the next preview or finished image; `None` at the end.
    ///
    /// Not cancel-safe: a dropped call loses the event that it was processing, and its image counts as missing.
    async fn next(&mut self) -> Result<Option<Event>, Error> {
        // Nothing after the last image is read.
        while self.outcomes.has_pending()
            && let Some(event) = self.events.try_next().await.inspect_err(|_| self.meter.fail())?
        {
            let create_time = Some(time::now());
            match event {
                ImageEvent::Preview { index, preview_index, picture } => {
                    self.outcomes.check_pending(index)?;
                    let target = Target { keep_original: false, ..self.target };
                    match self.resizer.resize(picture, target).await {
                        Ok(Resized { image, .. }) => {
                            let picture = Some(response::picture(image, String::new()));
                            let preview = pb::ImagePreview {
                                picture_index: index,
                                partial_index: preview_index,
                                picture,
                                create_time,
                            };
                            return Ok(Some(Event::Preview(preview)));
                        }
                        // The finished image may be valid nevertheless.
                        Err(error) => tracing::debug!(%error, "skipped an invalid preview"),
                    }
                }
                ImageEvent::Finished { index, picture, revised_prompt } => {
                    let resized = match self.resizer.resize(picture, self.target).await {
                        Ok(resized) => resized,
                        // The other images may be valid.
                        Err(error) => {
                            self.outcomes.record_failed(index, error)?;
                            continue;
                        }
                    };
                    let picture = Some(self.deliver(resized, revised_prompt).await?);
                    self.outcomes.record_finished(index)?;
                    self.used.images += 1;
                    self.meter.record(self.used);
                    let finished = pb::ImageFinished {
                        picture_index: index,
                        picture,
                        create_time,
                        ..pb::ImageFinished::default()
                    };
                    return Ok(Some(Event::Finished(finished)));
                }
                ImageEvent::Failed { index, error } => self.outcomes.record_failed(index, error)?,
                ImageEvent::Usage(usage) => {
                    self.used.input_tokens = self.used.input_tokens.saturating_add(usage.input);
                    self.used.output_tokens = self.used.output_tokens.saturating_add(usage.output);
                    self.meter.record(self.used);
                    let (input, output) = (usage.input, usage.output);
                    self.report.add_tokens(Tokens { input, output, ..Tokens::default() });
                    self.outcomes.add_usage(usage);
                }
            }
        }
        Ok(None)
    }

    /// Returns the cost since the last call of this function; `None` if the model has no price.
    fn take_cost(&mut self) -> Option<Usd> {
        let cost = self.meter.cost(self.used)?;
        let earlier = std::mem::replace(&mut self.reported_cost, cost);
        Some(cost.minus(earlier))
    }

    /// Returns the message for an image. Stores the image if it is delivered as a link or no longer fits into the response.
    async fn deliver(&mut self, resized: Resized, revised_prompt: String) -> Result<pb::Picture, Error> {
        let Resized { image, original } = resized;
        let original_media_key = match original {
            Some(original) => self.media_store.put_content(original.data, original.media_type).await?.key,
            None => String::new(),
        };
        let (data, media_type) = (image.data.clone(), image.media_type);
        let picture = pb::Picture { original_media_key, ..response::picture(image, revised_prompt) };
        if self.delivery == Delivery::Bytes
            && let Some(bytes_left) = self.bytes_left.checked_sub(data.len())
        {
            self.bytes_left = bytes_left;
            let memory = self.memory.split(usize::try_from(delivered_bytes(data.len() as u64)).unwrap_or(usize::MAX));
            return Ok(pb::Picture { data: memory.attach(data), ..picture });
        }
        let media_key = self.media_store.put_content(data, media_type).await?.key;
        Ok(pb::Picture { data: bytes::Bytes::new(), media_key, ..picture })
    }
}

impl StreamState {
    fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Generating(generation) => generation.deadline,
            Self::ReportingFailures(_) => None,
        }
    }

    /// Returns the next event: previews and finished images as they arrive, then the failures.
    async fn next(self) -> Result<Option<(Event, Self)>, Error> {
        let mut failures = match self {
            Self::ReportingFailures(failures) => failures,
            Self::Generating(mut generation) => match generation.next().await {
                Ok(Some(Event::Finished(finished))) => {
                    let usage = generation.outcomes.take_usage();
                    let cost_micros = generation.take_cost().map(Usd::micros);
                    let event = Event::Finished(pb::ImageFinished { usage, cost_micros, ..finished });
                    return Ok(Some((event, Self::Generating(generation))));
                }
                Ok(Some(event)) => return Ok(Some((event, Self::Generating(generation)))),
                Ok(None) => generation.outcomes.into_failures(None)?.into_iter(),
                Err(error) => return Err(error),
            },
        };
        Ok(failures.next().map(|failure| (Event::Failed(failure), Self::ReportingFailures(failures))))
    }
}

/// Returns when a partial response must be sent so that it arrives before the deadline of the call.
///
/// The transports of both sides enforce the deadline as well. They started counting earlier and discard a response that
/// arrives too late. The margin is a twentieth of the remaining time, at most [`MAX_MARGIN`].
pub(super) fn response_deadline(deadline: Instant) -> Instant {
    let left = deadline.saturating_duration_since(Instant::now());
    deadline - MAX_MARGIN.min(left / 20)
}
