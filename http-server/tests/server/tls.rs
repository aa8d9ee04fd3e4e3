//! TLS: handshakes, client certificates, and certificates that are replaced.

use std::{sync::Arc, time::Duration};

use http_body_util::{BodyExt as _, Empty};
use http_server::{ServerSettings, Tls, TlsFiles};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::Instant,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    certificates::{Authority, Issued},
    test_server::{LARGE, TestServer, head, read_response, read_to_end, start_with_tls},
};

/// Loads the TLS configuration of a server with a certificate for `localhost`.
fn load(authority: &Authority, client_authority: Option<&Authority>) -> Arc<rustls::ServerConfig> {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    authority.issue(&["localhost"]).write(directory.path(), "a");
    if let Some(authority) = client_authority {
        std::fs::write(path("ca.pem"), &authority.certificate).unwrap();
    }
    let client_ca = client_authority.map(|_| path("ca.pem"));
    TlsFiles { certificate: path("a.pem"), key: path("a.key"), client_ca }.load().unwrap().config
}

/// Returns a client that trusts an authority, presents a certificate, if any, and offers one protocol.
fn client(authority: &Authority, certificate: Option<&Issued>, protocol: &str) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.certificate.as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match certificate {
        None => builder.with_no_client_auth(),
        Some(Issued { certificate, key }) => builder
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
            )
            .unwrap(),
    };
    config.alpn_protocols = vec![protocol.into()];
    TlsConnector::from(Arc::new(config))
}

async fn connect(server: &TestServer, client: &TlsConnector) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from("localhost").unwrap();
    client.connect(name, server.connect().await).await
}

/// Sends a GET request and returns all that the server sends until it closes the connection.
async fn get(server: &TestServer, client: &TlsConnector, path: &str) -> String {
    let Ok(mut stream) = connect(server, client).await else { return "no handshake".to_owned() };
    let request = head("GET", path, "connection: close\r\n");
    if stream.write_all(request.as_bytes()).await.is_err() {
        return "no request".to_owned();
    }
    read_to_end(stream).await
}

#[tokio::test(start_paused = true)]
async fn http1_request_over_tls_is_marked_as_encrypted() {
    let authority = Authority::new();
    let server = start_with_tls(Tls::new(load(&authority, None)), ServerSettings::default()).await;
    let response = get(&server, &client(&authority, None, "http/1.1"), "/encrypted").await;
    assert!(response.starts_with("HTTP/1.1 200") && response.ends_with("true"), "{response}");
}

#[tokio::test(start_paused = true)]
async fn large_responses_arrive_whole_over_http1_and_http2() {
    let authority = Authority::new();
    let server = start_with_tls(Tls::new(load(&authority, None)), ServerSettings::default()).await;
    let response = get(&server, &client(&authority, None, "http/1.1"), "/large").await;
    assert!(response.len() > LARGE, "{}", response.len());

    let stream = connect(&server, &client(&authority, None, "h2")).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    // `/encrypted` responds with `true`.
    for (path, length) in [("/large", LARGE), ("/encrypted", 4)] {
        let request =
            http::Request::get(format!("https://localhost{path}")).body(Empty::<bytes::Bytes>::new()).unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes().len(), length, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn handshake_that_stalls_is_closed_after_the_header_timeout() {
    let authority = Authority::new();
    let server = start_with_tls(Tls::new(load(&authority, None)), ServerSettings::default()).await;
    // 0x16 is the type of a handshake record; the last one is the beginning of a ClientHello.
    for begin in [&[][..], &[0x16], &[0x16, 3, 1, 0, 200, 1]] {
        let start = Instant::now();
        let mut stream = server.connect().await;
        stream.write_all(begin).await.unwrap();
        assert_eq!(read_to_end(stream).await, "");
        assert_eq!(start.elapsed(), ServerSettings::default().header_timeout, "{begin:?}");
    }
    let start = Instant::now();
    let stream = connect(&server, &client(&authority, None, "http/1.1")).await.unwrap();
    assert_eq!(read_to_end(stream).await, "");
    assert_eq!(start.elapsed(), ServerSettings::default().header_timeout, "the handshake does not extend the timeout");
}

#[tokio::test(start_paused = true)]
async fn plain_http_is_closed_without_a_response() {
    let authority = Authority::new();
    let server = start_with_tls(Tls::new(load(&authority, None)), ServerSettings::default()).await;
    let start = Instant::now();
    let mut stream = server.connect().await;
    stream.write_all(head("GET", "/", "").as_bytes()).await.unwrap();
    let mut received = Vec::new();
    let _ = stream.read_to_end(&mut received).await;
    assert!(!received.starts_with(b"HTTP") && received.len() < 16, "at most a TLS alert: {received:?}");
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn client_certificate_of_another_authority_or_none_is_refused() {
    let (authority, clients, others) = (Authority::new(), Authority::new(), Authority::new());
    let server = start_with_tls(Tls::new(load(&authority, Some(&clients))), ServerSettings::default()).await;
    let (own, other, expired) = (clients.issue(&["client"]), others.issue(&["client"]), clients.issue_expired());
    for (certificate, is_served) in [(Some(&own), true), (Some(&other), false), (Some(&expired), false), (None, false)]
    {
        let response = get(&server, &client(&authority, certificate, "http/1.1"), "/").await;
        assert_eq!(response.starts_with("HTTP/1.1 200"), is_served, "{response}");
    }
}

#[tokio::test(start_paused = true)]
async fn replaced_certificate_is_seen_by_new_connections_and_open_ones_continue() {
    let (old, new) = (Authority::new(), Authority::new());
    let tls = Tls::new(load(&old, None));
    let server = start_with_tls(tls.clone(), ServerSettings::default()).await;
    let mut open = connect(&server, &client(&old, None, "http/1.1")).await.unwrap();
    open.write_all(head("GET", "/wait", "").as_bytes()).await.unwrap();
    server.application.entered.notified().await;

    tls.replace(load(&new, None));
    assert!(get(&server, &client(&new, None, "http/1.1"), "/").await.starts_with("HTTP/1.1 200"));
    assert_eq!(get(&server, &client(&old, None, "http/1.1"), "/").await, "no handshake");
    server.application.proceed.notify_one();
    assert!(read_response(&mut open).await.ends_with("done"));
    open.write_all(head("GET", "/encrypted", "").as_bytes()).await.unwrap();
    assert!(read_response(&mut open).await.ends_with("true"));
}

#[tokio::test(start_paused = true)]
async fn client_that_does_not_read_is_disconnected_after_the_write_timeout() {
    let authority = Authority::new();
    let server = start_with_tls(Tls::new(load(&authority, None)), ServerSettings::default()).await;
    let mut stream = connect(&server, &client(&authority, None, "http/1.1")).await.unwrap();
    stream.write_all(head("GET", "/endless", "").as_bytes()).await.unwrap();
    stream.get_ref().0.readable().await.unwrap();
    tokio::time::sleep(2 * ServerSettings::default().write_timeout).await;
    let mut received = Vec::new();
    assert!(stream.read_to_end(&mut received).await.is_err(), "no orderly end");
    assert!(received.len() < 64 << 20, "the response is endless");
}

#[tokio::test(start_paused = true)]
async fn shutdown_does_not_wait_for_a_handshake() {
    let authority = Authority::new();
    let server = start_with_tls(Tls::new(load(&authority, None)), ServerSettings::default()).await;
    let mut stream = server.connect().await;
    // The server has accepted this connection once it responds to a later one.
    stream.write_all(&[0x16]).await.unwrap();
    assert!(get(&server, &client(&authority, None, "http/1.1"), "/").await.starts_with("HTTP/1.1 200"));
    let start = Instant::now();
    server.stop.send(Duration::from_mins(1)).unwrap();
    server.task.await.unwrap();
    // As long as an idle connection may take.
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn connection_limit_counts_handshakes() {
    let authority = Authority::new();
    let settings = ServerSettings { max_connections: 1, ..ServerSettings::default() };
    let server = start_with_tls(Tls::new(load(&authority, None)), settings).await;
    let mut first = server.connect().await;
    first.write_all(&[0x16]).await.unwrap();
    let response = get(&server, &client(&authority, None, "http/1.1"), "/").await;
    assert!(response.starts_with("HTTP/1.1 429") && response.ends_with("Connections"), "{response}");
}
