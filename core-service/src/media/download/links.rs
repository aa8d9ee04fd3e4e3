//! Sends requests to the links of providers. Links outside the provider's own origin are checked against the address policy.

use std::{error::Error as _, sync::Arc};

use http::{HeaderValue, StatusCode, header};
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::{Client, Response};
use tokio::time::timeout;
use url::Url;

use super::{origin::TrustedOrigin, settings::DownloadSettings};
use crate::{
    error::{Error, ProviderError},
    media::{address_policy::NOT_PUBLIC, client},
};

const MAX_REDIRECTS: usize = 5;

/// An HTTP client for the links of providers. Clones share the HTTP clients.
#[derive(Debug, Clone)]
pub(super) struct LinkClient {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// For the trusted origin, and for requests that go to a proxy.
    unrestricted: Client,
    /// For untrusted origins.
    restricted: Client,
    /// The proxies of the environment.
    proxies: Matcher,
    settings: DownloadSettings,
}

impl LinkClient {
    /// Builds the HTTP clients.
    ///
    /// # Errors
    /// [`Error::Internal`] if no HTTP client can be built.
    pub(super) fn new(settings: DownloadSettings) -> Result<Self, Error> {
        let internal = |error: reqwest::Error| Error::Internal(format!("HTTP client: {error}"));
        let unrestricted = client::unrestricted(settings.connect_timeout).map_err(internal)?;
        let restricted = client::restricted(settings.address_policy, settings.connect_timeout).map_err(internal)?;
        let proxies = Matcher::from_env();
        Ok(Self { shared: Arc::new(Shared { unrestricted, restricted, proxies, settings }) })
    }

    pub(super) fn settings(&self) -> &DownloadSettings {
        &self.shared.settings
    }

    /// Requests the file behind a link, and follows redirects. With `part`, requests the bytes from an offset to the end, if
    /// the file still has this validator; otherwise the response is the complete file.
    ///
    /// After a redirect to an untrusted origin no later URL is trusted, even one within the trusted origin.
    pub(super) async fn get(
        &self,
        link: &str,
        origin: &TrustedOrigin,
        part: Option<(u64, &HeaderValue)>,
    ) -> Result<Response, ProviderError> {
        let unreadable = |reason: &str| ProviderError::Unreadable(format!("the provider's link {reason}"));
        let mut url = origin.resolve(link).map_err(|error| unreadable(&format!("is invalid: {error}")))?;
        let mut trusted = true;
        for _ in 0..=MAX_REDIRECTS {
            trusted &= origin.contains(&url);
            let mut request = self.client(&url, trusted).map_err(|reason| unreadable(&reason))?.get(url.clone());
            let api_key = origin.api_key().filter(|_| trusted);
            if let Some((name, value)) = api_key {
                request = request.header(name, value);
            }
            if trusted {
                request = request.headers(origin.trace_headers().clone());
            }
            if let Some((start, validator)) = part {
                request = request.header(header::RANGE, format!("bytes={start}-")).header(header::IF_RANGE, validator);
            }
            let response =
                timeout(self.settings().first_byte_timeout, request.send()).await.map_err(|_| timed_out())?;
            let response = response.map_err(|error| connection_failed(&error))?;
            if !response.status().is_redirection() {
                return check_status(response, api_key.is_some());
            }
            let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
            let location = location.ok_or_else(|| unreadable("redirects without a location"))?;
            url = url.join(location).map_err(|error| unreadable(&format!("redirects to an invalid URL: {error}")))?;
        }
        Err(unreadable(&format!("redirects more than {MAX_REDIRECTS} times")))
    }

    /// Returns the client for a URL, if it may be requested.
    ///
    /// Where the environment has a proxy for an untrusted URL, the proxy is used as it is for the API: there may be no other
    /// way out. The proxy resolves the name then, so only an address in the URL itself can be checked.
    fn client(&self, url: &Url, trusted: bool) -> Result<&Client, String> {
        let Shared { unrestricted, restricted, proxies, settings } = &*self.shared;
        if trusted {
            return Ok(unrestricted);
        }
        settings.address_policy.check(url)?;
        Ok(if client::uses_proxy(proxies, url) { unrestricted } else { restricted })
    }
}

/// Accepts a response with a file. Maps every other status to an error after which the request is not sent to the provider again,
/// because the result may have been billed. After [`ProviderError::Broken`], the download alone may be repeated.
fn check_status(response: Response, with_key: bool) -> Result<Response, ProviderError> {
    let status = response.status();
    let message = format!("the provider's link responded with status {}", status.as_u16());
    match status {
        StatusCode::OK | StatusCode::PARTIAL_CONTENT => Ok(response),
        StatusCode::UNAUTHORIZED if with_key => Err(ProviderError::Credentials(message)),
        StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::GONE => Err(ProviderError::LinkExpired(message)),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
            Err(ProviderError::Broken(message))
        }
        status if status.is_server_error() => Err(ProviderError::Broken(message)),
        _ => Err(ProviderError::Unreadable(message)),
    }
}

pub(super) fn timed_out() -> ProviderError {
    ProviderError::Timeout("the download from the provider's link timed out".to_owned())
}

/// Maps a failed connection. The message does not contain the URL: clients must not see the links of providers.
pub(super) fn connection_failed(error: &reqwest::Error) -> ProviderError {
    if client::is_not_public(error) {
        return ProviderError::Unreadable(format!("the provider's link {NOT_PUBLIC}"));
    }
    tracing::debug!("downloading from a provider: {}", causes(error));
    ProviderError::Broken("the connection to the provider's link failed".to_owned())
}

/// Joins the causes of an error. The error's own text is left out: it contains the link, which may be signed.
fn causes(error: &reqwest::Error) -> String {
    let mut causes = Vec::new();
    let mut source = error.source();
    while let Some(cause) = source {
        causes.push(cause.to_string());
        source = cause.source();
    }
    causes.join(": ")
}
