//! Absolute URLs of stored media, under the address at which the client reached the gateway.

use std::time::SystemTime;

use axum::extract::FromRequestParts;
use http::{Extensions, HeaderMap, HeaderName, Uri, header, request::Parts, uri::Authority};
use http_server::Encrypted;

use crate::{
    app::App,
    error::GatewayError,
    headers::{X_FORWARDED_HOST, X_FORWARDED_PREFIX, X_FORWARDED_PROTO},
    link_signer::{InvalidLink, LinkSigner},
    settings::RuntimeSettings,
};

/// Builds the media links of one response, and recognizes links of this gateway in a request.
#[derive(Debug, Clone)]
pub(crate) struct Links {
    /// Scheme, host and path prefix, without a slash at the end.
    base: String,
    signer: Option<LinkSigner>,
}

impl Links {
    #[cfg(test)]
    pub(crate) fn unsigned(base: &str) -> Self {
        Self { base: base.to_owned(), signer: None }
    }

    /// Returns the link to the stored file of this media key, signed if the operator has set a signing key.
    pub(crate) fn media(&self, key: &str) -> String {
        let link = format!("{}/media/{key}", self.base);
        match &self.signer {
            Some(signer) => format!("{link}?{}", signer.sign_at(key, SystemTime::now())),
            None => link,
        }
    }

    /// Returns the key in a link that [`media`](Self::media) built, or why the link is invalid. `None` for any other
    /// URL.
    pub(crate) fn key_of<'a>(&self, link: &'a str) -> Option<Result<&'a str, InvalidLink>> {
        let path = link.strip_prefix(&self.base)?.strip_prefix("/media/")?;
        let (key, query) = path.split_once('?').unwrap_or((path, ""));
        if key.is_empty() || key.contains(['/', '#', '%']) {
            return None;
        }
        let verified = self.signer.as_ref().map(|signer| signer.verify(key, query, SystemTime::now()));
        Some(verified.transpose().map(|_| key))
    }

    /// Returns host and port of the links.
    pub(crate) fn authority(&self) -> &str {
        let rest = self.base.split_once("://").map_or(self.base.as_str(), |(_, rest)| rest);
        rest.split_once('/').map_or(rest, |(authority, _)| authority)
    }

    /// Creates the links for a request: below the public base URL if one is set, otherwise below the address of the
    /// request.
    pub(crate) fn new(uri: &Uri, headers: &HeaderMap, extensions: &Extensions, settings: &RuntimeSettings) -> Self {
        let signer = settings.link_signer.clone();
        if let Some(base) = &settings.public_base_url {
            return Self { base: base.trim_end_matches('/').to_owned(), signer };
        }
        let forwarded = |name| settings.trust_forwarded.then(|| first(headers, name)).flatten();
        let host = forwarded(X_FORWARDED_HOST)
            .or_else(|| uri.authority().map(Authority::as_str))
            .or_else(|| first(headers, header::HOST));
        // `Host` is client input: only a valid authority without user info may enter a link.
        let host = host.filter(|host| host.parse::<Authority>().is_ok_and(|host| !host.as_str().contains('@')));
        let is_https = match forwarded(X_FORWARDED_PROTO) {
            Some(scheme) => scheme == "https",
            None => extensions.get::<Encrypted>().is_some(),
        };
        let scheme = if is_https { "https" } else { "http" };
        let prefix = forwarded(X_FORWARDED_PREFIX).map(|prefix| prefix.trim_end_matches('/')).filter(is_path);
        Self { base: format!("{scheme}://{}{}", host.unwrap_or("localhost"), prefix.unwrap_or_default()), signer }
    }
}

/// Returns the first element of a comma-separated header; each proxy appends its own.
fn first(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()?.split(',').next().map(str::trim)
}

/// Returns whether a forwarded prefix is a plain path, which cannot change the host or the query of a link: `/team/ai`.
fn is_path(prefix: &&str) -> bool {
    let is_segment = |segment: &str| {
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte);
        !segment.is_empty() && segment != "." && segment != ".." && segment.bytes().all(valid)
    };
    prefix.strip_prefix('/').is_some_and(|path| path.split('/').all(is_segment))
}

impl FromRequestParts<App> for Links {
    type Rejection = GatewayError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, GatewayError> {
        Ok(Self::new(&parts.uri, &parts.headers, &parts.extensions, &app.runtime().settings))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn link(settings: &RuntimeSettings, uri: &str, headers: &[(&str, &str)]) -> String {
        link_of(http::Request::get(uri), settings, headers)
    }

    fn link_of(mut request: http::request::Builder, settings: &RuntimeSettings, headers: &[(&str, &str)]) -> String {
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        Links::new(&parts.uri, &parts.headers, &parts.extensions, settings).media("k.png")
    }

    #[test]
    fn links_follow_the_request_unless_a_public_base_url_is_set() {
        let default = RuntimeSettings::default();
        assert_eq!(link(&default, "/", &[("host", "a.test:8000")]), "http://a.test:8000/media/k.png");
        assert_eq!(link(&default, "http://h2.test/", &[]), "http://h2.test/media/k.png");
        assert_eq!(link(&default, "/", &[("host", "a b")]), "http://localhost/media/k.png");
        let public =
            RuntimeSettings { public_base_url: Some("https://p.test/".to_owned()), ..RuntimeSettings::default() };
        assert_eq!(link(&public, "/", &[("host", "a.test")]), "https://p.test/media/k.png");
    }

    #[test]
    fn forwarded_headers_are_ignored_unless_trusted() {
        let headers = [("host", "inner"), ("x-forwarded-host", "outer, inner"), ("x-forwarded-proto", "https")];
        assert_eq!(link(&RuntimeSettings::default(), "/", &headers), "http://inner/media/k.png");
        let trusting = RuntimeSettings { trust_forwarded: true, ..RuntimeSettings::default() };
        assert_eq!(link(&trusting, "/", &headers), "https://outer/media/k.png");
    }

    #[test]
    fn links_use_https_over_tls_unless_a_trusted_proxy_reports_http() {
        let over_tls = || http::Request::get("/").extension(Encrypted);
        let headers = [("host", "a.test"), ("x-forwarded-proto", "http")];
        assert_eq!(link_of(over_tls(), &RuntimeSettings::default(), &headers), "https://a.test/media/k.png");
        let trusting = RuntimeSettings { trust_forwarded: true, ..RuntimeSettings::default() };
        assert_eq!(link_of(over_tls(), &trusting, &headers), "http://a.test/media/k.png");
        assert_eq!(link_of(over_tls(), &trusting, &headers[..1]), "https://a.test/media/k.png");
    }

    #[test]
    fn trusted_forwarded_prefix_is_part_of_links() {
        let trusting = RuntimeSettings { trust_forwarded: true, ..RuntimeSettings::default() };
        for (prefix, expected) in [
            ("/ai", "http://a.test/ai/media/k.png"),
            ("/team/ai/", "http://a.test/team/ai/media/k.png"),
            ("/outer, /inner", "http://a.test/outer/media/k.png"),
            ("/", "http://a.test/media/k.png"),
            ("ai", "http://a.test/media/k.png"),
            ("//evil.test", "http://a.test/media/k.png"),
            ("/../x", "http://a.test/media/k.png"),
            ("/a?b", "http://a.test/media/k.png"),
            ("@evil.test", "http://a.test/media/k.png"),
        ] {
            let headers = [("host", "a.test"), ("x-forwarded-prefix", prefix)];
            assert_eq!(link(&trusting, "/", &headers), expected, "{prefix}");
            assert_eq!(link(&RuntimeSettings::default(), "/", &headers), "http://a.test/media/k.png");
        }
    }

    #[test]
    fn key_is_found_only_in_links_of_this_gateway() {
        let links = Links::unsigned("http://a.test");
        for own in ["http://a.test/media/k.png", "http://a.test/media/k.png?e=1&s=x"] {
            assert_eq!(links.key_of(own), Some(Ok("k.png")), "{own}");
        }
        for other in ["http://b.test/media/k.png", "http://a.test/media/", "http://a.test/media/../x", "k.png"] {
            assert_eq!(links.key_of(other), None, "{other}");
        }
    }

    #[test]
    fn signed_link_in_a_request_body_is_verified() {
        let signer = Some(LinkSigner::new(b"key", Duration::from_mins(1)));
        let links = Links { signer, ..Links::unsigned("http://a.test") };
        assert_eq!(links.key_of(&links.media("k.png")), Some(Ok("k.png")));
        assert_eq!(links.key_of("http://a.test/media/k.png"), Some(Err(InvalidLink::Unsigned)));
        let swapped = links.media("l.png").replace("l.png", "k.png");
        assert_eq!(links.key_of(&swapped), Some(Err(InvalidLink::WrongSignature)));
    }
}
