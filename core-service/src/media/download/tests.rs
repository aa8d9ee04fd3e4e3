//! Downloads from a server that breaks off, redirects and lies.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use futures_util::TryStreamExt;
use tokio::{io::AsyncWriteExt, net::TcpListener};

use super::*;
use crate::media::{
    picture::tests::{encoded, png_bomb},
    testing::{Asked, HERE, answer, ok, redirect, server},
};

fn settings() -> DownloadSettings {
    DownloadSettings {
        max_picture_bytes: 20_000,
        max_pixels: 10_000,
        pause: Duration::ZERO,
        ..DownloadSettings::default()
    }
}

fn downloads() -> Downloads {
    Downloads::new(settings()).unwrap()
}

fn own(base: &str) -> Own {
    let key = HeaderValue::from_static("Bearer sk-secret");
    Own::new(Url::parse(base).unwrap()).with_key(header::AUTHORIZATION, key)
}

/// A server, and every request it got.
async fn watched(mut answer: impl FnMut(&Asked) -> Vec<u8> + Send + 'static) -> (String, Arc<Mutex<Vec<Asked>>>) {
    let seen = Arc::<Mutex<Vec<Asked>>>::default();
    let log = Arc::clone(&seen);
    let url = server(move |asked| {
        log.lock().unwrap().push(asked.clone());
        answer(asked)
    })
    .await;
    (url, seen)
}

fn clip(length: usize) -> Bytes {
    let body = (0..length).map(|place| u8::try_from(place % 251).unwrap());
    b"\0\0\0\x18ftypmp42".iter().copied().chain(body).collect()
}

/// An answer that promises all of `body` and ends after `length` bytes of it.
fn torn(headers: &[&str], body: &[u8], length: usize) -> Vec<u8> {
    let whole = answer("200 OK", headers, body);
    whole[..whole.len() - body.len() + length].to_vec()
}

/// What ranged servers answer to the rest of `body`.
fn part(asked: &Asked, tag: &str, body: &[u8]) -> Vec<u8> {
    assert_eq!(asked.header("if-range"), Some(tag));
    let from: usize = asked.header("range").unwrap()["bytes=".len()..].trim_end_matches('-').parse().unwrap();
    let range = format!("content-range: bytes {from}-{}/{}", body.len() - 1, body.len());
    answer("206 Partial Content", &[&range], &body[from..])
}

async fn refused(link: &str, own: &Own) -> ProviderError {
    downloads().picture(link, own).await.unwrap_err()
}

async fn collected(chunks: Chunks<Bytes>) -> Result<Bytes, ProviderError> {
    Ok(chunks.try_collect::<Vec<_>>().await?.concat().into())
}

#[tokio::test]
async fn a_picture_is_told_by_its_bytes_and_relative_links_begin_at_the_api() {
    let bytes = encoded(MediaType::Webp, 30, 20);
    let body = bytes.clone();
    let url = server(move |asked| {
        assert_eq!(asked.path(), "/files/p.png?sign=1");
        answer("200 OK", &["content-type: text/html"], &body)
    })
    .await;
    let expected = Downloaded { bytes, kind: MediaType::Webp, size: Size::new(30, 20) };
    let own = own(&format!("{url}/v1/"));
    for link in ["/files/p.png?sign=1", &format!("{url}/files/p.png?sign=1")] {
        assert_eq!(downloads().picture(link, &own).await, Ok(expected.clone()));
    }
}

#[tokio::test]
async fn the_key_is_shown_to_the_apis_own_origin_and_to_nobody_after_it() {
    let picture = encoded(MediaType::Png, 8, 8);
    let body = picture.clone();
    let (cdn, cdn_seen) = watched(move |_| ok(&body)).await;
    let (to, body) = (cdn.clone(), picture.clone());
    let (api, api_seen) = watched(move |asked| match asked.path() {
        "/within" => redirect("/here"),
        "/away" => redirect(&to),
        _ => ok(&body),
    })
    .await;
    let open =
        Downloads::new(DownloadSettings { guard: Guard::only(|address| address == HERE), ..settings() }).unwrap();
    let own = own(&api);
    for link in ["/within", "/away", &cdn] {
        assert_eq!(open.picture(link, &own).await.unwrap().bytes, picture, "{link}");
    }
    let key = Some("Bearer sk-secret");
    assert!(api_seen.lock().unwrap().iter().all(|asked| asked.header("authorization") == key));
    assert_eq!(api_seen.lock().unwrap().len(), 3);
    assert!(cdn_seen.lock().unwrap().iter().all(|asked| asked.header("authorization").is_none()));
    assert_eq!(cdn_seen.lock().unwrap().len(), 2);
    assert!(!format!("{own:?}").contains("sk-secret"));
}

#[tokio::test]
async fn a_way_that_left_the_api_is_a_strangers_even_where_it_leads_back() {
    static ASKED: AtomicBool = AtomicBool::new(false);
    let (api, seen) = watched(|_| ok(b"what only the API may ask for")).await;
    let back = api.clone();
    let cdn = server(move |_| redirect(&back)).await;
    let open =
        Downloads::new(DownloadSettings { guard: Guard::only(|address| address == HERE), ..settings() }).unwrap();
    assert!(open.picture(&cdn, &own(&api)).await.is_err());
    assert_eq!(seen.lock().unwrap()[0].header("authorization"), None);
    seen.lock().unwrap().clear();

    // Takes the first address it is asked about for public and no other.
    let guard = Guard::only(|_| !ASKED.swap(true, Ordering::Relaxed));
    let once = Downloads::new(DownloadSettings { guard, ..settings() }).unwrap();
    let error = once.picture(&cdn, &own(&api)).await.unwrap_err();
    assert_eq!(error, ProviderError::Unreadable(format!("the provider's link {NOT_PUBLIC}")));
    assert!(seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn links_lead_nowhere_private_but_to_the_api_itself() {
    let elsewhere = server(|_| ok(b"secret")).await;
    let to = elsewhere.clone();
    let api = server(move |asked| match asked.path() {
        "/out" => redirect(&to),
        "/name" => redirect("http://localhost:1/"),
        "/file" => redirect("file:///etc/passwd"),
        "/metadata" => redirect("http://169.254.169.254/latest"),
        _ => ok(&encoded(MediaType::Png, 8, 8)),
    })
    .await;
    let own = own(&api);
    assert!(downloads().picture("/p.png", &own).await.is_ok(), "the operator chose this address");
    for link in [elsewhere.as_str(), "/out", "/name", "/file", "/metadata", "http://2130706433/"] {
        let ProviderError::Unreadable(why) = refused(link, &own).await else { panic!("{link}") };
        assert!(why.contains("not public") || why.contains("must be an http"), "{link}: {why}");
    }
}

#[tokio::test]
async fn after_a_break_the_rest_is_asked_for_once() {
    let bytes = encoded(MediaType::Png, 64, 64);
    let body = bytes.clone();
    let (url, seen) = watched(move |asked| match asked.header("range") {
        None => torn(&["etag: \"a\""], &body, 1000),
        Some(_) => part(asked, "\"a\"", &body),
    })
    .await;
    assert_eq!(downloads().picture("/p", &own(&url)).await.unwrap().bytes, bytes);
    assert_eq!(seen.lock().unwrap().len(), 2);

    let body = bytes.clone();
    let (url, seen) = watched(move |_| torn(&["etag: \"a\""], &body, 1000)).await;
    assert!(matches!(downloads().picture("/p", &own(&url)).await, Err(ProviderError::Broken(_))));
    assert_eq!(seen.lock().unwrap().len(), 2, "a second break is the end");
}

#[tokio::test]
async fn a_server_without_ranges_begins_anew_and_its_bytes_are_not_doubled() {
    let whole = clip(5000);
    for (again, good) in [("etag: \"a\"", true), ("etag: \"b\"", false)] {
        let (body, mut asked) = (whole.clone(), 0);
        let url = server(move |_| {
            asked += 1;
            if asked == 1 { torn(&["etag: \"a\""], &body, 2000) } else { answer("200 OK", &[again], &body) }
        })
        .await;
        let chunks = downloads().clip("/c", &own(&url), 10_000).await.unwrap();
        match collected(chunks).await {
            Ok(bytes) => assert!(good && bytes == whole),
            Err(error) => assert!(!good && matches!(error, ProviderError::Broken(_)), "{error:?}"),
        }
    }
}

#[tokio::test]
async fn a_part_that_does_not_fit_is_not_taken() {
    let body = clip(5000);
    let url = server(move |asked| match asked.header("range") {
        None => torn(&["last-modified: Mon, 23 Nov 2026 04:00:00 GMT"], &body, 2000),
        Some(_) => answer("206 Partial Content", &["content-range: bytes 7-5011/5012"], &body[7..]),
    })
    .await;
    let chunks = downloads().clip("/c", &own(&url), 10_000).await.unwrap();
    assert!(matches!(collected(chunks).await, Err(ProviderError::Broken(_))));
}

#[tokio::test]
async fn what_cannot_be_resumed_begins_anew_if_nothing_was_handed_on() {
    let bytes = encoded(MediaType::Jpeg, 64, 64);
    let (body, mut asked) = (bytes.clone(), 0);
    let url = server(move |_| {
        asked += 1;
        if asked == 1 { torn(&["etag: W/\"weak\""], &body, 500) } else { ok(&body) }
    })
    .await;
    assert_eq!(downloads().picture("/p", &own(&url)).await.unwrap().bytes, bytes);

    let body = clip(5000);
    let url = server(move |_| torn(&[], &body, 2000)).await;
    let chunks = downloads().clip("/c", &own(&url), 10_000).await.unwrap();
    assert!(matches!(collected(chunks).await, Err(ProviderError::Broken(_))));
}

#[tokio::test]
async fn a_server_that_is_not_well_is_asked_for_a_picture_twice_and_no_more() {
    for (well_at, good) in [(2, true), (3, false)] {
        let (bytes, mut asked) = (encoded(MediaType::Png, 8, 8), 0);
        let (url, seen) = watched(move |_| {
            asked += 1;
            if asked < well_at { answer("503 Service Unavailable", &[], b"") } else { ok(&bytes) }
        })
        .await;
        assert_eq!(downloads().picture("/p", &own(&url)).await.is_ok(), good);
        assert_eq!(seen.lock().unwrap().len(), 2);
    }
    let (url, seen) = watched(|_| answer("404 Not Found", &[], b"")).await;
    assert!(downloads().picture("/p", &own(&url)).await.is_err());
    assert_eq!(seen.lock().unwrap().len(), 1, "a dead link stays dead");
}

#[tokio::test]
async fn only_what_it_claims_to_be_is_taken() {
    let url = server(|asked| match asked.path() {
        "/html" => ok(b"<html>expired</html>"),
        "/gif" => ok(b"GIF89a"),
        "/empty" => ok(b""),
        "/bomb" => ok(&png_bomb(60_000, 60_000)),
        "/clip" => ok(&clip(10)),
        "/part" => answer("206 Partial Content", &["content-range: bytes 0-9/10"], &[0; 10]),
        _ => ok(&encoded(MediaType::Png, 8, 8)),
    })
    .await;
    let own = own(&url);
    for link in ["/html", "/gif", "/empty", "/bomb", "/clip", "/part", "http://", "ftp://a.test/p"] {
        assert!(matches!(refused(link, &own).await, ProviderError::Unreadable(_)), "{link}");
    }
    for link in ["/html", "/empty", "/picture"] {
        let taken = downloads().clip(link, &own, 10_000).await.map(|_| ());
        assert!(matches!(taken, Err(ProviderError::Unreadable(_))), "{link}: {taken:?}");
    }
    assert_eq!(collected(downloads().clip("/clip", &own, 22).await.unwrap()).await.unwrap(), clip(10));
}

#[tokio::test]
async fn a_long_file_is_cut_whether_it_is_announced_or_not() {
    let url = server(|asked| match asked.path() {
        "/announced" => b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n".to_vec(),
        _ => [b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &clip(30_000)].concat(),
    })
    .await;
    for link in ["/announced", "/silent"] {
        let ProviderError::Unreadable(why) = refused(link, &own(&url)).await else { panic!("{link}") };
        assert!(why.contains("longer than 20000"), "{why}");
    }
    let chunks = downloads().clip("/silent", &own(&url), 20_000).await.unwrap();
    assert!(matches!(collected(chunks).await, Err(ProviderError::Unreadable(_))));
}

#[tokio::test]
async fn a_failure_tells_what_may_be_done_and_never_that_nothing_was_paid() {
    let url = server(|asked| {
        let status = format!("{} X", asked.path().trim_start_matches('/'));
        answer(&status, &[], b"words of the provider's")
    })
    .await;
    let own = own(&url);
    let keyless = Own::new(Url::parse(&url).unwrap());
    let kind = |error: &ProviderError| (error.reason(), error.is_transient());
    let broken = kind(&ProviderError::Broken(String::new()));
    let dead = kind(&ProviderError::Unreadable(String::new()));
    for (status, expected) in [
        ("/401", kind(&ProviderError::Credentials(String::new()))),
        ("/403", dead),
        ("/404", dead),
        ("/410", dead),
        ("/204", dead),
        ("/304", dead),
        ("/429", broken),
        ("/500", broken),
        ("/503", broken),
    ] {
        let error = refused(status, &own).await;
        assert_eq!(kind(&error), expected, "{status}");
        assert!(!error.is_safe_to_retry() && !error.to_string().contains("words"), "{status}: {error}");
    }
    assert_eq!(kind(&refused("/401", &keyless).await), dead);
    let closed = TcpListener::bind((HERE, 0)).await.unwrap().local_addr().unwrap();
    let error = refused(&format!("http://{closed}/p"), &Own::new(format!("http://{closed}").parse().unwrap())).await;
    assert!(!error.is_safe_to_retry() && !error.to_string().contains("127.0.0.1"), "{error}");
}

#[tokio::test]
async fn silence_within_a_file_counts_as_a_break() {
    let body = clip(5000);
    let listener = TcpListener::bind((HERE, 0)).await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (head, whole) = (torn(&["etag: \"a\""], &body, 2000), body.clone());
    tokio::spawn(async move {
        let (mut silent, _) = listener.accept().await.unwrap();
        Asked::read(&mut silent).await;
        silent.write_all(&head).await.unwrap();
        let (mut second, _) = listener.accept().await.unwrap();
        let asked = Asked::read(&mut second).await;
        second.write_all(&part(&asked, "\"a\"", &body)).await.unwrap();
        // The first one is open all the while.
        drop(silent);
    });
    let brief = DownloadSettings { idle: Duration::from_millis(50), ..settings() };
    let chunks = Downloads::new(brief).unwrap().clip(&url, &own(&url), 10_000).await.unwrap();
    assert_eq!(collected(chunks).await.unwrap(), whole);
}

#[tokio::test]
async fn what_the_operator_opens_is_open_to_providers_too() {
    let elsewhere = server(|_| ok(&encoded(MediaType::Png, 8, 8))).await;
    let own = own("https://api.example.com/v1");
    for (open, good) in [(true, true), (false, false)] {
        let media = config::Media { fetch_private_addresses: open, ..config::Media::default() };
        let downloads = Downloads::new(DownloadSettings::from(&media)).unwrap();
        assert_eq!(downloads.picture(&elsewhere, &own).await.is_ok(), good);
    }
}

#[tokio::test]
async fn a_server_that_falls_silent_is_given_up() {
    let silent = TcpListener::bind((HERE, 0)).await.unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let brief = DownloadSettings { first_byte: Duration::from_millis(50), ..settings() };
    let error = Downloads::new(brief).unwrap().picture(&url, &own(&url)).await.unwrap_err();
    assert!(matches!(error, ProviderError::Timeout(_)));
    let brief = DownloadSettings { picture: Duration::from_millis(50), ..settings() };
    let error = Downloads::new(brief).unwrap().picture(&url, &own(&url)).await.unwrap_err();
    assert!(matches!(error, ProviderError::Timeout(_)));
}
