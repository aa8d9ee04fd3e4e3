//! The origin of a provider's API, which the operator configured.

use http::{HeaderName, HeaderValue};
use url::Url;

/// The origin of a provider's API. Links within it may lead to private addresses, and are requested with the API key.
#[derive(Debug, Clone)]
pub struct TrustedOrigin {
    base: Url,
    key: Option<(HeaderName, HeaderValue)>,
}

impl TrustedOrigin {
    /// Returns the origin of this base URL, without a key. Relative links are resolved against the base URL.
    pub fn new(base: Url) -> Self {
        Self { base, key: None }
    }

    /// Adds the API key, to be sent in this header.
    #[must_use]
    pub fn with_key(mut self, header: HeaderName, mut value: HeaderValue) -> Self {
        value.set_sensitive(true);
        self.key = Some((header, value));
        self
    }

    /// Resolves a link, which may be relative.
    pub(super) fn resolve(&self, link: &str) -> Result<Url, url::ParseError> {
        self.base.join(link)
    }

    /// Whether the URL has this origin.
    pub(super) fn contains(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }

    /// Returns the header with the API key.
    pub(super) fn key(&self) -> Option<(&HeaderName, &HeaderValue)> {
        self.key.as_ref().map(|(name, value)| (name, value))
    }
}
