//! Fetching what a provider made, from the link it answered with.
//!
//! A link is the provider's word and is followed like a stranger's: public addresses only, each redirect checked again.
//! One origin is different, the API's own, which the operator named: it may be private, and it alone is shown the key.
//! Both end with the first step elsewhere, even if a later redirect leads back.
//!
//! Where the environment names a proxy for a link, the proxy is asked, as it is for the API: there may be no other way out.
//! It resolves the name, so that only addresses that are written out can be checked then.
//!
//! By now the provider may have been paid. So no failure here reads as if the request had never been taken.

mod transfer;

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use http::{HeaderName, HeaderValue, StatusCode, header};
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::{Client, Response};
use tokio::time::{sleep, timeout};
use url::Url;

use self::transfer::Transfer;
use super::{
    client,
    guard::{Guard, NOT_PUBLIC},
    key::MediaType,
    picture,
};
use crate::{
    call::Chunks,
    config,
    error::{Error, ProviderError},
    size::Size,
};

const REDIRECTS: usize = 5;

/// How long the head of an MP4 file is that tells it is one: a box's length and the word `ftyp`.
const CLIP_HEAD: usize = 8;

/// How files are taken from providers.
#[derive(Debug, Clone, Copy)]
pub struct DownloadSettings {
    /// Where links may lead, besides to the API's own origin.
    pub guard: Guard,
    /// The most bytes of a picture.
    pub max_picture_bytes: u64,
    /// The most pixels of a picture.
    pub max_pixels: u64,
    /// Until a connection stands.
    pub connect: Duration,
    /// From a request to the head of its answer.
    pub first_byte: Duration,
    /// The longest silence within an answer.
    pub idle: Duration,
    /// Between the two tries for a picture.
    pub pause: Duration,
    /// The time for a whole picture, redirects and a second try included. A clip has only the limits above.
    pub picture: Duration,
}

impl Default for DownloadSettings {
    fn default() -> Self {
        Self {
            guard: Guard::PUBLIC_ANY_PORT,
            max_picture_bytes: 64 << 20,
            max_pixels: 100_000_000,
            connect: Duration::from_secs(10),
            first_byte: Duration::from_secs(30),
            idle: Duration::from_secs(30),
            pause: Duration::from_millis(500),
            picture: Duration::from_mins(2),
        }
    }
}

impl From<&config::Media> for DownloadSettings {
    /// What the operator opens to callers is open to providers too.
    fn from(settings: &config::Media) -> Self {
        let guard = if settings.fetch_private_addresses { Guard::OPEN } else { Guard::PUBLIC_ANY_PORT };
        Self { guard, ..Self::default() }
    }
}

/// The provider's API: links within its origin may be private, and are asked with its key.
#[derive(Debug, Clone)]
pub struct Own {
    base: Url,
    key: Option<(HeaderName, HeaderValue)>,
}

impl Own {
    /// The API at this address, asked without a key. Links without a host of their own begin there.
    pub fn new(base: Url) -> Self {
        Self { base, key: None }
    }

    /// The same, shown its key in this header.
    #[must_use]
    pub fn with_key(mut self, header: HeaderName, mut value: HeaderValue) -> Self {
        value.set_sensitive(true);
        self.key = Some((header, value));
        self
    }
}

/// A picture from a provider, told by its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Downloaded {
    /// The encoded picture, all of it.
    pub bytes: Bytes,
    /// PNG, JPEG or WebP, whatever the provider called it.
    pub kind: MediaType,
    /// Its size in pixels.
    pub size: Size,
}

/// Takes files from providers. Clones share the clients.
#[derive(Debug, Clone)]
pub struct Downloads {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// For the API's own origin, and for what a proxy is asked for.
    home: Client,
    /// For everywhere else.
    abroad: Client,
    /// The environment's.
    proxies: Matcher,
    settings: DownloadSettings,
}

impl Downloads {
    /// Downloads under these bounds.
    ///
    /// # Errors
    /// [`Error::Internal`] if there is no usable HTTP client.
    pub fn new(settings: DownloadSettings) -> Result<Self, Error> {
        let internal = |error: reqwest::Error| Error::Internal(format!("HTTP client: {error}"));
        let home = client::trusting(settings.connect).map_err(internal)?;
        let abroad = client::guarded(settings.guard, settings.connect).map_err(internal)?;
        Ok(Self { shared: Arc::new(Shared { home, abroad, proxies: Matcher::from_env(), settings }) })
    }

    /// The picture behind `link`, which may be relative to the API's address. After a break the rest is asked for once;
    /// where that is no use, and where the server is not there or not well, all of it is asked for once more.
    ///
    /// # Errors
    /// `Unreadable`: a dead or forbidden link, no picture, or one beyond the bounds. `Credentials`: the API does not take
    /// the key. `Broken` and `Timeout`: another try may succeed; the provider has done its work all the same.
    pub async fn picture(&self, link: &str, own: &Own) -> Result<Downloaded, ProviderError> {
        let settings = &self.shared.settings;
        let bytes = timeout(settings.picture, self.whole(link, own)).await;
        let bytes = bytes.unwrap_or_else(|_| Err(too_slow()))?;
        let (kind, size) = picture::head(&bytes, settings.max_pixels)
            .map_err(|why| ProviderError::Unreadable(format!("what the provider's link leads to {why}")))?;
        Ok(Downloaded { bytes, kind, size })
    }

    /// The MP4 file behind `link`, in pieces as they come, `max_bytes` of them at most: for [`MediaStore::put_stream`], which
    /// keeps it under a temporary name until it is whole. After a break the rest is asked for once.
    ///
    /// # Errors
    /// As with [`picture`](Self::picture), before the first piece or instead of a later one.
    ///
    /// [`MediaStore::put_stream`]: super::MediaStore::put_stream
    pub async fn clip(&self, link: &str, own: &Own, max_bytes: u64) -> Result<Chunks<Bytes>, ProviderError> {
        let mut transfer = Transfer::begin(self.clone(), link, own, max_bytes).await?;
        let mut head = BytesMut::new();
        while head.len() < CLIP_HEAD
            && let Some(chunk) = transfer.next().await?
        {
            head.extend_from_slice(&chunk);
        }
        if head.get(4..CLIP_HEAD) != Some(b"ftyp") {
            return Err(ProviderError::Unreadable("what the provider's link leads to is not an MP4 clip".to_owned()));
        }
        let rest = stream::try_unfold(transfer, async |mut transfer| {
            Ok(transfer.next().await?.map(|chunk| (chunk, transfer)))
        });
        Ok(stream::once(std::future::ready(Ok(head.freeze()))).chain(rest).boxed())
    }

    /// Nothing of a picture was handed on when something breaks, so it may begin anew once: it is paid for.
    async fn whole(&self, link: &str, own: &Own) -> Result<Bytes, ProviderError> {
        let Shared { settings: DownloadSettings { max_picture_bytes, pause, .. }, .. } = *self.shared;
        let begin = || Transfer::begin(self.clone(), link, own, max_picture_bytes);
        let error = match begin().await {
            Ok(mut transfer) => match transfer.rest().await {
                Err(error) if !transfer.was_resumed() => error,
                ended => return ended,
            },
            Err(error) => error,
        };
        if !error.is_transient() {
            return Err(error);
        }
        sleep(pause).await;
        begin().await?.rest().await
    }

    /// Asks for `link`, or for the rest of it from a byte on if it is still what the validator says.
    async fn ask(&self, link: &str, own: &Own, rest: Option<(u64, &HeaderValue)>) -> Result<Response, ProviderError> {
        let Shared { home, abroad, proxies, settings } = &*self.shared;
        let unreadable = |why: &str| ProviderError::Unreadable(format!("the provider's link {why}"));
        let mut url = own.base.join(link).map_err(|error| unreadable(&format!("is not a URL: {error}")))?;
        let mut at_home = true;
        for _ in 0..=REDIRECTS {
            at_home &= url.origin() == own.base.origin();
            let mut request = if at_home {
                let request = home.get(url.clone());
                own.key.iter().fold(request, |request, (name, value)| request.header(name, value))
            } else {
                settings.guard.check(&url).map_err(|why| unreadable(&why))?;
                let client = if client::goes_by_proxy(proxies, &url) { home } else { abroad };
                client.get(url.clone())
            };
            if let Some((from, validator)) = rest {
                request = request.header(header::RANGE, format!("bytes={from}-")).header(header::IF_RANGE, validator);
            }
            let response = timeout(settings.first_byte, request.send()).await.map_err(|_| too_slow())?;
            let response = response.map_err(|error| broken(&error))?;
            let status = response.status();
            if !status.is_redirection() {
                return good(response, at_home && own.key.is_some());
            }
            let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
            let location = location.ok_or_else(|| unreadable("redirects to nowhere"))?;
            url = url.join(location).map_err(|error| unreadable(&format!("redirects to no URL: {error}")))?;
        }
        Err(unreadable(&format!("redirects more than {REDIRECTS} times")))
    }
}

/// The answer, if it is a file; else what its status means for a result that is waited for.
fn good(response: Response, with_key: bool) -> Result<Response, ProviderError> {
    let status = response.status();
    let told = format!("the provider's link answers with the status {}", status.as_u16());
    match status {
        StatusCode::OK | StatusCode::PARTIAL_CONTENT => Ok(response),
        StatusCode::UNAUTHORIZED if with_key => Err(ProviderError::Credentials(told)),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
            Err(ProviderError::Broken(told))
        }
        status if status.is_server_error() => Err(ProviderError::Broken(told)),
        _ => Err(ProviderError::Unreadable(told)),
    }
}

fn too_slow() -> ProviderError {
    ProviderError::Timeout("the file behind the provider's link did not come in time".to_owned())
}

/// A connection that failed. Where it was to lead stays out of it: links of providers are not for callers.
fn broken(error: &reqwest::Error) -> ProviderError {
    if client::is_not_public(error) {
        return ProviderError::Unreadable(format!("the provider's link {NOT_PUBLIC}"));
    }
    tracing::debug!("taking a file from a provider: {}", without_address(error));
    ProviderError::Broken("the connection to the provider's link broke".to_owned())
}

/// The causes alone: the outermost text holds the link, which may be signed.
fn without_address(error: &reqwest::Error) -> String {
    let mut words = Vec::new();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        words.push(inner.to_string());
        cause = inner.source();
    }
    words.join(": ")
}

#[cfg(test)]
mod tests;
