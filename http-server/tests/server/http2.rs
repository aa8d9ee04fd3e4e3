//! HTTP/2 streams, with a client that decides what it reads.

use std::time::Duration;

use bytes::Bytes;
use h2::client::{self, ResponseFuture, SendRequest};
use http::Request;
use http_server::{ConnectionThreads, Drain, ServerSettings, ThreadCount, serve};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, duplex},
    sync::mpsc,
    time::Instant,
};

use super::{
    recorded::{Recorded, RecordedListener},
    test_server::{TestApplication, TestServer, start},
};

async fn connect(server: &TestServer) -> SendRequest<Bytes> {
    handshake(server.connect().await).await
}

async fn handshake(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> SendRequest<Bytes> {
    // A stream that is not read must not use up the window of the connection.
    let builder = client::Builder::new().initial_connection_window_size(1 << 20).clone();
    let (client, connection) = builder.handshake(io).await.unwrap();
    tokio::spawn(async move {
        // The server may close the connection.
        let _ = connection.await;
    });
    client
}

async fn get(client: &mut SendRequest<Bytes>, path: &str) -> ResponseFuture {
    let request = Request::get(format!("http://a{path}")).body(()).unwrap();
    std::future::poll_fn(|cx| client.poll_ready(cx)).await.unwrap();
    client.send_request(request, true).unwrap().0
}

#[tokio::test(start_paused = true)]
async fn stream_whose_window_stays_closed_is_reset_after_the_write_timeout_and_others_go_on() {
    let server = start(ServerSettings { max_requests: 2, ..ServerSettings::default() }).await;
    let mut client = connect(&server).await;
    let mut unread = get(&mut client, "/endless").await.await.unwrap().into_body();
    let start = Instant::now();
    // The window is full after some chunks, and never opened again.
    let error = loop {
        match unread.data().await {
            Some(Ok(_)) => {}
            Some(Err(error)) => break error,
            None => panic!("the body is endless"),
        }
    };
    assert!(error.is_reset(), "{error}");
    assert_eq!(start.elapsed().as_secs(), ServerSettings::default().write_timeout.as_secs());
    for _ in 0..3 {
        let response = get(&mut client, "/").await.await.unwrap();
        assert_eq!(response.status(), 200, "the permit of the stream is free again");
        let mut body = response.into_body();
        while body.data().await.is_some() {}
    }
}

#[tokio::test(start_paused = true)]
async fn drain_ends_streams_that_nothing_else_ends() {
    let server = start(ServerSettings::default()).await;
    let mut client = connect(&server).await;
    let stuck = get(&mut client, "/stuck").await;
    let waiting = get(&mut client, "/wait").await;
    server.application.entered.notified().await;
    let start = Instant::now();
    server.stop.send(Duration::from_secs(20)).unwrap();
    server.application.proceed.notify_one();
    assert_eq!(waiting.await.unwrap().status(), 200, "a request in flight finishes");
    assert!(stuck.await.is_err());
    server.task.await.unwrap();
    assert!((20..=22).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn drain_does_not_wait_for_an_idle_client_that_answers_no_ping() {
    let server = start(ServerSettings::default()).await;
    let mut client = server.connect().await;
    // The preface, and empty settings. The call after them shows that the server has read them.
    client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut other = connect(&server).await;
    assert_eq!(get(&mut other, "/").await.await.unwrap().status(), 200);
    let start = Instant::now();
    server.stop.send(Duration::from_secs(20)).unwrap();
    server.task.await.unwrap();
    assert!(start.elapsed() <= Duration::from_secs(2), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn stream_beyond_the_limit_of_requests_is_refused_and_the_connection_stays() {
    let server = start(ServerSettings { max_requests: 1, ..ServerSettings::default() }).await;
    let mut client = connect(&server).await;
    let waiting = get(&mut client, "/wait").await;
    server.application.entered.notified().await;
    assert_eq!(get(&mut client, "/").await.await.unwrap().status(), 429);
    server.application.proceed.notify_one();
    assert_eq!(waiting.await.unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn response_with_trailers_is_one_write() {
    let (accept, accepted) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let (application, settings) = (TestApplication::default(), ServerSettings::default());
        let threads = ConnectionThreads::start(ThreadCount::Shared).unwrap();
        let listener = RecordedListener(accepted);
        serve(listener, application, &threads, settings, Drain::default(), std::future::pending()).await;
    });
    let (client, server) = duplex(64 << 10);
    let (server, writes) = Recorded::new(server);
    accept.send(server).ok().unwrap();
    let mut client = handshake(client).await;
    for _ in 0..2 {
        // After the settings of the connection.
        tokio::time::sleep(Duration::from_secs(1)).await;
        writes.lock().unwrap().clear();
        let mut body = get(&mut client, "/trailers").await.await.unwrap().into_body();
        assert_eq!(body.data().await.unwrap().unwrap().len(), 1024);
        assert!(body.trailers().await.unwrap().is_some());
    }
    let writes = writes.lock().unwrap();
    assert!(matches!(&**writes, [length] if *length > 1024), "{writes:?}");
}
