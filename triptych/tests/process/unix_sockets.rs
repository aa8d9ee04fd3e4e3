//! Both ports and the admin port on Unix sockets.

#![expect(clippy::unwrap_used, reason = "a failure of a helper is a failure of the test")]

use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
};

use tempfile::tempdir;

use crate::triptych_process::{TriptychProcess, command};

/// Sends a GET request to a socket, and returns the response.
fn get(socket: &Path, path: &str) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

#[test]
fn process_serves_unix_sockets_and_removes_them_at_its_end() {
    let dir = tempdir().unwrap();
    let socket = |name: &str| dir.path().join(name);
    let settings = [
        ("TRIPTYCH_REST_LISTEN", "unix:rest.sock"),
        ("TRIPTYCH_GRPC_LISTEN", "unix:grpc.sock"),
        ("TRIPTYCH_ADMIN_LISTEN", "unix:admin.sock"),
    ];
    let mut server = TriptychProcess::start(dir.path(), &settings);
    for part in
        ["REST   unix:rest.sock", "gRPC   unix:grpc.sock", "admin  unix:admin.sock", "curl --unix-socket rest.sock"]
    {
        assert!(server.banner.contains(part), "{part} is missing in {}", server.banner);
    }
    assert!(get(&socket("rest.sock"), "/v1/models").starts_with("HTTP/1.1 200"));
    server.wait_for_log("client=unix");
    assert!(get(&socket("admin.sock"), "/metrics").contains("triptych_build_info"));

    // The socket is in use.
    let output = command(dir.path(), &settings).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("rest.listen") && stderr.contains("another process listens on the socket"), "{stderr}");

    server.signal("TERM");
    assert_eq!(server.wait_for_exit().code(), Some(0));
    for name in ["rest.sock", "grpc.sock", "admin.sock"] {
        assert!(!socket(name).exists(), "{name}");
    }
}

#[test]
fn gateway_reaches_its_core_over_a_unix_socket_that_a_killed_process_has_left() {
    let (core_dir, gateway_dir) = (tempdir().unwrap(), tempdir().unwrap());
    let settings = [("TRIPTYCH_GRPC_LISTEN", "unix:grpc.sock")];
    TriptychProcess::start_as(&["core"], core_dir.path(), &settings).kill();
    let path = core_dir.path().join("grpc.sock");
    assert!(path.exists());
    let _core = TriptychProcess::start_as(&["core"], core_dir.path(), &settings);
    let address = format!("unix:{}", path.display());
    let gateway = TriptychProcess::start_as(&["gateway", "--core", &address], gateway_dir.path(), &[]);
    let models = gateway.get("/v1/models");
    assert!(models.contains("offline-image"), "{models}");
}
