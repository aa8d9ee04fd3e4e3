//! The metrics of the process, at the REST port and on an address of their own.

#![expect(clippy::unwrap_used, reason = "a failure of a helper is a failure of the test")]

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
};

use crate::triptych_process::TriptychProcess;

/// Returns a free address. Another process could take it before it is used, which is unlikely.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

#[test]
fn core_alone_serves_its_metrics_on_their_own_address() {
    let dir = tempfile::tempdir().unwrap();
    let address = free_address();
    let process = TriptychProcess::start_as(
        &["core"],
        dir.path(),
        &[("TRIPTYCH_TELEMETRY_METRICS_ADDRESS", &address.to_string())],
    );
    process.wait_for_log("metrics at http://");
    let text = get(address, "/metrics");
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    for metric in ["triptych_build_info{version=", "triptych_upstream_queued 0"] {
        assert!(text.contains(metric), "{metric} is not in\n{text}");
    }
    assert!(get(address, "/").starts_with("HTTP/1.1 404"));
}

#[test]
fn one_process_has_the_metrics_of_both_apis_at_the_rest_port() {
    let dir = tempfile::tempdir().unwrap();
    let process = TriptychProcess::start(dir.path(), &[]);
    process.post("/v1/chat/completions", r#"{"messages":[{"role":"user","content":"Hi"}]}"#);
    let text = process.get("/metrics");
    for metric in [
        "triptych_rest_requests_total{route=\"/v1/chat/completions\",method=\"POST\",status=\"200\"} 1",
        "modality=\"chat\",api=\"rest\",status=\"200\"} 1",
        "triptych_connections_open{api=\"grpc\"}",
        "triptych_connections_open{api=\"rest\"}",
    ] {
        assert!(text.contains(metric), "{metric} is not in\n{text}");
    }
}
