//! Timeouts of request heads, idle connections and writes; the maximum age of a connection.

use std::time::Duration;

use http_server::ServerSettings;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::Instant,
};

use super::test_server::{LARGE, head, read_response, read_to_end, start};

#[tokio::test(start_paused = true)]
async fn silent_connection_is_closed_after_the_header_timeout() {
    let server = start(ServerSettings::default()).await;
    // The last one could begin either protocol.
    for half in ["", "GET / HTTP/1.1\r\nhost:", "PRI * HT"] {
        let start = Instant::now();
        assert_eq!(server.exchange(half).await, "", "{half:?}");
        assert_eq!(start.elapsed().as_secs(), 10, "{half:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn later_half_head_is_closed_after_the_header_timeout_and_not_the_idle_timeout() {
    let server = start(ServerSettings::default()).await;
    let mut stream = server.connect().await;
    stream.write_all(head("GET", "/echo", "").as_bytes()).await.unwrap();
    read_response(&mut stream).await;
    let start = Instant::now();
    stream.write_all(b"GET /echo HT").await.unwrap();
    assert_eq!(read_to_end(stream).await, "");
    assert_eq!(start.elapsed().as_secs(), ServerSettings::default().header_timeout.as_secs());
}

#[tokio::test(start_paused = true)]
async fn idle_http1_connection_is_closed_after_the_idle_timeout() {
    let server = start(ServerSettings { idle_timeout: Duration::from_secs(15), ..ServerSettings::default() }).await;
    let mut stream = server.connect().await;
    stream.write_all(head("GET", "/echo", "").as_bytes()).await.unwrap();
    read_response(&mut stream).await;
    let start = Instant::now();
    assert_eq!(read_to_end(stream).await, "");
    assert_eq!(start.elapsed().as_secs(), 15);
}

#[tokio::test(start_paused = true)]
async fn idle_http2_connection_is_closed_with_goaway() {
    let server = start(ServerSettings { idle_timeout: Duration::from_secs(15), ..ServerSettings::default() }).await;
    let mut stream = server.connect().await;
    // The preface, and empty settings.
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut received = Vec::new();
    stream.read_to_end(&mut received).await.unwrap();
    // The end of the length, the type of the frame, its flags, and the beginning of the number of its stream.
    let goaway = received.windows(4).any(|frame| frame == [8, 7, 0, 0]);
    assert!(goaway, "GOAWAY with a length of 8: {received:?}");
}

#[tokio::test(start_paused = true)]
async fn client_that_does_not_read_is_disconnected_after_the_write_timeout() {
    let server = start(ServerSettings::default()).await;
    let mut stream = server.connect().await;
    stream.write_all(head("GET", "/endless", "").as_bytes()).await.unwrap();
    stream.readable().await.unwrap();
    let start = Instant::now();
    // Time passes once the socket buffers are full.
    tokio::time::sleep(2 * ServerSettings::default().write_timeout).await;
    let mut discarded = Vec::new();
    assert!(stream.read_to_end(&mut discarded).await.is_err() || discarded.len() < 64 << 20, "the response is endless");
    assert!(start.elapsed() < 3 * ServerSettings::default().write_timeout);
}

#[tokio::test(start_paused = true)]
async fn slow_reader_receives_a_response_that_takes_longer_than_the_idle_timeout() {
    let settings = ServerSettings { max_connection_age: Some(Duration::from_secs(30)), ..ServerSettings::default() };
    // In the second case, the connection reaches its maximum age meanwhile.
    for settings in [ServerSettings::default(), settings] {
        let server = start(settings).await;
        let mut stream = server.connect().await;
        stream.write_all(head("GET", "/large", "connection: close\r\n").as_bytes()).await.unwrap();
        let (mut received, mut buffer) = (0, vec![0; 256 << 10]);
        loop {
            // 256 KiB a second: two minutes in all.
            tokio::time::sleep(Duration::from_secs(1)).await;
            match stream.read(&mut buffer).await.unwrap() {
                0 => break,
                read => received += read,
            }
        }
        assert!(received > LARGE, "{received}");
    }
}

#[tokio::test(start_paused = true)]
async fn connection_of_the_maximum_age_finishes_its_request_and_takes_no_other() {
    let age = Duration::from_mins(1);
    let server = start(ServerSettings { max_connection_age: Some(age), ..ServerSettings::default() }).await;
    let mut stream = server.connect().await;
    stream.write_all(head("GET", "/wait", "").as_bytes()).await.unwrap();
    server.application.entered.notified().await;
    tokio::time::sleep(age * 2).await;
    server.application.proceed.notify_one();
    let response = read_to_end(stream).await;
    assert!(response.ends_with("done"), "{response}");
}
