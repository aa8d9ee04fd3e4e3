//! Files that requests name by URL.

use reqwest::Method;
use serde_json::{Value, json};

use super::{body, completion, create, id, output_text, send, text};
use crate::{
    fake_upstream::Reply,
    test_server::{MODEL, TestServer, with_local_and_remote_core, with_local_and_remote_core_and_settings},
};

const PATH: &str = "/report.pdf?signature=1";

/// The file part of a chat request that has the content of [`PATH`].
fn file_part() -> Value {
    json!({"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0xLjc=", "filename": "report.pdf"}})
}

fn enqueue_file(server: &TestServer) {
    server.upstream.enqueue_at(PATH, Reply::file("application/pdf", b"%PDF-1.7"));
}

/// Returns the input with a question and the file at this path.
fn question(server: &TestServer, path: &str) -> Value {
    let file = json!({"type": "input_file", "file_url": server.upstream.url(path)});
    json!([{"role": "user", "content": [{"type": "input_text", "text": "Summarize"}, file]}])
}

async fn with_private_addresses(test: impl AsyncFn(&TestServer)) {
    with_local_and_remote_core_and_settings(|settings, _| settings.media.fetch_private_addresses = true, test).await;
}

#[tokio::test]
async fn file_is_downloaded_without_credentials_for_each_response_of_a_conversation() {
    with_private_addresses(async |server| {
        enqueue_file(server);
        server.upstream.enqueue(text("Good."));
        let request = json!({"model": MODEL, "input": question(server, PATH)});
        let first = create(server, &request).await;
        assert_eq!(output_text(&first), "Good.");
        let download = server.upstream.received().await;
        assert_eq!((download.path.as_str(), download.header("authorization")), (PATH, None));
        let received = server.upstream.received().await.json();
        assert_eq!(received["messages"][0]["content"][1], file_part(), "{received}");

        enqueue_file(server);
        server.upstream.enqueue(text("Still good."));
        create(server, &body("Sure?", &json!({"previous_response_id": id(&first)}))).await;
        server.upstream.skip_requests(1).await;
        let received = server.upstream.received().await.json();
        assert_eq!(received["messages"][0]["content"][1], file_part(), "{received}");
    })
    .await;
}

#[tokio::test]
async fn file_is_downloaded_once_for_the_turns_of_a_response() {
    with_private_addresses(async |server| {
        let arguments = json!({"prompt": "A chart"}).to_string();
        let call = json!({"id": "call_1", "type": "function", "function": {"name": "image_generation", "arguments": arguments}});
        enqueue_file(server);
        server.upstream.enqueue(completion(&json!({"role": "assistant", "content": null, "tool_calls": [call]}), "tool_calls"));
        server.upstream.enqueue(text("Here."));
        let tools = json!([{"type": "image_generation", "size": "320x200"}]);
        let request = json!({"model": MODEL, "input": question(server, PATH), "tools": tools});
        assert_eq!(output_text(&create(server, &request).await), "Here.");
        server.upstream.skip_requests(1).await;
        for _turn in 0..2 {
            let received = server.upstream.received().await.json();
            assert_eq!(received["messages"][0]["content"][1], file_part(), "{received}");
        }
    })
    .await;
}

#[tokio::test]
async fn file_that_cannot_be_downloaded_is_an_error_of_the_input() {
    with_private_addresses(async |server| {
        for streamed in [false, true] {
            server.upstream.enqueue_at("/gone.pdf?key=1", Reply::new(404, "{}"));
            let request = json!({"model": MODEL, "input": question(server, "/gone.pdf?key=1"), "stream": streamed});
            let (status, error) = send(server, Method::POST, "/v1/responses", &request).await;
            let error = &error["error"];
            assert_eq!((status, &error["param"]), (400, &json!("input")), "{error}");
            let message = error["message"].as_str().unwrap();
            assert!(message.contains("status 404") && message.contains("/gone.pdf)"), "{message}");
            server.upstream.skip_requests(1).await;
        }
    })
    .await;
}

#[tokio::test]
async fn private_address_is_refused_by_default() {
    with_local_and_remote_core(async |server| {
        let request = json!({"model": MODEL, "input": question(server, PATH)});
        let (status, error) = send(server, Method::POST, "/v1/responses", &request).await;
        assert_eq!((status, &error["error"]["code"]), (400, &json!("invalid_field")), "{error}");
        server.upstream.assert_no_request().await;
    })
    .await;
}

#[tokio::test]
async fn chat_completion_has_its_file_downloaded() {
    with_private_addresses(async |server| {
        enqueue_file(server);
        server.upstream.enqueue(text("Good."));
        let file = json!({"type": "file", "file": {"file_url": server.upstream.url(PATH)}});
        let request = json!({"model": MODEL, "messages": [{"role": "user", "content": [file]}]});
        let (status, response) = send(server, Method::POST, "/v1/chat/completions", &request).await;
        assert_eq!(status, 200, "{response}");
        server.upstream.skip_requests(1).await;
        let received = server.upstream.received().await.json();
        assert_eq!(received["messages"][0]["content"][0], file_part(), "{received}");
    })
    .await;
}
