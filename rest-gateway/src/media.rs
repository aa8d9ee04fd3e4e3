//! `GET /media/{key}`: what the links in answers point at.

use std::time::SystemTime;

use axum::{extract::State, response::Response};
use http::{HeaderMap, HeaderValue, Method, Uri};

use crate::{
    app::App,
    context::Context,
    download::{self, Label, Source},
    error::GatewayError,
    links::LinkSigner,
    path::Id,
};

/// What is stored under a key never changes.
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

pub(crate) async fn get(
    State(app): State<App>,
    context: Context,
    method: Method,
    headers: HeaderMap,
    uri: Uri,
    Id(key): Id,
) -> Result<Response, GatewayError> {
    let cache_control = match &app.settings.link_signer {
        None => FOR_EVER,
        Some(signer) => until_it_expires(signer, &key, &uri)?,
    };
    let name = key.split('.').next().filter(|stem| download::is_plain(stem)).map(str::to_owned);
    let label = Label { cache_control, name };
    download::answer(&app, &context, &method, &headers, Source::Media(key), label).await
}

/// Caches that many people share would hand it out beyond its time, or to those who were never given it.
fn until_it_expires(signer: &LinkSigner, key: &str, uri: &Uri) -> Result<HeaderValue, GatewayError> {
    let left = signer.check(key, uri.query().unwrap_or_default(), SystemTime::now());
    let left = left.map_err(GatewayError::link_refused)?;
    HeaderValue::try_from(format!("private, max-age={}, immutable", left.as_secs()))
        .map_err(|_| GatewayError::internal())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::body::Body;
    use http::Request;

    use super::*;
    use crate::{
        routes::router,
        settings::Settings,
        testing::{Answer, Script, get, send, send_to},
    };

    fn with(path: &str, headers: &[(&'static str, &str)]) -> Request<Body> {
        let mut request = get(path);
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        request
    }

    #[tokio::test]
    async fn a_file_is_sent_whole_with_its_validator() {
        let answer = send(&Script::default(), get("/media/clip.mp4")).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, "0123456789"));
        for (name, value) in [
            ("content-type", "video/mp4"),
            ("content-length", "10"),
            ("etag", "\"e1\""),
            ("accept-ranges", "bytes"),
            ("cache-control", "public, max-age=31536000, immutable"),
            ("content-disposition", "inline; filename=\"clip.mp4\""),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{name}");
        }
    }

    #[tokio::test]
    async fn a_range_is_a_206_and_one_beyond_the_end_a_416() {
        let script = Script::default();
        let answer = send(&script, with("/media/clip.mp4", &[("range", "bytes=2-4")])).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (206, "234"));
        assert_eq!(answer.header("content-range"), Some("bytes 2-4/10"));
        assert_eq!(answer.header("content-length"), Some("3"));
        let answer = send(&script, with("/media/clip.mp4", &[("range", "bytes=10-")])).await;
        assert_eq!(answer.error(), (416, None, "range_not_satisfiable".to_owned()));
        assert_eq!(answer.header("content-range"), Some("bytes */10"));
    }

    #[tokio::test]
    async fn head_has_the_headers_of_get_and_no_body() {
        // A range means nothing to it, not even one beyond the end.
        for headers in [vec![], vec![("range", "bytes=2-4")], vec![("range", "bytes=10-")]] {
            let mut request = with("/media/clip.mp4", &headers);
            *request.method_mut() = http::Method::HEAD;
            let answer = send(&Script::default(), request).await;
            assert_eq!((answer.status.as_u16(), answer.text()), (200, ""));
            assert_eq!(answer.header("content-length"), Some("10"));
            assert_eq!(answer.header("content-range"), None);
            assert_eq!(answer.header("content-type"), Some("video/mp4"));
        }
    }

    #[tokio::test]
    async fn a_copy_that_is_good_is_not_sent_again() {
        let answer = send(&Script::default(), with("/media/clip.mp4", &[("if-none-match", "\"e1\"")])).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (304, ""));
        assert_eq!(answer.header("etag"), Some("\"e1\""));
        assert_eq!(answer.header("content-type"), None);
    }

    const MINUTE: Duration = Duration::from_mins(1);

    async fn signed(path: &str, headers: &[(&'static str, &str)]) -> Answer {
        let signer = Some(LinkSigner::new(b"a key of the operator's", MINUTE));
        let settings = Settings { link_signer: signer, ..Settings::default() };
        send_to(router(Script::default().core(), settings), with(path, headers)).await
    }

    fn link(key: &str, at: SystemTime) -> String {
        let signer = LinkSigner::new(b"a key of the operator's", MINUTE);
        format!("/media/clip.mp4?{}", signer.sign_at(key, at))
    }

    #[tokio::test]
    async fn a_signed_link_serves_wholes_parts_heads_and_conditions() {
        let path = link("clip.mp4", SystemTime::now());
        let whole = signed(&path, &[]).await;
        assert_eq!((whole.status.as_u16(), whole.text()), (200, "0123456789"));
        let cache = whole.header("cache-control").unwrap();
        let age = cache.strip_prefix("private, max-age=").unwrap().strip_suffix(", immutable").unwrap();
        assert!((1..=66).contains(&age.parse::<u64>().unwrap()), "{cache}");
        let part = signed(&path, &[("range", "bytes=2-4"), ("if-range", "\"e1\"")]).await;
        assert_eq!((part.status.as_u16(), part.text()), (206, "234"));
        assert_eq!(signed(&path, &[("if-none-match", "\"e1\"")]).await.status, 304);
        let mut head = with(&path, &[]);
        *head.method_mut() = http::Method::HEAD;
        let settings =
            Settings { link_signer: Some(LinkSigner::new(b"a key of the operator's", MINUTE)), ..Settings::default() };
        let answer = send_to(router(Script::default().core(), settings), head).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-length")), (200, Some("10")));
    }

    #[tokio::test]
    async fn without_a_good_signature_nothing_is_served_or_told() {
        let now = SystemTime::now();
        let forbidden = (403, None, "link_not_signed".to_owned());
        for path in ["/media/clip.mp4", "/media/none.png", "/media/clip.mp4?e=9999999999&s=AAAAAAAAAAAAAAAAAAAAAA"] {
            assert_eq!(signed(path, &[]).await.error(), forbidden, "{path}");
        }
        assert_eq!(signed(&link("other.mp4", now), &[]).await.error(), forbidden);
        let old = signed(&link("clip.mp4", now - 2 * MINUTE), &[("range", "bytes=0-1")]).await;
        assert_eq!(old.error(), (410, None, "link_expired".to_owned()));
    }

    #[tokio::test]
    async fn a_key_is_one_segment_and_never_a_path() {
        for path in ["/media/none.png", "/media/..%2Fclip.mp4", "/media/..", "/media/%2e%2e%2fclip.mp4"] {
            let answer = send(&Script::default(), get(path)).await;
            assert_eq!(answer.error(), (404, None, "media_not_found".to_owned()), "{path}");
        }
        assert_eq!(send(&Script::default(), get("/media/a/b")).await.error().0, 404);
        assert_eq!(send(&Script::default(), get("/media/%ff")).await.error().0, 404);
    }
}
