//! The access log: one line for each call, over REST and gRPC.

use core_service::config;
use reqwest::Method;
use serde_json::{Value, json};
use tonic::Request;

use crate::{
    chat::setup::{COMPLETION, grpc_chat_request, long_stream},
    fake_upstream::{Reply, content_event},
    log_capture::LogCapture,
    rest_response::Events,
    test_server::{MODEL, TestServer, chat_body, with_local_and_remote_core_on_this_thread, within_timeout},
};

const SECRET: &str = "the-secret-of-alice";

async fn with_key(test: impl AsyncFn(&TestServer)) {
    with_local_and_remote_core_on_this_thread(
        |settings, _| {
            let key = config::Key { name: "alice".to_owned(), secret: Some(SECRET.into()), ..config::Key::default() };
            settings.keys = vec![key];
        },
        test,
    )
    .await;
}

async fn chat(server: &TestServer, members: &Value) -> reqwest::Response {
    let request = server.request(Method::POST, "/v1/chat/completions").bearer_auth(SECRET);
    let request = request.header("content-type", "application/json").header("x-request-id", "mine-1");
    let request = request.header("x-forwarded-for", "203.0.113.9");
    within_timeout("a response", request.body(chat_body(members)).send()).await.unwrap()
}

/// Returns the access log lines in a log.
fn lines(log: &str) -> Vec<&str> {
    log.lines().filter(|line| line.contains("triptych::access")).collect()
}

fn assert_has(line: &str, fields: &[&str]) {
    for field in fields {
        assert!(line.contains(&format!(" {field} ")), "{field} is not in\n{line}");
    }
}

#[tokio::test]
async fn rest_call_is_logged_once_with_its_key_model_and_usage() {
    with_key(async |server| {
        let log = LogCapture::start();
        let usage = r#""usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3},"choices""#;
        server.upstream.enqueue(Reply::new(200, &COMPLETION.replace(r#""choices""#, usage)));
        let response = chat(server, &json!({})).await;
        let bytes = format!("bytes={}", response.bytes().await.unwrap().len());
        server.upstream.received().await;
        let text = log.take();
        let rest: Vec<_> = lines(&text).into_iter().filter(|line| line.contains(r#"api="rest""#)).collect();
        let grpc: Vec<_> = lines(&text).into_iter().filter(|line| line.contains(r#"api="grpc""#)).collect();
        assert_eq!(rest.len(), 1, "{text}");
        let route = r#"route="/v1/chat/completions""#;
        assert_has(rest[0], &[r#"request_id="mine-1""#, r#"method="POST""#, route, "status=200", &bytes]);
        // With a space at the end, because the last field of the line is among these.
        assert_has(&format!("{} ", rest[0]), &["client=127.0.0.1", r#"forwarded_for="203.0.113.9""#]);
        // Alone, the gateway knows neither keys nor models; the core's line has them, under the same id.
        let with_core = grpc.first().copied().unwrap_or(rest[0]);
        assert!(grpc.len() <= 1, "{text}");
        let model = format!("model={MODEL:?}");
        let known = [r#"request_id="mine-1""#, r#"caller="alice""#, &model, "attempts=1", "output_tokens=2"];
        assert_has(with_core, &known);
        assert!(with_core.contains("upstream=") && !text.contains(SECRET), "{text}");
        assert_eq!(grpc.is_empty(), rest[0].contains("caller="), "{text}");
    })
    .await;
}

#[tokio::test]
async fn grpc_call_has_one_line_with_the_name_of_its_status() {
    with_key(async |server| {
        let log = LogCapture::start();
        let mut request = Request::new(grpc_chat_request());
        request.metadata_mut().insert("authorization", format!("Bearer {SECRET}").parse().unwrap());
        request.get_mut().chat.as_mut().unwrap().model = "none".to_owned();
        server.chat_client().await.create_chat(request).await.unwrap_err();
        let text = log.take();
        let [line] = lines(&text)[..] else { panic!("not one line:\n{text}") };
        let route = r#"route="triptych.v1.ChatService/CreateChat""#;
        assert_has(line, &[r#"api="grpc""#, route, r#"caller="alice""#, r#"grpc_status="NOT_FOUND""#]);
    })
    .await;
}

#[tokio::test]
async fn stream_is_logged_at_its_end_and_a_disconnected_client_as_499() {
    with_key(async |server| {
        let log = LogCapture::start();
        server.upstream.enqueue(Reply::streamed_text(&["a", "b"]));
        let response = chat(server, &json!({"stream": true})).await;
        response.bytes().await.unwrap();
        server.upstream.received().await;
        let text = log.take();
        let ended: Vec<_> = lines(&text).into_iter().filter(|line| line.contains("status=200")).collect();
        assert_eq!(ended.len(), 1, "{text}");
        assert!(lines(&text).iter().any(|line| line.contains(" first_token_ms=")), "{text}");

        server.upstream.enqueue(long_stream());
        let mut events = Events::new(chat(server, &json!({"stream": true})).await);
        assert!(events.next().await.is_some());
        assert!(lines(&log.take()).is_empty());
        server.upstream.received().await;
        drop(events);
        server.upstream.disconnected().await;
        let text = log.take();
        assert!(lines(&text).iter().any(|line| line.contains(" status=499 ")), "{text}");
    })
    .await;
}

#[tokio::test]
async fn download_is_logged_with_its_status_and_length() {
    with_key(async |server| {
        let body = json!({"prompt": "a boat", "size": "512x512", "response_format": "url"});
        let request = server.request(Method::POST, "/v1/images/generations").bearer_auth(SECRET);
        let request = request.header("content-type", "application/json").body(body.to_string());
        let image: Value = serde_json::from_str(&request.send().await.unwrap().text().await.unwrap()).unwrap();
        let link = image["data"][0]["url"].as_str().unwrap().strip_prefix(&server.url("")).unwrap().to_owned();
        let log = LogCapture::start();
        for (range, status) in [("bytes=0-", 206), ("bytes=4-7", 206), ("", 200)] {
            let response = server.request(Method::GET, &link).header("range", range).send().await.unwrap();
            assert_eq!(response.status(), status, "{range}");
            let bytes = response.bytes().await.unwrap().len();
            let text = log.take();
            let rest: Vec<_> = lines(&text).into_iter().filter(|line| line.contains(r#"api="rest""#)).collect();
            assert_eq!(rest.len(), 1, "{text}");
            assert_has(rest[0], &[&format!("status={status}"), &format!("bytes={bytes}")]);
        }
    })
    .await;
}

#[tokio::test]
async fn probes_are_not_in_the_log_at_info() {
    with_key(async |server| {
        let log = LogCapture::start();
        for path in ["/healthz", "/readyz", "/metrics"] {
            assert_eq!(
                within_timeout("a probe", server.request(Method::GET, path).send()).await.unwrap().status(),
                200
            );
        }
        let text = log.take();
        assert!(lines(&text).iter().all(|line| line.contains("ListModels")), "{text}");
    })
    .await;
}

#[tokio::test]
async fn unreachable_upstream_is_a_warning_with_its_address_and_the_cause() {
    with_local_and_remote_core_on_this_thread(
        // No process listens on this port.
        |settings, _| settings.chat.base_url = Some("http://127.0.0.1:1/v1".parse().unwrap()),
        async |server| {
            let log = LogCapture::start();
            assert_eq!(within_timeout("a response", server.chat(chat_body(&json!({})))).await.status(), 502);
            let text = log.take();
            let warning = text.lines().find(|line| line.contains("cannot connect to the upstream")).unwrap();
            assert!(warning.contains("WARN") && warning.contains("request.id=\"req_"), "{warning}");
            assert!(
                warning.contains("upstream=http://127.0.0.1:1/v1/") && warning.contains("Connection refused"),
                "{warning}"
            );
        },
    )
    .await;
}

#[tokio::test]
async fn failed_attempt_at_an_upstream_is_one_line_with_its_address_status_and_message() {
    let key = "key-of-the-upstream-1";
    with_local_and_remote_core_on_this_thread(
        |settings, _| {
            settings.chat.api_key = Some(key.into());
            settings.chat.routing.retries = 0;
        },
        async |server| {
            let body = json!({"error": {"message": format!("bad\nline for {key}"), "type": "t"}}).to_string();
            let half = json!({"choices": []}).to_string();
            let cases = [
                (Reply::new(503, &body), "WARN", "UPSTREAM_UNAVAILABLE", Some(503), r"bad\nline for ***"),
                (Reply::new(500, &body), "WARN", "UPSTREAM_UNAVAILABLE", Some(500), r"bad\nline for ***"),
                (Reply::new(401, &body), "ERROR", "PROVIDER_CREDENTIALS", None, r"bad\nline for ***"),
                (Reply::new(400, &body), "INFO", "UPSTREAM_REFUSED", Some(400), r"bad\nline for ***"),
                (
                    Reply::new(200, &half).abort(),
                    "WARN",
                    "UPSTREAM_UNAVAILABLE",
                    None,
                    "the connection to the upstream broke",
                ),
                // Last: no calls are sent for a while after it.
                (Reply::new(429, &body), "WARN", "RATE_LIMIT_EXCEEDED", Some(429), r"bad\nline for ***"),
            ];
            for (reply, level, reason, status, message) in cases {
                server.upstream.enqueue(reply);
                let log = LogCapture::start();
                let response = within_timeout("a response", server.chat(chat_body(&json!({})))).await;
                assert!(response.status().as_u16() >= 400);
                let text = log.take();
                server.upstream.received().await;
                let lines: Vec<_> = text.lines().filter(|line| line.contains(message)).collect();
                let [line] = *lines else { panic!("{reason}: {text}") };
                let status = status.map(|status: u16| format!("status={status} "));
                assert!(line.contains(level) && line.contains(&format!("reason=\"{reason}\"")), "{line}");
                assert!(status.is_none_or(|status| line.contains(&status)), "{line}");
                assert!(
                    line.contains("upstream=\"http://127.0.0.1:") && line.contains("target.name=\"upstream\""),
                    "{line}"
                );
                assert!(line.contains("request.id=") && !text.contains(key), "{text}");
            }
        },
    )
    .await;
}

#[tokio::test]
async fn stream_that_breaks_off_is_one_line_with_the_address() {
    with_local_and_remote_core_on_this_thread(
        |_, _| (),
        async |server| {
            server.upstream.enqueue(Reply::stream().send(&content_event("a")).abort());
            let log = LogCapture::start();
            let response = within_timeout("a response", server.chat(chat_body(&json!({"stream": true})))).await;
            within_timeout("the end", Events::new(response).read_all()).await;
            server.upstream.received().await;
            let text = log.take();
            let message = "the upstream's stream ended before the response was complete";
            let lines: Vec<_> = text.lines().filter(|line| line.contains(message)).collect();
            let [line] = *lines else { panic!("{text}") };
            assert!(line.contains("WARN") && line.contains("upstream=\"http://127.0.0.1:"), "{line}");
        },
    )
    .await;
}
