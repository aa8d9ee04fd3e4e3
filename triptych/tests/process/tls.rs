//! TLS at both ports, client certificates, and the messages about certificates that cannot be used.

#![expect(clippy::unwrap_used, reason = "a failure of a helper is a failure of the test")]

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::Arc,
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tempfile::{TempDir, tempdir};

use crate::{
    certificates::Authority,
    triptych_process::{TriptychProcess, command},
};

pub(crate) type Stream = StreamOwned<ClientConnection, TcpStream>;

/// The settings of TLS at both ports, two for REST and two for gRPC, with the files that [`issue`] writes.
pub(crate) const SETTINGS: [(&str, &str); 4] = [
    ("TRIPTYCH_REST_TLS_CERTIFICATE_FILE", "server.pem"),
    ("TRIPTYCH_REST_TLS_KEY_FILE", "server.key"),
    ("TRIPTYCH_GRPC_TLS_CERTIFICATE_FILE", "server.pem"),
    ("TRIPTYCH_GRPC_TLS_KEY_FILE", "server.key"),
];

/// Writes a certificate for the loopback addresses.
pub(crate) fn issue(authority: &Authority, directory: &Path, name: &str) {
    authority.issue(&["localhost", "127.0.0.1"]).write(directory, name);
}

/// Connects with TLS to a server whose certificate the authority has issued, and sends a request. With a certificate of another
/// authority, reading the response fails.
pub(crate) fn send(address: SocketAddr, authority: &Authority, method: &str, path: &str, body: &str) -> Stream {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.certificate.as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let client = ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap();
    let mut stream = StreamOwned::new(client, TcpStream::connect(address).unwrap());
    let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
    let _ = write!(stream, "{head}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream
}

/// Sends a request and returns what the server sends; nothing if the handshake fails.
pub(crate) fn exchange(address: SocketAddr, authority: &Authority, method: &str, path: &str, body: &str) -> String {
    let mut received = Vec::new();
    let _ = send(address, authority, method, path, body).read_to_end(&mut received);
    String::from_utf8_lossy(&received).into_owned()
}

/// Returns a directory with the certificate of a server.
pub(crate) fn directory(authority: &Authority) -> TempDir {
    let dir = tempdir().unwrap();
    issue(authority, dir.path(), "server");
    dir
}

#[test]
fn rest_port_serves_https_and_links_begin_with_https() {
    let authority = Authority::new();
    let dir = directory(&authority);
    let server = TriptychProcess::start(dir.path(), &SETTINGS);
    let rest = server.rest.unwrap();
    for part in [format!("REST   https://{rest}/v1\n"), " with TLS\n".into(), format!("curl https://{rest}/v1/chat")] {
        assert!(server.banner.contains(&part), "{part} is missing in {}", server.banner);
    }
    assert!(!server.banner.contains("-plaintext"), "{}", server.banner);
    let image = r#"{"prompt":"A boat","size":"256x256"}"#;
    let response = exchange(rest, &authority, "POST", "/v1/images/generations", image);
    assert!(response.contains("https://localhost/media/"), "{response}");
    assert_eq!(exchange(rest, &Authority::new(), "GET", "/v1/models", ""), "", "another authority");
}

#[test]
fn gateway_presents_its_certificate_to_its_core() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let dir = directory(&authority);
    fs::write(dir.path().join("clients.pem"), &clients.certificate).unwrap();
    let [_, _, certificate, key] = SETTINGS;
    let client_ca = ("TRIPTYCH_GRPC_TLS_CLIENT_CA_FILE", "clients.pem");
    let core = TriptychProcess::start_as(&["core"], dir.path(), &[certificate, key, client_ca]);
    assert!(core.banner.contains(" with TLS and client certificates"), "{}", core.banner);
    let address = format!("https://{}", core.grpc.unwrap());

    let gateway_dir = tempdir().unwrap();
    fs::write(gateway_dir.path().join("ca.pem"), &authority.certificate).unwrap();
    clients.issue(&["gateway"]).write(gateway_dir.path(), "known");
    Authority::new().issue(&["gateway"]).write(gateway_dir.path(), "unknown");
    let response = |identity: Option<(&str, &str)>| {
        let mut settings = vec![("TRIPTYCH_REST_CORE_CA_FILE", "ca.pem")];
        if let Some((certificate, key)) = identity {
            settings.push(("TRIPTYCH_REST_CORE_CERTIFICATE_FILE", certificate));
            settings.push(("TRIPTYCH_REST_CORE_KEY_FILE", key));
        }
        let gateway = TriptychProcess::start_as(&["gateway", "--core", &address], gateway_dir.path(), &settings);
        gateway.get("/v1/models")
    };
    let served = response(Some(("known.pem", "known.key")));
    assert!(served.starts_with("HTTP/1.1 200 ") && served.contains("offline-image"), "{served}");
    // Under TLS 1.3 the core refuses a certificate after the handshake of the gateway, so that the call breaks off at any point.
    for identity in [None, Some(("unknown.pem", "unknown.key"))] {
        let refused = response(identity);
        assert!(refused.starts_with("HTTP/1.1 50"), "{refused}");
    }
}

#[test]
fn client_certificates_count_as_protection_of_a_public_address() {
    let authority = Authority::new();
    let dir = directory(&authority);
    fs::write(dir.path().join("clients.pem"), &authority.certificate).unwrap();
    let mut settings = SETTINGS.to_vec();
    settings.push(("TRIPTYCH_GRPC_LISTEN", "0.0.0.0:0"));
    let server = TriptychProcess::start(dir.path(), &settings);
    assert!(server.banner.contains("WARNING: gRPC listens on 0.0.0.0:"), "{}", server.banner);
    settings.push(("TRIPTYCH_GRPC_TLS_CLIENT_CA_FILE", "clients.pem"));
    drop(server);
    let server = TriptychProcess::start(dir.path(), &settings);
    assert!(!server.banner.contains("WARNING"), "{}", server.banner);
}

#[test]
fn banner_names_servers_that_get_keys_in_plain_text() {
    let authority = Authority::new();
    let dir = directory(&authority);
    // TLS at the gRPC port alone.
    let mut settings = SETTINGS[2..].to_vec();
    settings.extend([
        ("TRIPTYCH_KEYS", "team:0123456789-secret"),
        ("TRIPTYCH_REST_LISTEN", "0.0.0.0:0"),
        ("TRIPTYCH_GRPC_LISTEN", "0.0.0.0:0"),
    ]);
    let server = TriptychProcess::start(dir.path(), &settings);
    assert!(server.banner.contains("sent in plain text to REST on 0.0.0.0:"), "{}", server.banner);
    assert!(!server.banner.contains("sent in plain text to gRPC"), "{}", server.banner);
}

#[test]
fn check_names_the_setting_of_an_unusable_certificate_and_shows_when_a_valid_one_expires() {
    let authority = Authority::new();
    let dir = directory(&authority);
    issue(&authority, dir.path(), "other");
    authority.issue_expired().write(dir.path(), "expired");
    let check = |certificate: &str, key: &str| {
        let settings = [("TRIPTYCH_REST_TLS_CERTIFICATE_FILE", certificate), ("TRIPTYCH_REST_TLS_KEY_FILE", key)];
        command(dir.path(), &settings).arg("check").output().unwrap()
    };
    let output = check("server.pem", "server.key");
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(stdout.contains("rest.tls.certificate_file is valid until 4096-01-01 00:00:00 UTC"), "{stdout}");
    for (certificate, key, expected) in [
        (
            "none.pem",
            "server.key",
            "rest.tls.certificate_file = \"none.pem\" (from environment variable TRIPTYCH_REST_TLS_CERTIFICATE_FILE): cannot be read",
        ),
        (
            "server.pem",
            "other.key",
            "rest.tls.key_file = \"other.key\" (from environment variable TRIPTYCH_REST_TLS_KEY_FILE): does not belong to the certificate in server.pem",
        ),
        ("expired.pem", "expired.key", "the certificate expired at 2002-01-01 00:00:00 UTC"),
    ] {
        let output = check(certificate, key);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(expected) && stderr.lines().count() == 1, "{stderr}");
    }
}
