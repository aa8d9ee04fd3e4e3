//! What the answers of different upstreams have in common.

use std::time::Duration;

use base64::{
    Engine,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;
use http::header;
use tokio::time::Instant;

use crate::{
    error::ProviderError,
    upstream::{Event, EventReader, Limits, Reply, failure_in_reply, until, within},
};

/// Servers differ in whether they pad.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A picture in base64, with or without the beginning of a `data:` address.
pub(super) fn decoded(encoded: &str) -> Result<Bytes, ProviderError> {
    let encoded = match encoded.strip_prefix("data:") {
        Some(address) => address.split_once(',').map_or("", |(_, encoded)| encoded),
        None => encoded,
    };
    let bytes = BASE64.decode(encoded.trim_ascii());
    bytes.map(Bytes::from).map_err(|_| ProviderError::Unreadable("the upstream's picture is no base64".to_owned()))
}

/// Whether an answer comes as events.
pub(super) fn is_stream(reply: &Reply) -> bool {
    let kind = reply.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    kind.is_some_and(|kind| kind.trim_start().starts_with("text/event-stream"))
}

/// A streamed answer under way. Dropping it closes the connection, which is what stops the upstream.
pub(super) struct Streamed {
    reply: Reply,
    reader: EventReader,
    limits: Limits,
    /// How long the next piece may take: the first one comes with the first picture.
    patience: Duration,
    deadline: Option<Instant>,
}

impl Streamed {
    pub(super) fn new(reply: Reply, limits: Limits, deadline: Option<Instant>) -> Self {
        Self { reply, reader: EventReader::default(), limits, patience: limits.first_byte, deadline }
    }

    /// What the next event tells, and whether it was the last: then the stream is over or broken, and what matters is
    /// whether that event told all.
    pub(super) async fn next<T: Default + Send + 'static>(
        &mut self,
        read: fn(&[u8]) -> Result<T, ProviderError>,
    ) -> Result<(T, bool), ProviderError> {
        loop {
            if let Some(event) = self.reader.next_event()? {
                return Ok((event_of(&event, read).await?, false));
            }
            let until = until(self.patience, self.deadline);
            if let Ok(Some(bytes)) = within(until, self.reply.chunk()).await? {
                self.reader.push(&bytes);
                self.patience = self.limits.idle;
                continue;
            }
            return Ok(match self.reader.finish()? {
                Some(event) => (event_of(&event, read).await?, true),
                None => (T::default(), true),
            });
        }
    }
}

/// Reads an event of a stream that has not told its end; the default where it is empty. `read` runs off the async threads.
async fn event_of<T: Default + Send + 'static>(
    event: &Event<'_>,
    read: fn(&[u8]) -> Result<T, ProviderError>,
) -> Result<T, ProviderError> {
    let data = match event {
        Event::Data(data) => data.trim_ascii(),
        Event::Error(error) => return Err(failure_in_reply(&String::from_utf8_lossy(error))),
    };
    if data.is_empty() {
        return Ok(T::default());
    }
    if data.starts_with(b"[DONE]") {
        return Err(cut_off());
    }
    let data = Bytes::copy_from_slice(data);
    offloaded(move || read(&data)).await
}

/// A stream ended too early.
pub(super) fn cut_off() -> ProviderError {
    ProviderError::Broken("the upstream's stream ended before the picture was finished".to_owned())
}

/// Reads off the async threads: an answer may hold dozens of megabytes of base64.
pub(super) async fn offloaded<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, ProviderError> + Send + 'static,
) -> Result<T, ProviderError> {
    tokio::task::spawn_blocking(read).await.unwrap_or_else(|error| {
        tracing::error!("reading an upstream's answer: {error}");
        Err(ProviderError::Unreadable("the upstream's answer cannot be read".to_owned()))
    })
}
