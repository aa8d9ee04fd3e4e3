//! Bodies of requests and responses over HTTP/1.1.

use std::{num::NonZeroUsize, time::Duration};

use http_server::{ServerSettings, ThreadCount};
use tokio::io::AsyncWriteExt;

use super::test_server::{FORGED, head, read_response, read_to_end, start, start_on};

#[tokio::test(start_paused = true)]
async fn unread_body_is_discarded_and_the_connection_serves_the_next_request() {
    let server = start(ServerSettings::default()).await;
    for path in ["/none", "/"] {
        let mut stream = server.connect().await;
        let (length, body) = (3 << 20, vec![b'x'; 3 << 20]);
        stream.write_all(head("POST", path, &format!("content-length: {length}\r\n")).as_bytes()).await.unwrap();
        let response = read_response(&mut stream).await;
        assert!(!response.contains("connection: close"), "{response}");
        stream.write_all(&body).await.unwrap();
        // Longer than the header timeout, which must not start with the discarded bytes: they are not the head of a next request.
        tokio::time::sleep(Duration::from_secs(30)).await;
        stream.write_all(head("POST", "/echo", "content-length: 2\r\n").as_bytes()).await.unwrap();
        stream.write_all(b"hi").await.unwrap();
        assert!(read_response(&mut stream).await.ends_with("hi"));
    }
}

#[tokio::test(start_paused = true)]
async fn connection_serves_the_next_request_after_a_chunked_body() {
    let server = start(ServerSettings::default()).await;
    let mut stream = server.connect().await;
    for _ in 0..2 {
        let sent = head("POST", "/echo", "transfer-encoding: chunked\r\n") + "2\r\nhi\r\n0\r\n\r\n";
        stream.write_all(sent.as_bytes()).await.unwrap();
        let response = read_response(&mut stream).await;
        assert!(response.ends_with("hi") && !response.contains("connection: close"), "{response}");
    }
}

#[tokio::test(start_paused = true)]
async fn response_to_a_body_that_is_too_long_to_discard_arrives_and_announces_the_close() {
    let server = start(ServerSettings::default()).await;
    let mut stream = server.connect().await;
    let declared = format!("content-length: {}\r\n", 1_u64 << 40);
    stream.write_all(head("POST", "/none", &declared).as_bytes()).await.unwrap();
    // The client keeps sending, and has not read the response yet.
    stream.write_all(&vec![b'x'; 4 << 20]).await.unwrap();
    let response = read_to_end(stream).await;
    assert!(response.starts_with("HTTP/1.1 404") && response.contains("connection: close"), "{response}");
}

#[tokio::test(start_paused = true)]
async fn client_that_expects_100_continue_gets_no_100_continue_for_an_unread_body() {
    let server = start(ServerSettings::default()).await;
    let response = server.exchange(head("POST", "/none", "content-length: 9\r\nexpect: 100-continue\r\n")).await;
    assert!(response.starts_with("HTTP/1.1 404") && response.contains("connection: close"), "{response}");
}

/// The server replaces the error responses of the HTTP library. A body with the same bytes must not be taken for one.
#[tokio::test(start_paused = true)]
async fn body_that_looks_like_a_response_of_the_http_library_is_sent_unchanged() {
    let server = start(ServerSettings::default()).await;
    let mut stream = server.connect().await;
    for _ in 0..2 {
        stream.write_all(head("GET", "/forged", "").as_bytes()).await.unwrap();
        assert!(read_response(&mut stream).await.ends_with(FORGED));
    }
}

#[tokio::test(start_paused = true)]
async fn panic_of_a_response_body_closes_its_connection_and_leaks_no_permit() {
    for threads in [ThreadCount::Shared, ThreadCount::Fixed(const { NonZeroUsize::new(2).unwrap() })] {
        let server = start_on(threads, ServerSettings { max_requests: 1, ..ServerSettings::default() }).await;
        for _ in 0..3 {
            server.exchange(head("GET", "/panic", "")).await;
        }
        let response = server.exchange(head("GET", "/", "connection: close\r\n")).await;
        assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    }
}
