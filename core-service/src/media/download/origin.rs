//! The origin of a provider's API, as the operator configured it.

use http::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use crate::context::RequestContext;

/// The origin (RFC 6454) of a provider's API, and the headers of requests to it.
///
/// Only links with this origin are trusted: they are allowed to lead to private addresses, and requests for them carry the API key.
/// All other links in responses of the provider are untrusted.
#[derive(Debug, Clone)]
pub struct TrustedOrigin {
    base: Url,
    api_key: Option<(HeaderName, HeaderValue)>,
    /// The request id and trace context of the call that downloads.
    trace_headers: HeaderMap,
}

impl TrustedOrigin {
    /// Returns the origin of `base`, without an API key. Relative links are resolved against `base`.
    pub fn new(base: Url) -> Self {
        Self { base, api_key: None, trace_headers: HeaderMap::new() }
    }

    /// Sets the API key header. Its value is marked as sensitive and never logged.
    #[must_use]
    pub fn with_api_key(mut self, header: HeaderName, mut value: HeaderValue) -> Self {
        value.set_sensitive(true);
        self.api_key = Some((header, value));
        self
    }

    /// Returns a copy whose requests have the request id and the trace context of one call.
    #[must_use]
    pub(crate) fn for_call(&self, context: &RequestContext) -> Self {
        Self { trace_headers: context.trace_headers(), ..self.clone() }
    }

    /// Parses a link. A relative link is resolved against the base URL.
    pub(super) fn resolve(&self, link: &str) -> Result<Url, url::ParseError> {
        self.base.join(link)
    }

    /// Returns whether the URL has this origin.
    pub(super) fn contains(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }

    /// Returns the header with the API key, if there is one.
    pub(super) fn api_key(&self) -> Option<(&HeaderName, &HeaderValue)> {
        self.api_key.as_ref().map(|(name, value)| (name, value))
    }

    /// Returns the request id and trace context of the call, as headers.
    pub(super) fn trace_headers(&self) -> &HeaderMap {
        &self.trace_headers
    }
}
