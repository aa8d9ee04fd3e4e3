//! Sources of connections other than TCP.

use http_server::{ConnectionThreads, Drain, ServerSettings, ThreadCount, serve};
use tokio::io::AsyncWriteExt;

use super::test_server::{TestApplication, head, read_to_end};

#[tokio::test(start_paused = true)]
async fn unix_socket_is_served_like_tcp() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let threads = ConnectionThreads::start(ThreadCount::Shared).unwrap();
    let (application, settings) = (TestApplication::default(), ServerSettings::default());
    let serving = serve(listener, application, &threads, settings, Drain::default(), std::future::pending());
    let calling = async {
        let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
        stream.write_all(head("GET", "/", "connection: close\r\n").as_bytes()).await.unwrap();
        read_to_end(stream).await
    };
    tokio::select! {
        () = serving => panic!("stopped"),
        response = calling => assert!(response.starts_with("HTTP/1.1 200"), "{response}"),
    }
}
