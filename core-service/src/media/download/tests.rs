//! Downloads from a server that interrupts responses, redirects, and sends wrong headers.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::TryStreamExt;
use http::{HeaderValue, header};
use tokio::{io::AsyncWriteExt, net::TcpListener};
use url::Url;

use super::*;
use crate::{
    config,
    context::RequestContext,
    media::{
        address_policy::{AddressPolicy, NOT_PUBLIC},
        picture::tests::{encoded, png_bomb},
        testing::{LOOPBACK, ReceivedRequest, ok, redirect, response, serve},
    },
};

fn settings() -> DownloadSettings {
    DownloadSettings {
        max_picture_bytes: 20_000,
        max_pixels: 10_000,
        retry_delay: Duration::ZERO,
        ..DownloadSettings::default()
    }
}

fn downloader() -> Downloader {
    Downloader::new(settings()).unwrap()
}

fn origin(base: &str) -> TrustedOrigin {
    let key = HeaderValue::from_static("Bearer sk-secret");
    TrustedOrigin::new(Url::parse(base).unwrap()).with_api_key(header::AUTHORIZATION, key)
}

/// Starts a server. Returns its URL and all requests it receives.
async fn logging_server(
    mut respond: impl FnMut(&ReceivedRequest) -> Vec<u8> + Send + 'static,
) -> (String, Arc<Mutex<Vec<ReceivedRequest>>>) {
    let received = Arc::<Mutex<Vec<ReceivedRequest>>>::default();
    let log = Arc::clone(&received);
    let url = serve(move |request| {
        log.lock().unwrap().push(request.clone());
        respond(request)
    })
    .await;
    (url, received)
}

/// Returns the 12 bytes that identify an MP4 file, and this many bytes after them.
fn clip(length: usize) -> Bytes {
    let body = (0..length).map(|place| u8::try_from(place % 251).unwrap());
    b"\0\0\0\x18ftypmp42".iter().copied().chain(body).collect()
}

/// Composes a response that announces all of `body` and ends after `length` bytes of it.
fn truncated(headers: &[&str], body: &[u8], length: usize) -> Vec<u8> {
    let whole = response("200 OK", headers, body);
    whole[..whole.len() - body.len() + length].to_vec()
}

/// Composes the response of a server that supports ranges to the request for the rest of `body`.
fn part(request: &ReceivedRequest, tag: &str, body: &[u8]) -> Vec<u8> {
    assert_eq!(request.header("if-range"), Some(tag));
    let from: usize = request.header("range").unwrap()["bytes=".len()..].trim_end_matches('-').parse().unwrap();
    let range = format!("content-range: bytes {from}-{}/{}", body.len() - 1, body.len());
    response("206 Partial Content", &[&range], &body[from..])
}

async fn rejection(link: &str, origin: &TrustedOrigin) -> ProviderError {
    downloader().picture(link, origin).await.unwrap_err()
}

async fn collected(chunks: Chunks<Bytes>) -> Result<Bytes, ProviderError> {
    Ok(chunks.try_collect::<Vec<_>>().await?.concat().into())
}

#[tokio::test]
async fn picture_type_is_detected_and_relative_link_is_resolved_against_the_api() {
    let bytes = encoded(MediaType::Webp, 30, 20);
    let body = bytes.clone();
    let url = serve(move |request| {
        assert_eq!(request.path(), "/files/p.png?sign=1");
        response("200 OK", &["content-type: text/html"], &body)
    })
    .await;
    let expected = DownloadedPicture { bytes, media_type: MediaType::Webp, size: Size::new(30, 20) };
    let origin = origin(&format!("{url}/v1/"));
    for link in ["/files/p.png?sign=1", &format!("{url}/files/p.png?sign=1")] {
        assert_eq!(downloader().picture(link, &origin).await, Ok(expected.clone()));
    }
}

#[tokio::test]
async fn key_and_request_id_are_sent_to_the_trusted_origin_only() {
    let picture = encoded(MediaType::Png, 8, 8);
    let body = picture.clone();
    let (cdn, cdn_received) = logging_server(move |_| ok(&body)).await;
    let (to, body) = (cdn.clone(), picture.clone());
    let (api, api_received) = logging_server(move |request| match request.path() {
        "/same" => redirect("/here"),
        "/other" => redirect(&to),
        _ => ok(&body),
    })
    .await;
    let downloader = Downloader::new(DownloadSettings {
        address_policy: AddressPolicy::only(|address| address == LOOPBACK),
        ..settings()
    })
    .unwrap();
    let context = RequestContext { request_id: "req_1".to_owned(), ..RequestContext::default() };
    let origin = origin(&api).for_call(&context);
    for link in ["/same", "/other", &cdn] {
        assert_eq!(downloader.picture(link, &origin).await.unwrap().bytes, picture, "{link}");
    }
    let key = Some("Bearer sk-secret");
    assert!(api_received.lock().unwrap().iter().all(|request| request.header("authorization") == key));
    assert!(api_received.lock().unwrap().iter().all(|request| request.header("x-request-id") == Some("req_1")));
    assert_eq!(api_received.lock().unwrap().len(), 3);
    assert!(cdn_received.lock().unwrap().iter().all(|request| request.header("authorization").is_none()));
    assert!(cdn_received.lock().unwrap().iter().all(|request| request.header("x-request-id").is_none()));
    assert_eq!(cdn_received.lock().unwrap().len(), 2);
    assert!(!format!("{origin:?}").contains("sk-secret"));
}

#[tokio::test]
async fn redirect_back_to_the_trusted_origin_stays_untrusted() {
    static CHECKED: AtomicBool = AtomicBool::new(false);
    let (api, received) = logging_server(|_| ok(b"secret")).await;
    let back = api.clone();
    let cdn = serve(move |_| redirect(&back)).await;
    let downloader = Downloader::new(DownloadSettings {
        address_policy: AddressPolicy::only(|address| address == LOOPBACK),
        ..settings()
    })
    .unwrap();
    assert!(downloader.picture(&cdn, &origin(&api)).await.is_err());
    assert_eq!(received.lock().unwrap()[0].header("authorization"), None);
    received.lock().unwrap().clear();

    // Permits the first address that is checked and no other.
    let address_policy = AddressPolicy::only(|_| !CHECKED.swap(true, Ordering::Relaxed));
    let once = Downloader::new(DownloadSettings { address_policy, ..settings() }).unwrap();
    let error = once.picture(&cdn, &origin(&api)).await.unwrap_err();
    assert_eq!(error, ProviderError::Unreadable(format!("the provider's link {NOT_PUBLIC}")));
    assert!(received.lock().unwrap().is_empty());
}

#[tokio::test]
async fn private_address_is_refused_outside_the_trusted_origin() {
    let elsewhere = serve(|_| ok(b"secret")).await;
    let to = elsewhere.clone();
    let api = serve(move |request| match request.path() {
        "/out" => redirect(&to),
        "/name" => redirect("http://localhost:1/"),
        "/file" => redirect("file:///etc/passwd"),
        "/metadata" => redirect("http://169.254.169.254/latest"),
        _ => ok(&encoded(MediaType::Png, 8, 8)),
    })
    .await;
    let origin = origin(&api);
    assert!(downloader().picture("/p.png", &origin).await.is_ok(), "the operator configured this address");
    for link in [elsewhere.as_str(), "/out", "/name", "/file", "/metadata", "http://2130706433/"] {
        let ProviderError::Unreadable(reason) = rejection(link, &origin).await else { panic!("{link}") };
        assert!(reason.contains("not public") || reason.contains("must be an http"), "{link}: {reason}");
    }
}

#[tokio::test]
async fn interrupted_download_is_resumed_once() {
    let bytes = encoded(MediaType::Png, 64, 64);
    let body = bytes.clone();
    let (url, received) = logging_server(move |request| match request.header("range") {
        None => truncated(&["etag: \"a\""], &body, 1000),
        Some(_) => part(request, "\"a\"", &body),
    })
    .await;
    assert_eq!(downloader().picture("/p", &origin(&url)).await.unwrap().bytes, bytes);
    assert_eq!(received.lock().unwrap().len(), 2);

    let body = bytes.clone();
    let (url, received) = logging_server(move |_| truncated(&["etag: \"a\""], &body, 1000)).await;
    assert!(matches!(downloader().picture("/p", &origin(&url)).await, Err(ProviderError::Broken(_))));
    assert_eq!(received.lock().unwrap().len(), 2, "a second interruption is final");
}

#[tokio::test]
async fn repeated_bytes_of_a_server_without_ranges_are_skipped() {
    let whole = clip(5000);
    for (header, succeeds) in [("etag: \"a\"", true), ("etag: \"b\"", false)] {
        let (body, mut requests) = (whole.clone(), 0);
        let url = serve(move |_| {
            requests += 1;
            if requests == 1 { truncated(&["etag: \"a\""], &body, 2000) } else { response("200 OK", &[header], &body) }
        })
        .await;
        let chunks = downloader().clip("/c", &origin(&url), 10_000).await.unwrap();
        match collected(chunks).await {
            Ok(bytes) => assert!(succeeds && bytes == whole),
            Err(error) => assert!(!succeeds && matches!(error, ProviderError::Broken(_)), "{error:?}"),
        }
    }
}

#[tokio::test]
async fn part_with_the_wrong_start_is_refused() {
    let body = clip(5000);
    let url = serve(move |request| match request.header("range") {
        None => truncated(&["last-modified: Mon, 23 Nov 2026 04:00:00 GMT"], &body, 2000),
        Some(_) => response("206 Partial Content", &["content-range: bytes 7-5011/5012"], &body[7..]),
    })
    .await;
    let chunks = downloader().clip("/c", &origin(&url), 10_000).await.unwrap();
    assert!(matches!(collected(chunks).await, Err(ProviderError::Broken(_))));
}

#[tokio::test]
async fn picture_that_cannot_be_resumed_is_downloaded_again_and_a_stream_fails() {
    let bytes = encoded(MediaType::Jpeg, 64, 64);
    let (body, mut requests) = (bytes.clone(), 0);
    let url = serve(move |_| {
        requests += 1;
        if requests == 1 { truncated(&["etag: W/\"weak\""], &body, 500) } else { ok(&body) }
    })
    .await;
    assert_eq!(downloader().picture("/p", &origin(&url)).await.unwrap().bytes, bytes);

    let body = clip(5000);
    let url = serve(move |_| truncated(&[], &body, 2000)).await;
    let chunks = downloader().clip("/c", &origin(&url), 10_000).await.unwrap();
    assert!(matches!(collected(chunks).await, Err(ProviderError::Broken(_))));
}

#[tokio::test]
async fn transient_error_is_retried_once_and_a_dead_link_never() {
    for (healthy_at, succeeds) in [(2, true), (3, false)] {
        let (bytes, mut requests) = (encoded(MediaType::Png, 8, 8), 0);
        let (url, received) = logging_server(move |_| {
            requests += 1;
            if requests < healthy_at { response("503 Service Unavailable", &[], b"") } else { ok(&bytes) }
        })
        .await;
        assert_eq!(downloader().picture("/p", &origin(&url)).await.is_ok(), succeeds);
        assert_eq!(received.lock().unwrap().len(), 2);
    }
    let (url, received) = logging_server(|_| response("404 Not Found", &[], b"")).await;
    assert!(downloader().picture("/p", &origin(&url)).await.is_err());
    assert_eq!(received.lock().unwrap().len(), 1, "a dead link stays dead");
}

#[tokio::test]
async fn file_of_another_type_is_refused() {
    let url = serve(|request| match request.path() {
        "/html" => ok(b"<html>expired</html>"),
        "/gif" => ok(b"GIF89a"),
        "/empty" => ok(b""),
        "/bomb" => ok(&png_bomb(60_000, 60_000)),
        "/clip" => ok(&clip(10)),
        "/part" => response("206 Partial Content", &["content-range: bytes 0-9/10"], &[0; 10]),
        _ => ok(&encoded(MediaType::Png, 8, 8)),
    })
    .await;
    let origin = origin(&url);
    for link in ["/html", "/gif", "/empty", "/bomb", "/clip", "/part", "http://", "ftp://a.test/p"] {
        assert!(matches!(rejection(link, &origin).await, ProviderError::Unreadable(_)), "{link}");
    }
    for link in ["/html", "/empty", "/picture"] {
        let result = downloader().clip(link, &origin, 10_000).await.map(|_| ());
        assert!(matches!(result, Err(ProviderError::Unreadable(_))), "{link}: {result:?}");
    }
    assert_eq!(collected(downloader().clip("/clip", &origin, 22).await.unwrap()).await.unwrap(), clip(10));
}

#[tokio::test]
async fn too_large_file_is_refused_with_and_without_content_length() {
    let url = serve(|request| match request.path() {
        "/with_length" => b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n".to_vec(),
        _ => [b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &clip(30_000)].concat(),
    })
    .await;
    for link in ["/with_length", "/without_length"] {
        let ProviderError::Unreadable(reason) = rejection(link, &origin(&url)).await else { panic!("{link}") };
        assert!(reason.contains("longer than 20000"), "{reason}");
    }
    let chunks = downloader().clip("/without_length", &origin(&url), 20_000).await.unwrap();
    assert!(matches!(collected(chunks).await, Err(ProviderError::Unreadable(_))));
}

#[tokio::test]
async fn status_determines_the_error_and_no_error_is_safe_to_retry() {
    let url = serve(|request| {
        let status = format!("{} X", request.path().trim_start_matches('/'));
        response(&status, &[], b"text of the provider")
    })
    .await;
    let origin = origin(&url);
    let keyless = TrustedOrigin::new(Url::parse(&url).unwrap());
    let kind = |error: &ProviderError| std::mem::discriminant(error);
    let broken = kind(&ProviderError::Broken(String::new()));
    let dead = kind(&ProviderError::Unreadable(String::new()));
    let expired = kind(&ProviderError::LinkExpired(String::new()));
    for (status, expected) in [
        ("/401", kind(&ProviderError::Credentials(String::new()))),
        ("/403", expired),
        ("/404", expired),
        ("/410", expired),
        ("/204", dead),
        ("/304", dead),
        ("/429", broken),
        ("/500", broken),
        ("/503", broken),
    ] {
        let error = rejection(status, &origin).await;
        assert_eq!(kind(&error), expected, "{status}");
        assert!(!error.is_safe_to_retry() && !error.to_string().contains("text of"), "{status}: {error}");
    }
    assert_eq!(kind(&rejection("/401", &keyless).await), dead);
    let closed = TcpListener::bind((LOOPBACK, 0)).await.unwrap().local_addr().unwrap();
    let error =
        rejection(&format!("http://{closed}/p"), &TrustedOrigin::new(format!("http://{closed}").parse().unwrap()))
            .await;
    assert!(!error.is_safe_to_retry() && !error.to_string().contains("127.0.0.1"), "{error}");
}

#[tokio::test]
async fn idle_timeout_interrupts_the_download_and_resumes_it() {
    let body = clip(5000);
    let listener = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (head, whole) = (truncated(&["etag: \"a\""], &body, 2000), body.clone());
    tokio::spawn(async move {
        let (mut silent, _) = listener.accept().await.unwrap();
        ReceivedRequest::read(&mut silent).await;
        silent.write_all(&head).await.unwrap();
        let (mut second, _) = listener.accept().await.unwrap();
        let request = ReceivedRequest::read(&mut second).await;
        second.write_all(&part(&request, "\"a\"", &body)).await.unwrap();
        // The first connection stays open until here.
        drop(silent);
    });
    let short = DownloadSettings { idle_timeout: Duration::from_millis(50), ..settings() };
    let chunks = Downloader::new(short).unwrap().clip(&url, &origin(&url), 10_000).await.unwrap();
    assert_eq!(collected(chunks).await.unwrap(), whole);
}

#[tokio::test]
async fn fetch_private_addresses_permits_private_links_of_providers() {
    let elsewhere = serve(|_| ok(&encoded(MediaType::Png, 8, 8))).await;
    let origin = origin("https://api.example.com/v1");
    for (open, succeeds) in [(true, true), (false, false)] {
        let media = config::Media { fetch_private_addresses: open, ..config::Media::default() };
        let downloader = Downloader::new(DownloadSettings::from(&media)).unwrap();
        assert_eq!(downloader.picture(&elsewhere, &origin).await.is_ok(), succeeds);
    }
}

#[tokio::test]
async fn server_that_does_not_respond_times_out() {
    let silent = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let short = DownloadSettings { first_byte_timeout: Duration::from_millis(50), ..settings() };
    let error = Downloader::new(short).unwrap().picture(&url, &origin(&url)).await.unwrap_err();
    assert!(matches!(error, ProviderError::Timeout(_)));
    let short = DownloadSettings { picture_timeout: Duration::from_millis(50), ..settings() };
    let error = Downloader::new(short).unwrap().picture(&url, &origin(&url)).await.unwrap_err();
    assert!(matches!(error, ProviderError::Timeout(_)));
}
