//! Downloads the results of providers from the links in their responses.
//!
//! A link is untrusted like a URL from a client: it may lead to public addresses only, and each redirect is checked again.
//! The one exception is the [trusted origin](TrustedOrigin), the provider's own API.
//!
//! When a download begins, the provider may have charged for the result. So no error here is reported as safe to retry.

mod links;
mod origin;
mod settings;
mod transfer;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use tokio::time::{sleep, timeout};

use self::{
    links::{LinkClient, timed_out},
    transfer::Transfer,
};
pub use self::{origin::TrustedOrigin, settings::DownloadSettings};
use super::{key::MediaType, picture};
use crate::{
    call::Chunks,
    error::{Error, ProviderError},
    size::Size,
};

/// The length of the part of an MP4 file that identifies it: the size of the first box and its type, `ftyp`.
const MP4_SIGNATURE_BYTES: usize = 8;

/// A picture downloaded from a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DownloadedPicture {
    /// The complete encoded picture.
    pub bytes: Bytes,
    /// PNG, JPEG or WebP, detected from the bytes.
    pub media_type: MediaType,
    /// Its size in pixels.
    pub size: Size,
}

/// Downloads files from providers. Clones share the HTTP clients.
#[derive(Debug, Clone)]
pub struct Downloader {
    client: LinkClient,
}

impl Downloader {
    /// Returns a downloader with these limits.
    ///
    /// # Errors
    /// [`Error::Internal`] if no HTTP client can be built.
    pub fn new(settings: DownloadSettings) -> Result<Self, Error> {
        Ok(Self { client: LinkClient::new(settings)? })
    }

    /// Downloads the picture behind a link, which may be relative to the trusted origin.
    ///
    /// An interrupted download is resumed once, and then fails if it is interrupted again. If it cannot be resumed, or if the server
    /// cannot be reached or responds with a transient error to the first request, the whole picture is requested once more.
    ///
    /// # Errors
    /// `LinkExpired`: the link responded with 403, 404 or 410. `Unreadable`: another dead or forbidden link, or a file that is
    /// not a picture or exceeds the limits. `Credentials`: the API refused the key. `Broken` and `Timeout`: another attempt may
    /// succeed, but the provider has done its work already.
    pub async fn picture(&self, link: &str, origin: &TrustedOrigin) -> Result<DownloadedPicture, ProviderError> {
        let settings = self.client.settings();
        let bytes = timeout(settings.picture_timeout, self.picture_bytes(link, origin)).await;
        let bytes = bytes.unwrap_or_else(|_| Err(timed_out()))?;
        let (media_type, size) = picture::probe(&bytes, settings.max_pixels)
            .map_err(|reason| ProviderError::Unreadable(format!("the file behind the provider's link {reason}")))?;
        Ok(DownloadedPicture { bytes, media_type, size })
    }

    /// Downloads the MP4 file behind a link, at most `max_bytes` of it, as a stream for [`MediaStore::put_stream`]. An
    /// interrupted download is resumed once.
    ///
    /// # Errors
    /// Those of [`picture`](Self::picture), before the first chunk or instead of a later one.
    ///
    /// [`MediaStore::put_stream`]: super::store::MediaStore::put_stream
    pub async fn clip(
        &self,
        link: &str,
        origin: &TrustedOrigin,
        max_bytes: u64,
    ) -> Result<Chunks<Bytes>, ProviderError> {
        let mut transfer = Transfer::begin(self.client.clone(), link, origin, max_bytes).await?;
        let mut head = BytesMut::new();
        while head.len() < MP4_SIGNATURE_BYTES
            && let Some(chunk) = transfer.next().await?
        {
            head.extend_from_slice(&chunk);
        }
        if head.get(4..MP4_SIGNATURE_BYTES) != Some(b"ftyp") {
            return Err(ProviderError::Unreadable("the file behind the provider's link is not an MP4 file".to_owned()));
        }
        let rest = stream::try_unfold(transfer, async |mut transfer| {
            Ok(transfer.next().await?.map(|chunk| (chunk, transfer)))
        });
        Ok(stream::once(std::future::ready(Ok(head.freeze()))).chain(rest).boxed())
    }

    /// Downloads all bytes in at most two attempts. Unlike a stream, a picture can be downloaded again from its start.
    async fn picture_bytes(&self, link: &str, origin: &TrustedOrigin) -> Result<Bytes, ProviderError> {
        let settings = self.client.settings();
        let begin = || Transfer::begin(self.client.clone(), link, origin, settings.max_picture_bytes);
        let error = match begin().await {
            Ok(mut transfer) => match transfer.read_to_end().await {
                Err(error) if !transfer.was_resumed() => error,
                result => return result,
            },
            Err(error) => error,
        };
        if !error.is_transient() {
            return Err(error);
        }
        sleep(settings.retry_delay).await;
        begin().await?.read_to_end().await
    }
}

#[cfg(test)]
mod tests;
