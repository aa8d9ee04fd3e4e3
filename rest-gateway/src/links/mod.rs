//! Absolute addresses of finished files, as the client at hand can reach them. Every link in an answer is made here.

mod signer;

use std::time::SystemTime;

use axum::extract::FromRequestParts;
use http::{HeaderMap, header, request::Parts, uri::Authority};

pub use self::signer::LinkSigner;
pub(crate) use self::signer::Refused;
use crate::{app::App, error::GatewayError, settings::Settings};

/// Makes links that begin where this request's client found us.
#[derive(Debug, Clone)]
pub(crate) struct Links {
    base: String,
    signer: Option<LinkSigner>,
}

impl Links {
    #[cfg(test)]
    pub(crate) fn to(base: &str) -> Self {
        Self { base: base.to_owned(), signer: None }
    }

    #[cfg(test)]
    pub(crate) fn signed_by(self, signer: LinkSigner) -> Self {
        Self { signer: Some(signer), ..self }
    }

    /// Where the medium of this key is served, signed where the operator wants it so.
    pub(crate) fn media(&self, key: &str) -> String {
        let link = format!("{}/media/{key}", self.base);
        match &self.signer {
            Some(signer) => format!("{link}?{}", signer.sign_at(key, SystemTime::now())),
            None => link,
        }
    }

    /// The key in a link that [`media`](Self::media) made, or why such a link is not good. `None`: it is another's.
    pub(crate) fn key_of<'a>(&self, link: &'a str) -> Option<Result<&'a str, Refused>> {
        let path = link.strip_prefix(&self.base)?.strip_prefix("/media/")?;
        let (key, query) = path.split_once('?').unwrap_or((path, ""));
        if key.is_empty() || key.contains(['/', '#', '%']) {
            return None;
        }
        let checked = self.signer.as_ref().map(|signer| signer.check(key, query, SystemTime::now()));
        Some(checked.transpose().map(|_| key))
    }

    fn of(parts: &Parts, settings: &Settings) -> Self {
        let signer = settings.link_signer.clone();
        if let Some(base) = &settings.public_base_url {
            return Self { base: base.trim_end_matches('/').to_owned(), signer };
        }
        let text = |name: &str| first(&parts.headers, name);
        let forwarded = |name| settings.trust_forwarded.then(|| text(name)).flatten();
        let host = forwarded("x-forwarded-host")
            .or_else(|| parts.uri.authority().map(Authority::as_str))
            .or_else(|| text(header::HOST.as_str()));
        // Whatever is no host at all does not get into a link.
        let host = host.filter(|host| host.parse::<Authority>().is_ok_and(|host| !host.as_str().contains('@')));
        let scheme = forwarded("x-forwarded-proto").filter(|scheme| *scheme == "https").unwrap_or("http");
        Self { base: format!("{scheme}://{}", host.unwrap_or("localhost")), signer }
    }
}

/// The first of a list of values that proxies may have added to.
fn first<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()?.split(',').next().map(str::trim)
}

impl FromRequestParts<App> for Links {
    type Rejection = GatewayError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, GatewayError> {
        Ok(Self::of(parts, &app.settings))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn link(settings: &Settings, uri: &str, headers: &[(&str, &str)]) -> String {
        let mut request = http::Request::get(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Links::of(&request.body(()).unwrap().into_parts().0, settings).media("k.png")
    }

    #[test]
    fn links_follow_the_request_unless_the_operator_says_where() {
        let plain = Settings::default();
        assert_eq!(link(&plain, "/", &[("host", "a.test:8000")]), "http://a.test:8000/media/k.png");
        assert_eq!(link(&plain, "http://h2.test/", &[]), "http://h2.test/media/k.png");
        assert_eq!(link(&plain, "/", &[("host", "a b")]), "http://localhost/media/k.png");
        let told = Settings { public_base_url: Some("https://p.test/".to_owned()), ..Settings::default() };
        assert_eq!(link(&told, "/", &[("host", "a.test")]), "https://p.test/media/k.png");
    }

    #[test]
    fn what_a_proxy_says_counts_only_when_it_is_trusted() {
        let headers = [("host", "inner"), ("x-forwarded-host", "outer, inner"), ("x-forwarded-proto", "https")];
        assert_eq!(link(&Settings::default(), "/", &headers), "http://inner/media/k.png");
        let trusting = Settings { trust_forwarded: true, ..Settings::default() };
        assert_eq!(link(&trusting, "/", &headers), "https://outer/media/k.png");
    }

    #[test]
    fn only_our_own_links_hold_a_key() {
        let links = Links::to("http://a.test");
        for own in ["http://a.test/media/k.png", "http://a.test/media/k.png?e=1&s=x"] {
            assert_eq!(links.key_of(own), Some(Ok("k.png")), "{own}");
        }
        for other in ["http://b.test/media/k.png", "http://a.test/media/", "http://a.test/media/../x", "k.png"] {
            assert_eq!(links.key_of(other), None, "{other}");
        }
    }

    #[test]
    fn a_link_of_ours_is_worth_as_much_in_a_request_as_in_a_browser() {
        let links = Links::to("http://a.test").signed_by(LinkSigner::new(b"key", Duration::from_mins(1)));
        assert_eq!(links.key_of(&links.media("k.png")), Some(Ok("k.png")));
        assert_eq!(links.key_of("http://a.test/media/k.png"), Some(Err(Refused::Unsigned)));
        let swapped = links.media("l.png").replace("l.png", "k.png");
        assert_eq!(links.key_of(&swapped), Some(Err(Refused::Forged)));
    }
}
