//! The real executable: started, asked, stopped, killed.

mod jobs;
#[cfg(target_os = "linux")]
mod memory;
mod proxy;
mod running;

use std::{io::Read as _, net::TcpListener};

use running::{Running, command};
use tempfile::tempdir;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

#[tokio::test]
async fn it_starts_offline_and_tells_both_addresses() {
    let dir = tempdir().unwrap();
    let server = Running::start(dir.path(), &[]);
    for part in ["chat   offline", "CHAT_BASE_URL", "IMAGE_SERVICE_TYPE", "VIDEO_SERVICE_TYPE", "assembler"] {
        assert!(server.banner.contains(part), "{part} is missing in {}", server.banner);
    }
    assert!(!server.banner.contains("WARNING"));

    // The line that the banner offers works as it stands.
    let body = server.banner.split("-d '").nth(1).unwrap().split('\'').next().unwrap();
    let answer = server.post("/v1/chat/completions", body);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("offline"), "{answer}");

    let mut health = HealthClient::new(server.channel().await);
    let asked = HealthCheckRequest { service: "triptych.v1.ChatService".to_owned() };
    let status = health.check(asked).await.unwrap().into_inner().status();
    assert_eq!(status, ServingStatus::Serving);
}

#[test]
fn a_connected_upstream_and_an_open_door_are_told() {
    let dir = tempdir().unwrap();
    let server = Running::start(
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
fn a_door_that_asks_for_keys_is_no_reason_to_warn() {
    let dir = tempdir().unwrap();
    let settings =
        [("TRIPTYCH_KEYS", "team-a:0123456789-secret,team-b:9876543210-secret"), ("TRIPTYCH_REST_LISTEN", "0.0.0.0:0")];
    let server = Running::start(dir.path(), &settings);
    assert!(server.banner.contains("keys   required; clients: team-a, team-b"), "{}", server.banner);
    assert!(server.banner.contains(r#"-H "Authorization: Bearer $KEY""#), "{}", server.banner);
    assert!(!server.banner.contains("WARNING") && !server.banner.contains("-secret"), "{}", server.banner);
    assert!(server.get("/v1/models").contains("invalid_api_key"));
}

#[test]
fn a_core_and_a_gateway_are_as_good_as_both_in_one() {
    let (left, right) = (tempdir().unwrap(), tempdir().unwrap());
    let core = Running::start_as(&["core"], left.path(), &[]);
    assert!(core.rest.is_none(), "{}", core.banner);
    let address = format!("http://{}", core.grpc.unwrap());
    let gateway = Running::start_as(&["gateway", "--core", &address], right.path(), &[]);
    assert!(gateway.grpc.is_none() && gateway.banner.contains(&address), "{}", gateway.banner);
    let models = gateway.get("/v1/models");
    for model in ["qwen3-next-80b-a3b-instruct", "offline-image", "offline-video"] {
        assert!(models.contains(model), "{model} is missing in {models}");
    }
    let body = r#"{"model":"gpt-4","messages":[{"role":"user","content":"Hello"}]}"#;
    let answer = gateway.post("/v1/chat/completions", body);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(!right.path().join("data").exists(), "a gateway keeps no state");
}

#[test]
fn check_shows_what_would_run_and_hides_the_key() {
    let dir = tempdir().unwrap();
    std::fs::write(dir.path().join("triptych.toml"), "[jobs]\nworkers = 3\n").unwrap();
    std::fs::write(dir.path().join(".env"), "CHAT_BASE_URL=https://api.example.com/v1\nCHAT_MODEL=from-dotenv\n")
        .unwrap();
    let environment = [("CHAT_API_KEY", "sk-secret"), ("CHAT_MODEL", "from-process")];
    let output = command(dir.path(), &environment).arg("check").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for (setting, origin) in [
        ("workers = 3", "# triptych.toml"),
        ("base_url = \"https://api.example.com/v1\"", "# CHAT_BASE_URL in .env"),
        ("model = \"from-process\"", "# environment variable CHAT_MODEL"),
        ("api_key = (hidden)", "# environment variable CHAT_API_KEY"),
        ("reflection = true", "# default"),
    ] {
        let line = text.lines().find(|line| line.starts_with(setting));
        assert!(line.is_some_and(|line| line.ends_with(origin)), "{setting} from {origin} is not in:\n{text}");
    }
    assert!(!text.contains("sk-secret") && text.contains("connected to https://api.example.com/v1 as from-process"));
    assert!(!dir.path().join("data").exists(), "a check leaves no trace");
}

#[test]
fn check_fails_with_the_setting_that_is_wrong() {
    let dir = tempdir().unwrap();
    for (variable, value, expected) in [
        ("TRIPTYCH_JOBS_LEASE", "soon", "jobs.lease = \"soon\" (from environment variable TRIPTYCH_JOBS_LEASE)"),
        ("TRIPTYCH_JOBS_LAESE", "5s", "did you mean TRIPTYCH_JOBS_LEASE?"),
        ("IMAGE_SERVICE_TYPE", "midjourney", "MJ_BASE_URL"),
        ("TRIPTYCH_CONFIG", "nowhere.toml", "nowhere.toml"),
    ] {
        let output = command(dir.path(), &[(variable, value)]).arg("check").output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.starts_with("triptych: ") && told.contains(expected), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}

#[test]
fn a_taken_port_is_named_with_the_variable_that_chooses_another() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let text = holder.local_addr().unwrap().to_string();
    let dir = tempdir().unwrap();
    let output = command(dir.path(), &[("TRIPTYCH_GRPC_LISTEN", &text)]).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains(&text) && told.contains("TRIPTYCH_GRPC_LISTEN"), "{told}");
}

#[test]
fn a_stream_under_way_is_finished_before_the_process_ends() {
    let dir = tempdir().unwrap();
    let mut server = Running::start(dir.path(), &[("TRIPTYCH_OFFLINE_CHAT_TOKENS_PER_SECOND", "200")]);
    let body =
        r#"{"model":"offline-chat","stream":true,"messages":[{"role":"user","content":"Write a creative story"}]}"#;
    let mut stream = server.begin("POST", "/v1/chat/completions", body);
    stream.read_exact(&mut [0; 1]).unwrap();
    server.signal("TERM");
    server.wait_for("shutting down");
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("data: [DONE]"), "{rest}");
    assert_eq!(server.ended().code(), Some(0));
}

#[test]
fn a_second_signal_leaves_at_once() {
    let dir = tempdir().unwrap();
    // At this pace the drain would wait for a long time.
    let mut server = Running::start(dir.path(), &[("TRIPTYCH_OFFLINE_CHAT_TOKENS_PER_SECOND", "1")]);
    let body = r#"{"model":"offline-chat","stream":true,"messages":[{"role":"user","content":"Hello"}]}"#;
    let mut stream = server.begin("POST", "/v1/chat/completions", body);
    stream.read_exact(&mut [0; 1]).unwrap();
    server.signal("INT");
    server.wait_for("shutting down");
    server.signal("INT");
    assert_eq!(server.ended().code(), Some(130));
}
