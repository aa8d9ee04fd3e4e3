//! The transfer of one file: limited in size and time, resumed once after it was interrupted.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use reqwest::Response;
use tokio::time::timeout;

use super::{
    links::{LinkClient, connection_failed, timed_out},
    origin::TrustedOrigin,
};
use crate::error::ProviderError;

/// A transfer in progress.
#[derive(Debug)]
pub(super) struct Transfer {
    client: LinkClient,
    link: String,
    origin: TrustedOrigin,
    response: Response,
    /// How many bytes [`next`](Self::next) has returned.
    received: u64,
    /// How many bytes of the response to skip: a response without a range repeats those that were received.
    skip: u64,
    max_bytes: u64,
    /// The `ETag` or `Last-Modified` of the file, which its rest must have too. `None`: the transfer cannot be resumed.
    validator: Option<HeaderValue>,
    resumed: bool,
}

impl Transfer {
    /// Requests the file, and checks its announced length.
    pub(super) async fn begin(
        client: LinkClient,
        link: &str,
        origin: &TrustedOrigin,
        max_bytes: u64,
    ) -> Result<Self, ProviderError> {
        let response = client.get(link, origin, None).await?;
        if response.status() == StatusCode::PARTIAL_CONTENT {
            let message = "the provider's link responded with status 206 to a request without a range";
            return Err(ProviderError::Unreadable(message.to_owned()));
        }
        if response.content_length().is_some_and(|length| length > max_bytes) {
            return Err(too_large(max_bytes));
        }
        let validator = validator(response.headers());
        let (link, origin) = (link.to_owned(), origin.clone());
        Ok(Self { client, link, origin, response, received: 0, skip: 0, max_bytes, validator, resumed: false })
    }

    /// Returns the next bytes, or `None` at the end of the file.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, ProviderError> {
        loop {
            let error = match timeout(self.client.settings().idle_timeout, self.response.chunk()).await {
                Ok(Ok(Some(mut chunk))) => {
                    let skipped = usize::try_from(self.skip).map_or(chunk.len(), |skip| skip.min(chunk.len()));
                    drop(chunk.split_to(skipped));
                    self.skip -= skipped as u64;
                    if chunk.is_empty() {
                        continue;
                    }
                    self.received += chunk.len() as u64;
                    if self.received > self.max_bytes {
                        return Err(too_large(self.max_bytes));
                    }
                    return Ok(Some(chunk));
                }
                // reqwest reports a body that is shorter than announced as an error, not as its end.
                Ok(Ok(None)) if self.skip == 0 => return Ok(None),
                Ok(Ok(None)) => not_resumable(),
                Ok(Err(error)) => connection_failed(&error),
                Err(_) => timed_out(),
            };
            match self.validator.clone() {
                Some(validator) if !self.resumed && error.is_transient() => self.resume(&validator).await?,
                Some(_) | None => return Err(error),
            }
        }
    }

    /// Reads all remaining bytes.
    pub(super) async fn read_to_end(&mut self) -> Result<Bytes, ProviderError> {
        // Not allocated by Content-Length, which the server could set to any value.
        let mut body = BytesMut::new();
        while let Some(chunk) = self.next().await? {
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    /// Returns whether the transfer was interrupted once.
    pub(super) fn was_resumed(&self) -> bool {
        self.resumed
    }

    async fn resume(&mut self, known: &HeaderValue) -> Result<(), ProviderError> {
        self.resumed = true;
        tracing::debug!(received = self.received, "resuming an interrupted download from a provider");
        let response = self.client.get(&self.link, &self.origin, Some((self.received, known))).await?;
        if response.status() == StatusCode::PARTIAL_CONTENT {
            if range_start(response.headers()) != Some(self.received) {
                return Err(not_resumable());
            }
            self.skip = 0;
        } else {
            // A server without ranges sends the whole file. With another validator it is another file.
            if validator(response.headers()).as_ref() != Some(known) {
                return Err(not_resumable());
            }
            self.skip = self.received;
        }
        self.response = response;
        Ok(())
    }
}

/// Returns a strong entity tag, else the date of the last modification.
fn validator(headers: &HeaderMap) -> Option<HeaderValue> {
    let tag = headers.get(header::ETAG).filter(|tag| tag.as_bytes().starts_with(b"\""));
    tag.or_else(|| headers.get(header::LAST_MODIFIED)).cloned()
}

/// Returns the first byte of a part: 100 for `Content-Range: bytes 100-199/200`.
fn range_start(headers: &HeaderMap) -> Option<u64> {
    let range = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split('-').next()?.trim().parse().ok()
}

fn too_large(max_bytes: u64) -> ProviderError {
    ProviderError::Unreadable(format!("the file behind the provider's link is longer than {max_bytes} bytes"))
}

fn not_resumable() -> ProviderError {
    ProviderError::Broken("the download from the provider's link was interrupted and could not be resumed".to_owned())
}
