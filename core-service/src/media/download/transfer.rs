//! One file on its way from a provider: bounded, timed, and resumed once after a break.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use reqwest::Response;
use tokio::time::timeout;

use super::{Downloads, Own, broken, too_slow};
use crate::error::ProviderError;

/// A file of which `received` bytes were handed on.
#[derive(Debug)]
pub(super) struct Transfer {
    downloads: Downloads,
    link: String,
    own: Own,
    response: Response,
    received: u64,
    /// Bytes to leave out: an answer that begins anew repeats them.
    repeated: u64,
    max_bytes: u64,
    /// What the file must still be for its rest to fit. `None`: the server does not say.
    validator: Option<HeaderValue>,
    resumed: bool,
}

impl Transfer {
    pub(super) async fn begin(
        downloads: Downloads,
        link: &str,
        own: &Own,
        max_bytes: u64,
    ) -> Result<Self, ProviderError> {
        let response = downloads.ask(link, own, None).await?;
        if response.status() == StatusCode::PARTIAL_CONTENT {
            return Err(ProviderError::Unreadable("the provider's link answers with a part of the file".to_owned()));
        }
        if response.content_length().is_some_and(|length| length > max_bytes) {
            return Err(too_long(max_bytes));
        }
        let validator = validator(response.headers());
        let (link, own) = (link.to_owned(), own.clone());
        Ok(Self { downloads, link, own, response, received: 0, repeated: 0, max_bytes, validator, resumed: false })
    }

    /// The next bytes; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, ProviderError> {
        loop {
            let idle = self.downloads.shared.settings.idle;
            let error = match timeout(idle, self.response.chunk()).await {
                Ok(Ok(Some(mut chunk))) => {
                    let left_out = usize::try_from(self.repeated).map_or(chunk.len(), |left| left.min(chunk.len()));
                    drop(chunk.split_to(left_out));
                    self.repeated -= left_out as u64;
                    if chunk.is_empty() {
                        continue;
                    }
                    self.received += chunk.len() as u64;
                    if self.received > self.max_bytes {
                        return Err(too_long(self.max_bytes));
                    }
                    return Ok(Some(chunk));
                }
                // A body that is shorter than announced is an error of the client's, not an end.
                Ok(Ok(None)) if self.repeated == 0 => return Ok(None),
                Ok(Ok(None)) => changed(),
                Ok(Err(error)) => broken(&error),
                Err(_) => too_slow(),
            };
            match self.validator.clone() {
                Some(validator) if !self.resumed && error.is_transient() => self.resume(&validator).await?,
                Some(_) | None => return Err(error),
            }
        }
    }

    /// All that is left, in one piece.
    pub(super) async fn rest(&mut self) -> Result<Bytes, ProviderError> {
        // Not sized by the announced length: that is the server's claim.
        let mut whole = BytesMut::new();
        while let Some(chunk) = self.next().await? {
            whole.extend_from_slice(&chunk);
        }
        Ok(whole.freeze())
    }

    pub(super) fn was_resumed(&self) -> bool {
        self.resumed
    }

    async fn resume(&mut self, known: &HeaderValue) -> Result<(), ProviderError> {
        self.resumed = true;
        tracing::debug!(received = self.received, "a file from a provider broke off; asking for the rest");
        let response = self.downloads.ask(&self.link, &self.own, Some((self.received, known))).await?;
        if response.status() == StatusCode::PARTIAL_CONTENT {
            if begins(response.headers()) != Some(self.received) {
                return Err(changed());
            }
            self.repeated = 0;
        } else {
            // Without ranges it begins anew, and with another validator it is another file.
            if validator(response.headers()).as_ref() != Some(known) {
                return Err(changed());
            }
            self.repeated = self.received;
        }
        self.response = response;
        Ok(())
    }
}

/// A strong entity tag, else the date of the last change.
fn validator(headers: &HeaderMap) -> Option<HeaderValue> {
    let tag = headers.get(header::ETAG).filter(|tag| tag.as_bytes().starts_with(b"\""));
    tag.or_else(|| headers.get(header::LAST_MODIFIED)).cloned()
}

/// The first byte of a part: 100 in `bytes 100-199/200`.
fn begins(headers: &HeaderMap) -> Option<u64> {
    let range = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split('-').next()?.trim().parse().ok()
}

fn too_long(max_bytes: u64) -> ProviderError {
    ProviderError::Unreadable(format!("the file behind the provider's link is longer than {max_bytes} bytes"))
}

fn changed() -> ProviderError {
    ProviderError::Broken("the file behind the provider's link broke off, and its rest could not be had".to_owned())
}
