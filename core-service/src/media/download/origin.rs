//! The origin of a provider's API, which the operator configured.

use http::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use crate::context::RequestContext;

/// The origin of a provider's API. Links within it may lead to private addresses, and are requested with the API key.
#[derive(Debug, Clone)]
pub struct TrustedOrigin {
    base: Url,
    key: Option<(HeaderName, HeaderValue)>,
    /// The headers by which the provider recognizes the call.
    trace: HeaderMap,
}

impl TrustedOrigin {
    /// Returns the origin of this base URL, without a key. Relative links are resolved against the base URL.
    pub fn new(base: Url) -> Self {
        Self { base, key: None, trace: HeaderMap::new() }
    }

    /// Adds the API key, to be sent in this header.
    #[must_use]
    pub fn with_key(mut self, header: HeaderName, mut value: HeaderValue) -> Self {
        value.set_sensitive(true);
        self.key = Some((header, value));
        self
    }

    /// Returns the origin for the downloads of one call: requests within it carry the request id and the trace context.
    #[must_use]
    pub(crate) fn for_call(&self, context: &RequestContext) -> Self {
        Self { trace: context.trace_headers(), ..self.clone() }
    }

    /// Resolves a link, which may be relative.
    pub(super) fn resolve(&self, link: &str) -> Result<Url, url::ParseError> {
        self.base.join(link)
    }

    /// Returns whether the URL has this origin.
    pub(super) fn contains(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }

    /// Returns the header with the API key.
    pub(super) fn key(&self) -> Option<(&HeaderName, &HeaderValue)> {
        self.key.as_ref().map(|(name, value)| (name, value))
    }

    /// Returns the headers for the call.
    pub(super) fn trace(&self) -> &HeaderMap {
        &self.trace
    }
}
