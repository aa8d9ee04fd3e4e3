//! The hosted tool `image_generation`: calls of the image service between two turns of the model.

use std::collections::VecDeque;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures_util::{StreamExt, stream::BoxStream};
use openai_dialect::responses::{Event, GeneratedImage, ImageCall, ResponseWriter};
use tonic::Status;
use triptych_proto::v1::{
    self as pb, image_service_server::ImageService, media_input::Source, stream_images_response::Event as ImageEvent,
};
use triptych_telemetry::Tokens;

use super::super::calls::{CallIdentity, ModelCalls};
use crate::{ledger::COST, usd::Usd};

/// The image calls of one turn, which are executed one after the other: each counts as a call in flight of the caller.
pub(super) struct Images {
    waiting: VecDeque<ImageCall>,
    current: Option<Current>,
    tokens: Tokens,
    /// The cost of the calls without previews: only their responses have it, in the metadata.
    cost: Option<Usd>,
}

/// The call that is being executed.
struct Current {
    call: ImageCall,
    /// `None` before the image service was called.
    messages: Option<Messages>,
}

type Messages = BoxStream<'static, Result<pb::StreamImagesResponse, Status>>;

/// The result of a step.
pub(super) enum ImageStep {
    /// Events, or none yet.
    Events(Vec<Event>),
    /// All calls have ended.
    Ended { tokens: Tokens, cost: Option<Usd> },
}

impl Images {
    pub(super) fn new(waiting: VecDeque<ImageCall>) -> Self {
        Self { waiting, current: None, tokens: Tokens::default(), cost: None }
    }

    /// Begins the next call, or continues the current one. Not cancel-safe.
    pub(super) async fn step(
        &mut self,
        calls: &ModelCalls,
        identity: &CallIdentity,
        streamed: bool,
        writer: &mut ResponseWriter,
    ) -> ImageStep {
        let Some(Current { call, messages }) = self.current.take() else {
            let Some(call) = self.waiting.pop_front() else {
                return ImageStep::Ended { tokens: self.tokens, cost: self.cost };
            };
            let events = writer.image_in_progress(&call);
            self.current = Some(Current { call, messages: None });
            return ImageStep::Events(events);
        };
        let Some(mut messages) = messages else {
            if !streamed {
                return ImageStep::Events(self.generate(call, calls, identity, writer).await);
            }
            let request = request(&call).map(|image| pb::StreamImagesRequest {
                image: Some(image),
                idempotency_key: String::new(),
                partial_images: call.partial_images,
            });
            let started = match request {
                Ok(request) => calls.image.stream_images(identity.tool_call(request)).await,
                Err(message) => return ImageStep::Events(writer.image_failed(&call, &message)),
            };
            return ImageStep::Events(match started {
                Ok(messages) => {
                    self.current = Some(Current { call, messages: Some(messages.into_inner()) });
                    Vec::new()
                }
                Err(status) => writer.image_failed(&call, status.message()),
            });
        };
        let event = match messages.next().await {
            Some(Ok(message)) => message.event,
            Some(Err(status)) => return ImageStep::Events(writer.image_failed(&call, status.message())),
            None => return ImageStep::Events(writer.image_failed(&call, "the image provider returned no image")),
        };
        ImageStep::Events(match event {
            Some(ImageEvent::Preview(preview)) => {
                let data = preview.picture.map(|picture| STANDARD.encode(&picture.data)).unwrap_or_default();
                let events = writer.image_partial(&call, &data);
                self.current = Some(Current { call, messages: Some(messages) });
                events
            }
            Some(ImageEvent::Finished(finished)) => {
                self.add_usage(finished.usage.as_ref());
                complete(writer, &call, finished.picture)
            }
            Some(ImageEvent::Failed(failed)) => writer.image_failed(&call, &failed.message),
            None => {
                self.current = Some(Current { call, messages: Some(messages) });
                Vec::new()
            }
        })
    }

    /// Executes a call without previews.
    async fn generate(
        &mut self,
        call: ImageCall,
        calls: &ModelCalls,
        identity: &CallIdentity,
        writer: &mut ResponseWriter,
    ) -> Vec<Event> {
        let image = match request(&call) {
            Ok(image) => Some(image),
            Err(message) => return writer.image_failed(&call, &message),
        };
        let request = pb::GenerateImagesRequest { image, idempotency_key: String::new() };
        match calls.image.generate_images(identity.tool_call(request)).await {
            Ok(reply) => {
                let (metadata, reply, _) = reply.into_parts();
                let cost = metadata.get(COST).and_then(|value| value.to_str().ok()).and_then(Usd::parse);
                if let Some(cost) = cost {
                    *self.cost.get_or_insert_default() += cost;
                }
                self.add_usage(reply.usage.as_ref());
                complete(writer, &call, reply.pictures.into_iter().next())
            }
            Err(status) => writer.image_failed(&call, status.message()),
        }
    }

    fn add_usage(&mut self, usage: Option<&pb::ImageUsage>) {
        if let Some(usage) = usage {
            self.tokens.input += usage.input_tokens;
            self.tokens.output += usage.output_tokens;
        }
    }
}

/// Ends a call with its picture.
fn complete(writer: &mut ResponseWriter, call: &ImageCall, picture: Option<pb::Picture>) -> Vec<Event> {
    let Some(picture) = picture.filter(|picture| !picture.data.is_empty()) else {
        return writer.image_failed(call, "the image is too large for a message (grpc.max_message_bytes)");
    };
    let image = GeneratedImage {
        base64: STANDARD.encode(&picture.data),
        revised_prompt: Some(picture.revised_prompt).filter(|prompt| !prompt.is_empty()),
        size: Some(format!("{}x{}", picture.width, picture.height)),
        quality: call.quality.clone(),
        background: call.background.clone(),
        output_format: picture.media_type.strip_prefix("image/").map(str::to_owned),
    };
    writer.image_completed(call, &image)
}

/// Returns the request for the image service.
///
/// # Errors
/// A message about an input image whose `data:` URL is not valid base64.
fn request(call: &ImageCall) -> Result<pb::ImageRequest, String> {
    let pictures = call.input_images.iter().map(|url| input(url)).collect::<Result<_, _>>()?;
    let mut extra = serde_json::Map::new();
    for (name, value) in [("moderation", &call.moderation), ("input_fidelity", &call.input_fidelity)] {
        if let Some(value) = value {
            extra.insert(name.to_owned(), value.clone().into());
        }
    }
    Ok(pb::ImageRequest {
        model: call.model.clone().unwrap_or_default(),
        prompt: call.prompt.clone(),
        size: call.size.clone().unwrap_or_default(),
        quality: call.quality.clone().unwrap_or_default(),
        background: call.background.clone().unwrap_or_default(),
        output_format: call.output_format.clone().unwrap_or_default(),
        output_compression: call.output_compression,
        pictures,
        mask: call.mask.as_deref().map(input).transpose()?,
        delivery: pb::ImageDelivery::Bytes.into(),
        extra_json: if extra.is_empty() { String::new() } else { serde_json::Value::from(extra).to_string() },
        ..pb::ImageRequest::default()
    })
}

/// Returns the input image behind a URL: the content of a `data:` URL, or any other URL itself.
fn input(url: &str) -> Result<pb::MediaInput, String> {
    let is_data = url.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"));
    let source = if is_data {
        let data = openai_dialect::base64::decode(url).ok_or("an input image is no valid base64")?;
        Source::Data(Bytes::from(data))
    } else {
        Source::Url(url.to_owned())
    };
    Ok(pb::MediaInput { source: Some(source) })
}
