//! The generation of one image by a Gemini model: sends the request, reads the response, and retries once if the model returned no
//! image.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt, stream};
use tokio::time::Instant;

use super::{
    super::common::{
        event_stream::{is_event_stream, truncated},
        request::{JSON, headers, post},
    },
    family::NativeParams,
    request::{self, Attempt},
    response::{Completion, PartialResponse},
};
use crate::{
    call::Call,
    error::ProviderError,
    google_errors::failure,
    image::{ImageEvent, parameters::ImageParameters},
    offload::on_blocking_thread,
    upstream::{Event, EventReader, Upstream, UpstreamResponse, until, within},
};

/// The number of attempts if the model returns text only or fails. Only unbilled attempts are repeated, unless
/// `retry_billed` is set.
const MAX_ATTEMPTS: u32 = 2;

/// The generation of one image.
pub(super) struct Generation {
    upstream: Upstream,
    retry_billed: bool,
    call: Arc<Call<ImageParameters>>,
    native: NativeParams,
    index: u32,
    /// Requests sent so far.
    attempts: u32,
    /// Previews yielded so far.
    previews: u32,
    response: Option<OpenResponse>,
}

/// A response that is being read. Dropping it closes the connection, which cancels the work at the upstream.
struct OpenResponse {
    reply: Option<UpstreamResponse>,
    /// Reads the events of a streamed response; `None` if the response is not a stream.
    events: Option<EventReader>,
    /// The maximum time to the next bytes of a stream: `first_byte` before the first ones, which come with the first preview,
    /// then `idle`.
    idle_timeout: Duration,
    /// The deadline for the body of a response that is not a stream.
    until: Instant,
    content: PartialResponse,
}

impl Generation {
    pub(super) fn new(
        upstream: Upstream,
        retry_billed: bool,
        call: Arc<Call<ImageParameters>>,
        native: NativeParams,
        index: u32,
    ) -> Self {
        Self { upstream, retry_billed, call, native, index, attempts: 0, previews: 0, response: None }
    }

    pub(super) fn events(self) -> impl Stream<Item = Result<ImageEvent, ProviderError>> + Send + 'static {
        let events = stream::try_unfold(Some(self), |generation| async move {
            let Some(generation) = generation else { return Ok(None) };
            let upstream = generation.upstream.clone();
            generation.step().await.map(Some).map_err(|error| upstream.redacted(error))
        });
        events.map_ok(|events| stream::iter(events.into_iter().map(Ok))).try_flatten()
    }

    /// Advances by one step: sends a request, or reads the next part of the response. Returns the resulting events and the
    /// generation unless it is over.
    async fn step(mut self) -> Result<(Vec<ImageEvent>, Option<Self>), ProviderError> {
        let Some(mut response) = self.response.take() else {
            self.response = Some(self.send().await?);
            return Ok((Vec::new(), Some(self)));
        };
        let Self { index, native, .. } = self;
        if let Some(part) = response.next_part(&self.upstream, self.call.context.deadline).await? {
            let mut content = std::mem::take(&mut response.content);
            let (content, drafts) =
                on_blocking_thread(move || content.push(&part).map(|drafts| (content, drafts))).await?;
            response.content = content;
            self.response = Some(response);
            let partials = self.previews..native.previews;
            let previews = partials.zip(drafts).map(|(preview_index, picture)| ImageEvent::Preview {
                index,
                preview_index,
                picture,
            });
            let previews: Vec<_> = previews.collect();
            self.previews += u32::try_from(previews.len()).unwrap_or(u32::MAX);
            return Ok((previews, Some(self)));
        }
        let usage = response.content.usage();
        // Without usage nothing was billed.
        let may_retry = self.attempts < MAX_ATTEMPTS && (usage.is_none() || self.retry_billed);
        let usage = usage.map(ImageEvent::Usage);
        let last = match response.content.completion() {
            Completion::Image { picture, text } => ImageEvent::Finished { index, picture, revised_prompt: text },
            Completion::Retryable(error) if may_retry => {
                let error = self.upstream.redacted(error);
                tracing::info!(%error, "an image model returned no image; retrying");
                return Ok((usage.into_iter().collect(), Some(self)));
            }
            Completion::Retryable(error) | Completion::Final(error) => {
                ImageEvent::Failed { index, error: self.upstream.redacted(error) }
            }
        };
        Ok((usage.into_iter().chain([last]).collect(), None))
    }

    /// Sends the request, with an additional instruction if it is a retry.
    async fn send(&mut self) -> Result<OpenResponse, ProviderError> {
        let Self { upstream, call, native, index, attempts, .. } = self;
        let until = until(upstream.timeouts.first_byte, call.context.deadline);
        let (native, index) = (*native, *index);
        let attempt = if *attempts == 0 { Attempt::First } else { Attempt::Retry };
        *attempts += 1;
        let method = if native.previews > 0 { "streamGenerateContent?alt=sse" } else { "generateContent" };
        let path = format!("models/{}:{method}", call.model);
        let shared_call = Arc::clone(call);
        let body = on_blocking_thread(move || Ok(request::body(&shared_call.request, native, index, attempt))).await?;
        let reply = post(upstream, &path, headers(&call.context, JSON), body.into(), until, failure).await?;
        let events = is_event_stream(&reply).then(EventReader::default);
        let idle_timeout = upstream.timeouts.first_byte;
        Ok(OpenResponse { reply: Some(reply), events, idle_timeout, until, content: PartialResponse::default() })
    }
}

impl OpenResponse {
    /// Returns the next part of the response: the whole body, or the data of the next event. `None` at the end.
    async fn next_part(
        &mut self,
        upstream: &Upstream,
        deadline: Option<Instant>,
    ) -> Result<Option<Bytes>, ProviderError> {
        let Some(events) = &mut self.events else {
            let Some(reply) = self.reply.take() else { return Ok(None) };
            return upstream.body(reply, self.until).await.map(Some);
        };
        loop {
            if let Some(event) = events.next_event()? {
                if let Some(data) = data_of(&event) {
                    return Ok(Some(data));
                }
                continue;
            }
            let Some(reply) = &mut self.reply else {
                if self.content.has_image() || self.content.is_finished() {
                    return Ok(None);
                }
                return Err(self.content.unreadable().unwrap_or_else(truncated));
            };
            match within(until(self.idle_timeout, deadline), reply.chunk()).await {
                Ok(Ok(Some(bytes))) => {
                    events.push(&bytes);
                    self.idle_timeout = upstream.timeouts.idle;
                }
                Ok(Ok(None)) => {
                    self.reply = None;
                    if let Some(data) = events.finish()?.as_ref().and_then(data_of) {
                        return Ok(Some(data));
                    }
                }
                // With the image received, a broken or slow connection does no harm.
                Ok(Err(_)) | Err(_) if self.content.has_image() => self.reply = None,
                Ok(Err(broken)) => return Err(ProviderError::Broken(broken.to_string())),
                Err(timeout) => return Err(timeout),
            }
        }
    }
}

/// Returns the data of an event, if it has any. An error event is read like any other: its data has the member `error`.
fn data_of(event: &Event<'_>) -> Option<Bytes> {
    let (Event::Data(data) | Event::Error(data)) = event;
    let data = data.trim_ascii();
    (!data.is_empty() && data != b"[DONE]").then(|| Bytes::copy_from_slice(data))
}
