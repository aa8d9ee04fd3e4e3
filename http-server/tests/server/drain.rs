//! The end of connections: by the drain, and by the client.

use std::time::Duration;

use http_server::ServerSettings;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::Instant,
};

use super::test_server::{head, read_response, read_to_end, start};

#[tokio::test(start_paused = true)]
async fn drain_ends_on_time_despite_clients_that_neither_send_nor_read() {
    let server = start(ServerSettings::default()).await;
    let (mut silent, mut half, mut stuck, mut unread) =
        (server.connect().await, server.connect().await, server.connect().await, server.connect().await);
    half.write_all(b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nx").await.unwrap();
    stuck.write_all(head("GET", "/stuck", "").as_bytes()).await.unwrap();
    unread.write_all(head("GET", "/endless", "").as_bytes()).await.unwrap();
    unread.readable().await.unwrap();
    let mut waiting = server.connect().await;
    waiting.write_all(head("GET", "/wait", "").as_bytes()).await.unwrap();
    server.application.entered.notified().await;
    let start = Instant::now();
    server.stop.send(Duration::from_secs(20)).unwrap();
    server.application.proceed.notify_one();
    assert!(read_to_end(waiting).await.ends_with("done"), "a request in flight finishes");
    server.task.await.unwrap();
    assert!((20..=22).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    for stream in [&mut silent, &mut half, &mut stuck] {
        assert_eq!(stream.read(&mut [0]).await.unwrap_or(0), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn announced_shutdown_closes_connections_after_their_response_and_accepts_new_ones() {
    let server = start(ServerSettings::default()).await;
    let mut idle = server.connect().await;
    idle.write_all(head("GET", "/", "").as_bytes()).await.unwrap();
    assert!(!read_response(&mut idle).await.contains("connection: close"));
    server.announced.announce();
    idle.write_all(head("GET", "/", "").as_bytes()).await.unwrap();
    for text in [read_to_end(idle).await, server.exchange(head("GET", "/", "")).await] {
        assert!(
            text.starts_with("HTTP/1.1 200 ") && text.contains("connection: close") && text.ends_with("ok"),
            "{text}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn request_on_its_way_when_the_drain_begins_is_answered() {
    let server = start(ServerSettings::default()).await;
    let (mut idle, mut fresh, silent) = (server.connect().await, server.connect().await, server.connect().await);
    let start = Instant::now();
    server.stop.send(Duration::from_secs(20)).unwrap();
    // The first responses may be sent before the server has noticed.
    loop {
        idle.write_all(head("GET", "/", "").as_bytes()).await.unwrap();
        let text = read_response(&mut idle).await;
        assert!(text.ends_with("ok"), "{text}");
        if text.contains("connection: close") {
            break;
        }
    }
    fresh.write_all(head("GET", "/", "").as_bytes()).await.unwrap();
    assert!(read_to_end(fresh).await.ends_with("ok"));
    assert_eq!(read_to_end(silent).await, "");
    server.task.await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn client_that_closes_its_sending_half_counts_as_disconnected() {
    let server = start(ServerSettings::default()).await;
    let mut stream = server.connect().await;
    stream.write_all(head("GET", "/wait", "").as_bytes()).await.unwrap();
    server.application.entered.notified().await;
    stream.shutdown().await.unwrap();
    assert_eq!(read_to_end(stream).await, "");
    // The first request was dropped, so that the notification reaches the second one.
    let mut other = server.connect().await;
    other.write_all(head("GET", "/wait", "").as_bytes()).await.unwrap();
    server.application.entered.notified().await;
    server.application.proceed.notify_one();
    assert!(read_response(&mut other).await.ends_with("done"));
}
