//! `GET /media/{key}`: what the links in answers point at.

use axum::{extract::State, response::Response};
use http::{HeaderMap, Method};

use crate::{
    app::App,
    context::Context,
    download::{self, Label, Source},
    error::GatewayError,
    path::Id,
};

/// What is stored under a key never changes.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

pub(crate) async fn get(
    State(app): State<App>,
    context: Context,
    method: Method,
    headers: HeaderMap,
    Id(key): Id,
) -> Result<Response, GatewayError> {
    let label = Label { cache_control: FOR_EVER, name: None };
    download::answer(&app, &context, &method, &headers, Source::Media(key), label).await
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::Request;

    use crate::testing::{Script, get, send};

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
        for (headers, status, length) in [(vec![], 200, "10"), (vec![("range", "bytes=2-4")], 206, "3")] {
            let mut request = with("/media/clip.mp4", &headers);
            *request.method_mut() = http::Method::HEAD;
            let answer = send(&Script::default(), request).await;
            assert_eq!((answer.status.as_u16(), answer.text()), (status, ""));
            assert_eq!(answer.header("content-length"), Some(length));
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
