//! The export of traces by OTLP, and the trace context of upstreams.

#![expect(clippy::unwrap_used, reason = "a failure of a helper is a failure of the test")]

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use crate::triptych_process::{TriptychProcess, command};

const TIMEOUT: Duration = Duration::from_mins(1);
const COMPLETION: &str = r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}"#;
const CHAT: &str = r#"{"model":"traced","messages":[{"role":"user","content":"Hi"}]}"#;

/// Responds to every request with `body`, one request per connection, and passes on what was received.
fn serve(body: &'static str) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let (sender, requests) = channel();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let request = respond(&connection.unwrap(), body);
            let _ = sender.send(request);
        }
    });
    (base, requests)
}

/// Responds to one request and returns its text.
fn respond(mut connection: &TcpStream, body: &str) -> String {
    let mut reader = BufReader::new(connection);
    let (mut head, mut length) = (String::new(), 0);
    while reader.read_line(&mut head).unwrap() > 2 {
        if let Some(value) = head.lines().last().unwrap().to_ascii_lowercase().strip_prefix("content-length: ") {
            length = value.parse().unwrap();
        }
    }
    let mut received = vec![0; length];
    reader.read_exact(&mut received).unwrap();
    let response_head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";
    write!(connection, "{response_head}content-length: {}\r\n\r\n{body}", body.len()).unwrap();
    head + &String::from_utf8_lossy(&received)
}

/// Sends a request whose client has a span in this trace.
fn post_within(trace: &str, process: &TriptychProcess, path: &str, body: &str) -> String {
    let address = process.rest.unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!("POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    let parent = format!("traceparent: 00-{trace}-b7ad6b7169203331-01\r\n");
    let length = body.len();
    write!(stream, "{head}{parent}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

#[test]
fn call_is_exported_and_its_upstream_gets_a_span_of_the_same_trace() {
    let dir = tempfile::tempdir().unwrap();
    let (collector, exports) = serve("");
    let (upstream, requests) = serve(COMPLETION);
    let mut process = TriptychProcess::start(
        dir.path(),
        &[
            // One thread, as on a machine with one CPU.
            ("TRIPTYCH_THREADS", "1"),
            ("TOKIO_WORKER_THREADS", "1"),
            ("CHAT_BASE_URL", &format!("{upstream}/v1")),
            ("CHAT_MODEL", "traced"),
            ("TRIPTYCH_LOG_FILTER", "error"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector),
        ],
    );
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let response = post_within(trace, &process, "/v1/chat/completions", CHAT);
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");

    let request = requests.recv_timeout(TIMEOUT).unwrap().to_ascii_lowercase();
    let context = request.lines().find_map(|line| line.strip_prefix("traceparent: ")).unwrap();
    assert!(context.starts_with(&format!("00-{trace}-")), "{context}");
    assert!(!context.contains("b7ad6b7169203331"), "the parent is the attempt and not the client: {context}");

    process.signal("TERM");
    assert!(process.wait_for_exit().success());
    let exported: String = exports.try_iter().collect();
    assert!(exported.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{exported}");
    for part in ["POST /v1/chat/completions", "chat traced", "gen_ai.request.model", "http.response.status_code"] {
        assert!(exported.contains(part), "{part} is not in\n{exported}");
    }
}

#[test]
fn changes_of_state_of_a_job_are_spans_that_are_linked_to_its_create() {
    let dir = tempfile::tempdir().unwrap();
    let (collector, exports) = serve("");
    let process = TriptychProcess::start(dir.path(), &[("TRIPTYCH_TELEMETRY_OTLP_ENDPOINT", &collector)]);
    // The bytes of this trace id are text, which can be found in an export.
    let trace = "6162636465666768696a6b6c6d6e6f70";
    let body = r#"{"model":"offline-video","prompt":"a boat","seconds":1,"size":"64x64"}"#;
    let response = post_within(trace, &process, "/v1/videos", body);
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    loop {
        let export = exports.recv_timeout(TIMEOUT).unwrap();
        let spans = export.matches("job ").count();
        assert!(export.matches("abcdefghijklmnop").count() >= spans, "{export}");
        if export.contains("job succeeded") {
            break;
        }
    }
}

#[test]
fn dead_collector_keeps_neither_calls_nor_the_exit_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let mut process = TriptychProcess::start(
        dir.path(),
        &[
            ("TRIPTYCH_THREADS", "1"),
            ("TOKIO_WORKER_THREADS", "1"),
            // A port on which no process listens.
            ("TRIPTYCH_TELEMETRY_OTLP_ENDPOINT", "http://127.0.0.1:1"),
        ],
    );
    for _ in 0..20 {
        assert!(process.post("/v1/chat/completions", &CHAT.replace("traced", "offline-chat")).contains("200 OK"));
    }
    process.signal("TERM");
    assert!(process.wait_for_exit().success());
}

#[test]
fn endpoint_that_is_no_url_is_refused_at_start() {
    let dir = tempfile::tempdir().unwrap();
    let output = command(dir.path(), &[("TRIPTYCH_TELEMETRY_OTLP_ENDPOINT", "collector:4318")]).output().unwrap();
    assert!(!output.status.success());
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("telemetry.otlp_endpoint") && error.contains("http://127.0.0.1:4318"), "{error}");
}
