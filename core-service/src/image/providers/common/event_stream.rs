//! Responses that arrive as server-sent events.

use std::time::Duration;

use bytes::Bytes;
use http::header;
use tokio::time::Instant;

use crate::{
    error::ProviderError,
    offload::on_blocking_thread,
    upstream::{Event, EventReader, Timeouts, UpstreamResponse, parse_error_member, until, within},
};

/// Returns whether a response is an event stream.
pub(in crate::image::providers) fn is_event_stream(reply: &UpstreamResponse) -> bool {
    let content_type = reply.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type
        .is_some_and(|content_type| content_type.trim_start().to_ascii_lowercase().starts_with("text/event-stream"))
}

/// A streamed response. Dropping it closes the connection, which cancels the work at the upstream.
pub(in crate::image::providers) struct EventStream {
    reply: UpstreamResponse,
    reader: EventReader,
    timeouts: Timeouts,
    /// The maximum time to the next bytes: `timeouts.first_byte` before the first ones, which come with the first image, then
    /// `timeouts.idle`.
    idle_timeout: Duration,
    deadline: Option<Instant>,
    /// The first event that could not be interpreted.
    unreadable: Option<ProviderError>,
}

impl EventStream {
    pub(in crate::image::providers) fn new(
        reply: UpstreamResponse,
        timeouts: Timeouts,
        deadline: Option<Instant>,
    ) -> Self {
        Self {
            reply,
            reader: EventReader::default(),
            timeouts,
            idle_timeout: timeouts.first_byte,
            deadline,
            unreadable: None,
        }
    }

    /// Returns the next event, parsed, and whether the stream ended with it. An event that cannot be interpreted is skipped:
    /// the finished image may follow.
    ///
    /// A broken connection counts as the end; the caller knows whether the last event was the final one. If no event is left at
    /// the end, the result is `T::default()`.
    ///
    /// # Errors
    /// An error that the upstream reports; at the end, [`ProviderError::Unreadable`] if an event was skipped.
    pub(in crate::image::providers) async fn next<T: Default + Send + 'static>(
        &mut self,
        parse: fn(&[u8]) -> Result<T, ProviderError>,
    ) -> Result<(T, bool), ProviderError> {
        loop {
            if let Some(event) = self.reader.next_event()? {
                match parse_event(&event, parse).await {
                    Err(ProviderError::Unreadable(message)) => skip(&mut self.unreadable, message),
                    event => return Ok((event?, false)),
                }
                continue;
            }
            let until = until(self.idle_timeout, self.deadline);
            if let Ok(Some(bytes)) = within(until, self.reply.chunk()).await? {
                self.reader.push(&bytes);
                self.idle_timeout = self.timeouts.idle;
                continue;
            }
            let last = match self.reader.finish()? {
                Some(event) => parse_event(&event, parse).await?,
                None => return self.unreadable.take().map_or_else(|| Ok((T::default(), true)), Err),
            };
            return Ok((last, true));
        }
    }
}

/// Logs an event that cannot be interpreted, and keeps the first one.
fn skip(first: &mut Option<ProviderError>, message: String) {
    if first.is_none() {
        tracing::warn!("skipped an event of an image stream: {message}");
        *first = Some(ProviderError::Unreadable(message));
    }
}

/// Parses an event on a blocking thread; an empty event is `T::default()`.
async fn parse_event<T: Default + Send + 'static>(
    event: &Event<'_>,
    parse: fn(&[u8]) -> Result<T, ProviderError>,
) -> Result<T, ProviderError> {
    let data = match event {
        Event::Data(data) => data.trim_ascii(),
        Event::Error(error) => return Err(parse_error_member(&String::from_utf8_lossy(error))),
    };
    if data.is_empty() {
        return Ok(T::default());
    }
    // The caller stops reading at the final event: this marker has come before it.
    if data.starts_with(b"[DONE]") {
        return Err(truncated());
    }
    let data = Bytes::copy_from_slice(data);
    on_blocking_thread(move || parse(&data)).await
}

/// Returns the error for a stream that ended before its final event.
pub(in crate::image::providers) fn truncated() -> ProviderError {
    ProviderError::Broken("the upstream's stream ended before the image was finished".to_owned())
}
