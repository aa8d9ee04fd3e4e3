//! Tests of the media endpoints in front of a [`CoreStub`], which has `clip.mp4` with the content `0123456789`.

use std::time::Duration;

use axum::body::Body;
use http::Request;

use super::*;
use crate::{
    Gateway, RuntimeSettings, Settings,
    testing::{CLIP_URL, CoreStub, TestResponse, get, send, send_to},
};

fn request(path: &str, headers: &[(&'static str, &str)]) -> Request<Body> {
    let mut request = get(path);
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    request
}

#[tokio::test]
async fn full_response_has_etag_length_and_type() {
    let response = send(&CoreStub::default(), get("/media/clip.mp4")).await;
    assert_eq!((response.status.as_u16(), response.text()), (200, "0123456789"));
    for (name, value) in [
        ("content-type", "video/mp4"),
        ("content-length", "10"),
        ("etag", "\"e1\""),
        ("accept-ranges", "bytes"),
        ("cache-control", "public, max-age=31536000, immutable"),
        ("content-disposition", "inline; filename=\"clip.mp4\""),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(response.header(name), Some(value), "{name}");
    }
}

#[tokio::test]
async fn range_returns_206_and_one_beyond_the_end_416() {
    let core = CoreStub::default();
    let response = send(&core, request("/media/clip.mp4", &[("range", "bytes=2-4")])).await;
    assert_eq!((response.status.as_u16(), response.text()), (206, "234"));
    assert_eq!(response.header("content-range"), Some("bytes 2-4/10"));
    assert_eq!(response.header("content-length"), Some("3"));
    let response = send(&core, request("/media/clip.mp4", &[("range", "bytes=10-")])).await;
    assert_eq!(response.error(), (416, None, "range_not_satisfiable".to_owned()));
    assert_eq!(response.header("content-range"), Some("bytes */10"));
}

#[tokio::test]
async fn head_has_the_headers_of_get_and_ignores_ranges() {
    for headers in [vec![], vec![("range", "bytes=2-4")], vec![("range", "bytes=10-")]] {
        let mut request = request("/media/clip.mp4", &headers);
        *request.method_mut() = http::Method::HEAD;
        let response = send(&CoreStub::default(), request).await;
        assert_eq!((response.status.as_u16(), response.text()), (200, ""));
        assert_eq!(response.header("content-length"), Some("10"));
        assert_eq!(response.header("content-range"), None);
        assert_eq!(response.header("content-type"), Some("video/mp4"));
    }
}

#[tokio::test]
async fn matching_if_none_match_returns_304() {
    let response = send(&CoreStub::default(), request("/media/clip.mp4", &[("if-none-match", "\"e1\"")])).await;
    assert_eq!((response.status.as_u16(), response.text()), (304, ""));
    assert_eq!(response.header("etag"), Some("\"e1\""));
    assert_eq!(response.header("content-type"), None);
}

#[tokio::test]
async fn get_is_redirected_to_the_object_store_where_the_core_permits_it() {
    let core = CoreStub::default();
    core.redirect_downloads();
    for path in ["/media/clip.mp4", "/v1/videos/video_1/content"] {
        for headers in
            [vec![], vec![("range", "bytes=2-4")], vec![("user-agent", "curl/8"), ("sec-fetch-site", "none")]]
        {
            let response = send(&core, request(path, &headers)).await;
            assert_eq!((response.status.as_u16(), response.text()), (307, ""), "{path} {headers:?}");
            assert_eq!(response.header("location"), Some(CLIP_URL));
            assert_eq!(response.header("cache-control"), Some("private, no-store"));
        }
    }
}

#[tokio::test]
async fn requests_that_the_object_store_cannot_answer_are_not_redirected() {
    let core = CoreStub::default();
    core.redirect_downloads();
    for path in ["/media/clip.mp4", "/v1/videos/video_1/content"] {
        for (headers, expected) in [
            (vec![("sec-fetch-site", "same-origin")], (200, "0123456789")),
            (vec![("sec-fetch-site", "same-origin"), ("range", "bytes=2-4")], (206, "234")),
            (vec![("user-agent", "Mozilla/5.0 (X11; Linux x86_64)")], (200, "0123456789")),
            (vec![("if-none-match", "\"e1\"")], (304, "")),
            (vec![("if-none-match", "\"e2\"")], (200, "0123456789")),
            (vec![("range", "bytes=2-4"), ("if-range", "\"e1\"")], (206, "234")),
        ] {
            let response = send(&core, request(path, &headers)).await;
            assert_eq!((response.status.as_u16(), response.text()), expected, "{path} {headers:?}");
        }
        assert_eq!(send(&core, request(path, &[("range", "bytes=10-")])).await.status, 416);
        let mut head = request(path, &[]);
        *head.method_mut() = http::Method::HEAD;
        assert_eq!(send(&core, head).await.status, 200);
    }
    let link = send(&core, get("/media/inputs/token.mp4")).await;
    assert_eq!((link.status.as_u16(), link.text()), (200, "0123456789"));
}

/// The lifetime of signed links. It is extended by up to a tenth.
const MINUTE: Duration = Duration::from_mins(1);

async fn get_signed(path: &str, headers: &[(&'static str, &str)]) -> TestResponse {
    send_signed(request(path, headers)).await
}

/// Sends a request to a gateway that signs links.
async fn send_signed(request: Request<Body>) -> TestResponse {
    let link_signer = Some(LinkSigner::new(b"the operator's signing key", MINUTE));
    let runtime = RuntimeSettings { link_signer, ..RuntimeSettings::default() };
    let settings = Settings { runtime, ..Settings::default() };
    send_to(Gateway::new(CoreStub::default().services(), settings).router(), request).await
}

/// Returns a path to `clip.mp4` with the signature for `key`.
fn link(key: &str, at: SystemTime) -> String {
    let signer = LinkSigner::new(b"the operator's signing key", MINUTE);
    format!("/media/clip.mp4?{}", signer.sign_at(key, at))
}

#[tokio::test]
async fn signed_link_serves_full_range_head_and_conditional_requests() {
    let path = link("clip.mp4", SystemTime::now());
    let full = get_signed(&path, &[]).await;
    assert_eq!((full.status.as_u16(), full.text()), (200, "0123456789"));
    let cache_control = full.header("cache-control").unwrap();
    let age = cache_control.strip_prefix("private, max-age=").unwrap().strip_suffix(", immutable").unwrap();
    assert!((1..=66).contains(&age.parse::<u64>().unwrap()), "{cache_control}");
    let part = get_signed(&path, &[("range", "bytes=2-4"), ("if-range", "\"e1\"")]).await;
    assert_eq!((part.status.as_u16(), part.text()), (206, "234"));
    assert_eq!(get_signed(&path, &[("if-none-match", "\"e1\"")]).await.status, 304);
    let mut head = request(&path, &[]);
    *head.method_mut() = http::Method::HEAD;
    let response = send_signed(head).await;
    assert_eq!((response.status.as_u16(), response.header("content-length")), (200, Some("10")));
}

#[tokio::test]
async fn link_without_a_valid_signature_is_refused_before_the_lookup() {
    let now = SystemTime::now();
    let forbidden = (403, None, "link_not_signed".to_owned());
    for path in ["/media/clip.mp4", "/media/none.png", "/media/clip.mp4?e=9999999999&s=AAAAAAAAAAAAAAAAAAAAAA"] {
        assert_eq!(get_signed(path, &[]).await.error(), forbidden, "{path}");
    }
    assert_eq!(get_signed(&link("other.mp4", now), &[]).await.error(), forbidden);
    let old = get_signed(&link("clip.mp4", now - 2 * MINUTE), &[("range", "bytes=0-1")]).await;
    assert_eq!(old.error(), (410, None, "link_expired".to_owned()));
}

#[tokio::test]
async fn key_with_a_path_separator_returns_404() {
    for path in ["/media/none.png", "/media/..%2Fclip.mp4", "/media/..", "/media/%2e%2e%2fclip.mp4"] {
        let response = send(&CoreStub::default(), get(path)).await;
        assert_eq!(response.error(), (404, None, "media_not_found".to_owned()), "{path}");
    }
    // These reach no handler.
    assert_eq!(send(&CoreStub::default(), get("/media/a/b")).await.error().0, 404);
    assert_eq!(send(&CoreStub::default(), get("/media/%ff")).await.error().0, 404);
}
