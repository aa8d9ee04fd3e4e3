//! Tests of `triptych check --probe`.

#![expect(clippy::unwrap_used, reason = "a failure of a helper is a failure of the test")]

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
};

use tempfile::tempdir;

use crate::triptych_process::command;

/// Answers requests for the models of an upstream at `/v1` until the process ends, and returns its address.
fn serve_models() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut head = [0; 4096];
            let length = stream.read(&mut head).unwrap_or_default();
            let head = String::from_utf8_lossy(&head[..length]).to_lowercase();
            let (status, body) = match head.starts_with("get /v1/models") {
                true if head.contains("authorization: bearer sk-probe-secret") => {
                    ("200 OK", r#"{"data":[{"id":"m"}]}"#)
                }
                true => ("401 Unauthorized", "{}"),
                false => ("404 Not Found", ""),
            };
            let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        }
    });
    address
}

/// Runs `check --probe` and returns its exit code and output.
fn probe(environment: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let dir = tempdir().unwrap();
    let output = command(dir.path(), environment).args(["check", "--probe"]).output().unwrap();
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(!stdout.contains("secret") && !stderr.contains("secret"), "{stdout}{stderr}");
    (output.status.code(), stdout, stderr)
}

#[test]
fn probe_of_a_serving_upstream_is_ok() {
    let address = serve_models();
    let base = format!("{address}/v1?k=query-secret");
    let environment = [("CHAT_BASE_URL", base.as_str()), ("CHAT_API_KEY", "sk-probe-secret"), ("CHAT_MODEL", "m")];
    let expected = format!("ok          chat upstream ({address}/v1): 1 model\n");
    assert_eq!(probe(&environment), (Some(0), expected, String::new()));
}

#[test]
fn probe_fails_with_the_cause_if_one_upstream_cannot_be_used() {
    let address = serve_models();
    let v1 = format!("{address}/v1");
    let environment = [
        ("CHAT_BASE_URL", address.as_str()),
        ("IMAGE_BASE_URL", v1.as_str()),
        ("IMAGE_API_KEY", "sk-wrong-secret"),
        ("VIDEO_BASE_URL", v1.as_str()),
        ("VIDEO_API_KEY", "sk-probe-secret"),
        ("VIDEO_MODELS", "m"),
    ];
    let (code, stdout, stderr) = probe(&environment);
    assert_eq!(code, Some(1), "{stderr}");
    let lines: Vec<_> = stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{stdout}");
    assert!(lines[0].starts_with("failed      chat upstream") && lines[0].contains("404"), "{stdout}");
    assert!(lines[0].ends_with(&format!("try {address}/v1")), "{stdout}");
    assert!(
        lines[1].starts_with("failed      image.openai") && lines[1].contains("the API key is refused"),
        "{stdout}"
    );
    assert!(lines[2].starts_with("ok          video.openai"), "{stdout}");
    assert!(stderr.contains("2 of 3 upstreams and providers cannot be used"), "{stderr}");
}

#[test]
fn probe_without_upstreams_succeeds() {
    let (code, stdout, _) = probe(&[]);
    assert_eq!((code, stdout.lines().count()), (Some(0), 1), "{stdout}");
}
