//! Tests of the executable: start-up banner, configuration errors, signals, and what survives a restart.

mod admin;
#[path = "../../../http-server/tests/server/certificates.rs"]
mod certificates;
#[cfg(target_os = "linux")]
mod full_disk;
mod health;
mod jobs;
#[cfg(target_os = "linux")]
mod memory;
#[cfg(target_os = "linux")]
mod memory_limit;
mod metrics;
mod probe;
mod proxy;
#[cfg(unix)]
mod signals;
#[cfg(unix)]
mod stores;
mod tls;
#[cfg(unix)]
mod tls_reload;
mod traces;
mod triptych_process;
#[cfg(unix)]
mod unix_sockets;
mod webhooks;

use std::{io::Read as _, net::TcpListener};

use tempfile::tempdir;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use triptych_process::{TriptychProcess, command};

#[tokio::test]
async fn start_without_configuration_prints_both_addresses_and_serves() {
    let dir = tempdir().unwrap();
    let server = TriptychProcess::start(dir.path(), &[]);
    // "assembly" is part of both possible lines about the video encoder.
    for part in ["chat   offline", "CHAT_BASE_URL", "IMAGE_SERVICE_TYPE", "VIDEO_SERVICE_TYPE", "assembly"] {
        assert!(server.banner.contains(part), "{part} is missing in {}", server.banner);
    }
    assert!(!server.banner.contains("WARNING"));

    // The curl command of the banner works as it is printed.
    let body = server.banner.split("-d '").nth(1).unwrap().split('\'').next().unwrap();
    let response = server.post("/v1/chat/completions", body);
    assert!(response.starts_with("HTTP/1.1 200 ") && response.contains("offline"), "{response}");

    let mut health = HealthClient::new(server.channel().await);
    let request = HealthCheckRequest { service: "triptych.v1.ChatService".to_owned() };
    let status = health.check(request).await.unwrap().into_inner().status();
    assert_eq!(status, ServingStatus::Serving);
}

#[test]
fn banner_names_the_upstream_and_warns_of_a_public_address_without_keys() {
    let dir = tempdir().unwrap();
    let server = TriptychProcess::start(
        dir.path(),
        &[
            ("CHAT_BASE_URL", "http://127.0.0.1:9/v1"),
            ("CHAT_API_KEY", "sk-secret"),
            ("CHAT_MODEL", "mine"),
            ("TRIPTYCH_REST_LISTEN", "0.0.0.0:0"),
        ],
    );
    assert!(server.banner.contains("connected to http://127.0.0.1:9/v1 as mine"), "{}", server.banner);
    assert!(server.banner.contains("WARNING: REST listens on 0.0.0.0:"), "{}", server.banner);
    assert!(server.banner.contains("http://127.0.0.1:"), "{}", server.banner);
    assert!(!server.banner.contains("sk-secret"));
    let models = server.get("/v1/models");
    assert!(models.contains(r#""id":"mine""#) && models.contains(r#""id":"offline-chat""#), "{models}");
}

#[test]
fn banner_has_no_warning_if_keys_are_required() {
    let dir = tempdir().unwrap();
    let settings =
        [("TRIPTYCH_KEYS", "team-a:0123456789-secret,team-b:9876543210-secret"), ("TRIPTYCH_REST_LISTEN", "0.0.0.0:0")];
    let server = TriptychProcess::start(dir.path(), &settings);
    assert!(server.banner.contains("keys   required; clients: team-a, team-b"), "{}", server.banner);
    assert!(server.banner.contains(r#"-H "Authorization: Bearer $KEY""#), "{}", server.banner);
    assert!(!server.banner.contains("WARNING") && !server.banner.contains("-secret"), "{}", server.banner);
    assert!(server.get("/v1/models").contains("invalid_api_key"));
}

#[test]
fn separate_core_and_gateway_serve_like_one_process() {
    let (core_dir, gateway_dir) = (tempdir().unwrap(), tempdir().unwrap());
    let core = TriptychProcess::start_as(&["core"], core_dir.path(), &[]);
    assert!(core.rest.is_none(), "{}", core.banner);
    let address = format!("http://{}", core.grpc.unwrap());
    let gateway = TriptychProcess::start_as(&["gateway", "--core", &address], gateway_dir.path(), &[]);
    assert!(gateway.grpc.is_none() && gateway.banner.contains(&address), "{}", gateway.banner);
    let models = gateway.get("/v1/models");
    for model in ["qwen3-next-80b-a3b-instruct", "offline-image", "offline-video"] {
        assert!(models.contains(model), "{model} is missing in {models}");
    }
    let body = r#"{"model":"gpt-4","messages":[{"role":"user","content":"Hello"}]}"#;
    let response = gateway.post("/v1/chat/completions", body);
    assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
    assert!(!gateway_dir.path().join("data").exists(), "a gateway has no state");
}

#[test]
fn check_shows_what_would_run_and_hides_the_key() {
    let dir = tempdir().unwrap();
    std::fs::write(dir.path().join("triptych.toml"), "[jobs]\nconcurrency = 3\n").unwrap();
    std::fs::write(dir.path().join(".env"), "CHAT_BASE_URL=https://api.example.com/v1\nCHAT_MODEL=from-dotenv\n")
        .unwrap();
    let environment = [("CHAT_API_KEY", "sk-secret"), ("CHAT_MODEL", "from-process")];
    let output = command(dir.path(), &environment).arg("check").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for (setting, origin) in [
        ("concurrency = 3", "# triptych.toml"),
        ("base_url = \"https://api.example.com/v1\"", "# CHAT_BASE_URL in .env"),
        ("model = \"from-process\"", "# environment variable CHAT_MODEL"),
        ("# api_key = (hidden)", "# environment variable CHAT_API_KEY"),
        ("reflection = true", "# default"),
    ] {
        let line = text.lines().find(|line| line.starts_with(setting));
        assert!(line.is_some_and(|line| line.ends_with(origin)), "{setting} from {origin} is not in:\n{text}");
    }
    assert!(!text.contains("sk-secret") && text.contains("connected to https://api.example.com/v1 as from-process"));
    assert!(!dir.path().join("data").exists(), "the check created files");
}

#[test]
fn init_writes_a_file_that_check_accepts_and_does_not_overwrite_it() {
    let dir = tempdir().unwrap();
    for (arguments, file) in [(&["init"][..], "triptych.toml"), (&["init", "other.toml"], "other.toml")] {
        let output = command(dir.path(), &[]).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let path = dir.path().join(file);
        assert!(std::fs::read_to_string(&path).unwrap().contains("\n#base_url = "), "{file}");
        let output = command(dir.path(), &[]).args(["check", "--config", file]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

        std::fs::write(&path, "threads = 1\n").unwrap();
        let output = command(dir.path(), &[]).args(arguments).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(file) && stderr.contains("not overwritten"), "{stderr}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "threads = 1\n");
    }
}

/// Service links are the variables that Kubernetes sets for each service of a namespace, here for one named `triptych`.
#[test]
fn check_reports_ignored_service_links_on_standard_error() {
    let dir = tempdir().unwrap();
    let links = [("TRIPTYCH_PORT", "tcp://10.0.0.1:8000"), ("TRIPTYCH_GRPC_SERVICE_HOST", "10.0.0.2")];
    let output = command(dir.path(), &links).arg("check").output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stderr}");
    assert!(stderr.contains("TRIPTYCH_PORT") && stderr.contains("TRIPTYCH_GRPC_SERVICE_HOST"), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

#[test]
fn check_fails_with_the_invalid_setting() {
    let dir = tempdir().unwrap();
    for (variable, value, expected) in [
        ("TRIPTYCH_JOBS_LEASE", "soon", "jobs.lease = \"soon\" (from environment variable TRIPTYCH_JOBS_LEASE)"),
        ("TRIPTYCH_JOBS_LAESE", "5s", "did you mean TRIPTYCH_JOBS_LEASE?"),
        ("IMAGE_SERVICE_TYPE", "midjourney", "MJ_BASE_URL"),
        ("TRIPTYCH_CONFIG", "nowhere.toml", "nowhere.toml"),
    ] {
        let output = command(dir.path(), &[(variable, value)]).arg("check").output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.starts_with("triptych: ") && stderr.contains(expected), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}

#[test]
fn port_in_use_is_reported_with_the_variable_that_changes_it() {
    let occupant = TcpListener::bind("127.0.0.1:0").unwrap();
    let text = occupant.local_addr().unwrap().to_string();
    let dir = tempdir().unwrap();
    let output = command(dir.path(), &[("TRIPTYCH_GRPC_LISTEN", &text)]).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains(&text) && stderr.contains("TRIPTYCH_GRPC_LISTEN"), "{stderr}");
}

#[test]
fn sigterm_waits_for_a_stream_in_flight() {
    let dir = tempdir().unwrap();
    let mut server = TriptychProcess::start(dir.path(), &[("TRIPTYCH_OFFLINE_CHAT_TOKENS_PER_SECOND", "200")]);
    let body =
        r#"{"model":"offline-chat","stream":true,"messages":[{"role":"user","content":"Write a creative story"}]}"#;
    let mut stream = server.send_request("POST", "/v1/chat/completions", body);
    stream.read_exact(&mut [0; 1]).unwrap();
    server.signal("TERM");
    server.wait_for_log("shutting down");
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("data: [DONE]"), "{rest}");
    assert_eq!(server.wait_for_exit().code(), Some(0));
}

#[test]
fn second_signal_exits_at_once() {
    let dir = tempdir().unwrap();
    // Slow enough that the drain would take a long time.
    let mut server = TriptychProcess::start(dir.path(), &[("TRIPTYCH_OFFLINE_CHAT_TOKENS_PER_SECOND", "1")]);
    let body = r#"{"model":"offline-chat","stream":true,"messages":[{"role":"user","content":"Hello"}]}"#;
    let mut stream = server.send_request("POST", "/v1/chat/completions", body);
    stream.read_exact(&mut [0; 1]).unwrap();
    server.signal("INT");
    server.wait_for_log("shutting down");
    server.signal("INT");
    assert_eq!(server.wait_for_exit().code(), Some(130));
}
