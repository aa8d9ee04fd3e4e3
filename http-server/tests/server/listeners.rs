//! The listeners: Unix sockets, and the close of both kinds.

use std::{fs, io::ErrorKind, os::unix::fs::PermissionsExt as _, path::Path};

use futures_util::poll;
use http_server::{
    BoundListener, ConnectionThreads, Drain, ListenAddress, Listener as _, ServerSettings, ThreadCount, serve,
};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpStream, UnixListener, UnixStream},
};

use super::test_server::{TestApplication, head, read_to_end};

async fn bind(path: &Path) -> std::io::Result<BoundListener> {
    BoundListener::bind(&ListenAddress::Unix(path.to_owned()), None).await
}

#[tokio::test(start_paused = true)]
async fn unix_socket_is_served_like_tcp() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let listener = bind(&path).await.unwrap();
    let threads = ConnectionThreads::start(ThreadCount::Shared).unwrap();
    // Connections without an address have no limit per peer.
    let settings = ServerSettings { max_connections_per_peer: 1, ..ServerSettings::default() };
    let application = TestApplication::default();
    let serving = serve(listener, application, &threads, settings, Drain::default(), std::future::pending());
    let calling = async {
        let _other = UnixStream::connect(&path).await.unwrap();
        let mut stream = UnixStream::connect(&path).await.unwrap();
        stream.write_all(head("GET", "/", "connection: close\r\n").as_bytes()).await.unwrap();
        read_to_end(stream).await
    };
    tokio::select! {
        () = serving => panic!("stopped"),
        response = calling => assert!(response.starts_with("HTTP/1.1 200"), "{response}"),
    }
    assert!(!path.exists(), "the file is removed with the server");
}

#[tokio::test]
async fn only_owner_and_group_may_connect() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let _listener = bind(&path).await.unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
}

#[tokio::test]
async fn file_without_a_listener_is_replaced_and_others_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "a killed process leaves the file");
    let listener = bind(&path).await.unwrap();
    assert_eq!(bind(&path).await.unwrap_err().kind(), ErrorKind::AddrInUse);

    // The file of a process that has replaced this one is kept.
    fs::remove_file(&path).unwrap();
    let other = UnixListener::bind(&path).unwrap();
    drop(listener);
    assert!(path.exists());
    drop(other);

    fs::remove_file(&path).unwrap();
    fs::write(&path, "a document").unwrap();
    assert_eq!(bind(&path).await.unwrap_err().to_string(), "the path exists and is not a socket");
    assert!(path.exists());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn closing_listener_resets_no_connection() {
    let mut listener = BoundListener::bind(&"127.0.0.1:0".parse().unwrap(), None).await.unwrap();
    let ListenAddress::Tcp(address) = listener.address().unwrap() else { panic!("not TCP") };
    let _established = TcpStream::connect(address).await.unwrap();
    listener.stop_establishing();
    let mut late = std::pin::pin!(TcpStream::connect(address));
    assert!(poll!(&mut late).is_pending());
    listener.accept().await.expect("a connection that was established before is accepted");
    drop(listener);
    // The client can connect to another server, because it has sent no request yet.
    assert_eq!(late.await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn closing_unix_socket_accepts_established_connections_and_no_others() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let mut listener = bind(&path).await.unwrap();
    let _connected = UnixStream::connect(&path).await.unwrap();
    listener.stop_establishing();
    assert_eq!(UnixStream::connect(&path).await.unwrap_err().kind(), ErrorKind::NotFound);
    listener.accept().await.expect("a connection that was established before is accepted");
}
