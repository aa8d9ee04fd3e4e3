//! Signals: reload, graceful shutdown, and readiness before the drain; output pipes that are full.

#![expect(clippy::unwrap_used, reason = "a failure of a helper is a failure of the test")]

use std::{
    io::{PipeReader, PipeWriter, Read as _, Write as _, pipe},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Command, Stdio},
};

use tempfile::tempdir;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use crate::triptych_process::{TriptychProcess, command, wait_for_exit_of};

/// The capacity of a pipe on Linux, in bytes.
const PIPE_BYTES: usize = 65536;

/// Returns a pipe in which nothing more fits.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = pipe().unwrap();
    writer.write_all(&vec![b'.'; PIPE_BYTES]).unwrap();
    (reader, writer)
}

/// Sends a request once the server listens, and returns the response.
fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = loop {
        match TcpStream::connect(address) {
            Ok(stream) => break stream,
            Err(_) => std::thread::yield_now(),
        }
    };
    write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

#[test]
fn server_with_full_output_pipes_serves_and_shuts_down() {
    let dir = tempdir().unwrap();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ((_stdout_reader, stdout), (_stderr_reader, stderr)) = (full_pipe(), full_pipe());
    let listen = address.to_string();
    let settings = [("TRIPTYCH_REST_LISTEN", listen.as_str()), ("TRIPTYCH_LOG_FILTER", "trace")];
    let mut server =
        command(dir.path(), &settings).stdout(Stdio::from(stdout)).stderr(Stdio::from(stderr)).spawn().unwrap();
    for _ in 0..100 {
        assert!(get(address, "/v1/models").starts_with("HTTP/1.1 200 "));
    }
    let kill = format!("kill -TERM {}", server.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    assert_eq!(wait_for_exit_of(&mut server).code(), Some(0));
}

#[test]
fn hangup_reloads_the_configuration_and_an_invalid_file_changes_nothing() {
    let dir = tempdir().unwrap();
    let write = |text: &str| std::fs::write(dir.path().join("triptych.toml"), text).unwrap();
    write("[chat]\nmodel = 'first'");
    let mut server = TriptychProcess::start(dir.path(), &[]);
    assert!(server.get("/v1/models").contains(r#""id":"first""#));
    write("[chat]\nmodel = 'second'");
    server.signal("HUP");
    server.wait_for_log("reloaded the configuration");
    assert!(server.get("/v1/models").contains(r#""id":"second""#));
    write("[chat]\nmodle = 'third'");
    server.signal("HUP");
    server.wait_for_log("did you mean chat.model?");
    assert!(server.get("/v1/models").contains(r#""id":"second""#));
    write("[chat]\nmodel = 'third'\n[grpc]\nreflection = false\n[rest]\nlisten = '127.0.0.1:1'");
    server.signal("HUP");
    server.wait_for_log("need a restart: grpc.reflection");
    assert!(server.get("/v1/models").contains(r#""id":"third""#));
    server.signal("TERM");
    assert_eq!(server.wait_for_exit().code(), Some(0));
}

#[test]
fn changed_file_is_applied_without_a_signal_and_an_invalid_one_keeps_the_last_good_one() {
    let dir = tempdir().unwrap();
    // A new file in place of the old one, as editors and deployments do.
    let write = |text: &str| {
        std::fs::write(dir.path().join("new"), text).unwrap();
        std::fs::rename(dir.path().join("new"), dir.path().join("triptych.toml")).unwrap();
    };
    write("[chat]\nmodel = 'first'");
    let server = TriptychProcess::start(dir.path(), &[("TRIPTYCH_RELOAD_ON_CHANGE", "true")]);
    assert!(server.get("/metrics").contains("triptych_config_reload_success 1"));
    write("[chat]\nmodel = 'second'\n[log]\nfilter = 'info,triptych=debug'");
    server.wait_for_log("reloaded the configuration");
    assert!(server.get("/v1/models").contains(r#""id":"second""#));
    write("[chat]\nmodle = 'third'");
    server.wait_for_log("did you mean chat.model?");
    assert!(server.get("/v1/models").contains(r#""id":"second""#));
    let metrics = server.get("/metrics");
    for line in [
        "triptych_config_reload_success 0",
        r#"triptych_config_reload_total{result="applied"} 1"#,
        r#"triptych_config_reload_total{result="failed"} 1"#,
        "triptych_config_reload_success_timestamp_seconds ",
    ] {
        assert!(metrics.contains(line), "{line} is missing in {metrics}");
    }
}

#[test]
fn reload_applies_the_log_filter() {
    let dir = tempdir().unwrap();
    let write = |text: &str| std::fs::write(dir.path().join("triptych.toml"), text).unwrap();
    write("[log]\nfilter = 'error'");
    let server = TriptychProcess::start(dir.path(), &[]);
    write("[log]\nfilter = 'info'");
    server.signal("HUP");
    // This line has the level info.
    server.wait_for_log("reloaded the configuration");
}

#[test]
fn quit_is_a_graceful_shutdown() {
    let dir = tempdir().unwrap();
    let mut server = TriptychProcess::start(dir.path(), &[]);
    server.signal("QUIT");
    assert_eq!(server.wait_for_exit().code(), Some(0));
}

#[tokio::test]
async fn readiness_ends_before_the_drain_and_a_second_signal_exits() {
    let dir = tempdir().unwrap();
    let mut server = TriptychProcess::start(dir.path(), &[("TRIPTYCH_SHUTDOWN_DELAY", "1h")]);
    let mut health = HealthClient::new(server.channel().await);
    let request = || HealthCheckRequest { service: "triptych.v1.ChatService".to_owned() };
    let mut updates = health.watch(request()).await.unwrap().into_inner();
    assert_eq!(updates.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    assert!(server.get("/readyz").starts_with("HTTP/1.1 200 "));
    server.signal("TERM");
    assert_eq!(updates.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    let ready = server.get("/readyz");
    assert!(ready.starts_with("HTTP/1.1 503 ") && ready.contains("shutting down"), "{ready}");
    assert!(server.get("/v1/models").starts_with("HTTP/1.1 200 "));
    server.signal("TERM");
    assert_eq!(server.wait_for_exit().code(), Some(130));
}
