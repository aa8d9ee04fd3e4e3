//! Requests that are refused before the application handles them: invalid heads, and limits.

use http_server::ServerSettings;
use tokio::io::AsyncWriteExt;

use super::test_server::{TestServer, head, read_response, start};

#[tokio::test(start_paused = true)]
async fn refused_head_gets_the_body_of_the_application() {
    // hyper limits paths to 65,534 bytes.
    let server = start(ServerSettings { head_limit_bytes: 96 << 10, ..ServerSettings::default() }).await;
    let long = "x".repeat(70 << 10);
    for (sent, status) in [
        ("GET / HTTP/1.1\r\nno colon\r\n\r\n".to_owned(), "400 Bad Request"),
        (head("GET", &format!("/{long}"), ""), "414 URI Too Long"),
        (head("GET", "/", &format!("a: {long}\r\nb: {long}\r\n")), "431 Request Header Fields Too Large"),
    ] {
        let response = server.exchange(sent + &"x".repeat(1 << 20)).await;
        let expected = [&format!("HTTP/1.1 {status}\r\n"), "x-request-id: req_1", "connection: close"];
        assert!(expected.iter().all(|part| response.contains(*part)), "{response}");
        assert!(response.ends_with(&format!("\r\n\r\nown {status}")), "{response}");
    }
}

#[tokio::test(start_paused = true)]
async fn refused_head_gets_a_response_with_a_date() {
    let server = start(ServerSettings::default()).await;
    let response = server.exchange("GET / HTTP/1.1\r\nno colon\r\n\r\n").await;
    let dates: Vec<_> = response.lines().filter_map(|line| line.strip_prefix("date: ")).collect();
    // An IMF-fixdate, for example "Sun, 06 Nov 1994 08:49:37 GMT".
    assert!(matches!(dates[..], [date] if date.len() == 29 && date.ends_with(" GMT")), "{response}");
}

/// Sends a request on a new connection while the server is at its limit. The response must be 429 and name `refusal`.
async fn assert_refused(server: &TestServer, refusal: &str) {
    let response = server.exchange(head("GET", "/", "connection: close\r\n")).await;
    let body = response.split_once("\r\n\r\n").map(|(_, body)| body);
    assert!(response.starts_with("HTTP/1.1 429") && body == Some(refusal), "{response}");
}

#[tokio::test(start_paused = true)]
async fn connection_beyond_max_connections_is_refused() {
    let server = start(ServerSettings { max_connections: 1, ..ServerSettings::default() }).await;
    let held = server.connect().await;
    held.writable().await.unwrap();
    assert_refused(&server, "Connections").await;
}

#[tokio::test(start_paused = true)]
async fn connection_beyond_max_connections_per_peer_is_refused() {
    let server = start(ServerSettings { max_connections_per_peer: 1, ..ServerSettings::default() }).await;
    let held = server.connect().await;
    held.writable().await.unwrap();
    assert_refused(&server, "ConnectionsOfPeer").await;
}

#[tokio::test(start_paused = true)]
async fn request_beyond_max_requests_is_refused_and_the_one_in_flight_is_served() {
    let server = start(ServerSettings { max_requests: 1, ..ServerSettings::default() }).await;
    let mut held = server.connect().await;
    held.write_all(head("GET", "/wait", "").as_bytes()).await.unwrap();
    server.application.entered.notified().await;
    assert_refused(&server, "Requests").await;
    server.application.proceed.notify_one();
    assert!(read_response(&mut held).await.ends_with("done"));
}
