//! The metrics of the process, at the REST port or at the admin port.

#![expect(clippy::unwrap_used, reason = "a failure of a helper is a failure of the test")]

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
};

use crate::triptych_process::TriptychProcess;

const ADMIN: (&str, &str) = ("TRIPTYCH_ADMIN_LISTEN", "127.0.0.1:0");

fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

#[test]
fn core_alone_serves_metrics_and_health_at_its_admin_port() {
    let dir = tempfile::tempdir().unwrap();
    let process = TriptychProcess::start_as(&["core"], dir.path(), &[ADMIN]);
    let address = process.admin.unwrap();
    let text = get(address, "/metrics");
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    for metric in ["triptych_build_info{version=", "triptych_upstream_queued 0"] {
        assert!(text.contains(metric), "{metric} is not in\n{text}");
    }
    for path in ["/healthz", "/readyz"] {
        assert!(get(address, path).ends_with(r#"{"status":"ok"}"#), "{path}");
    }
    assert!(get(address, "/").starts_with("HTTP/1.1 404"));
}

#[test]
fn admin_port_serves_metrics_without_a_key_and_the_rest_port_no_longer_does() {
    let dir = tempfile::tempdir().unwrap();
    let file = "keys = [{ name = 'a', secret = '0123456789abcdef' }]\n[chat]\nmodel = 'm'\n[[chat.upstreams]]\nname = 'near'\n\
                base_url = 'http://127.0.0.1:9/v1'\nmodels = ['m']\n[[chat.upstreams]]\nname = 'far'\n\
                base_url = 'http://127.0.0.1:10/v1'\nmodels = ['m']\n";
    std::fs::write(dir.path().join("triptych.toml"), file).unwrap();
    let process = TriptychProcess::start(dir.path(), &[ADMIN]);
    let address = process.admin.unwrap();
    assert!(get(address, "/metrics").contains("triptych_target_state{model=\"m\",target=\"near\""));
    assert!(get(address, "/readyz").starts_with("HTTP/1.1 200"));
    assert!(get(address, "/v1/models").starts_with("HTTP/1.1 404"));
    assert!(process.get("/metrics").starts_with("HTTP/1.1 404"));
    assert!(process.get("/readyz").starts_with("HTTP/1.1 200"));
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
