//! Tests of the chat endpoints in front of a [`CoreStub`], which replies `Hi there.`, streamed in two chunks.

use serde_json::{Value, json};

use crate::testing::{CoreStub, TestResponse, post, send};

const COMPLETIONS: &str = "/v1/chat/completions";

fn request(stream: bool) -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": "Hello"}], "stream": stream})
}

/// Returns the data of each event.
fn events(response: &TestResponse) -> Vec<&str> {
    assert_eq!(response.header("content-type"), Some("text/event-stream"));
    response.text().trim_end().split("\n\n").map(|event| event.strip_prefix("data: ").unwrap()).collect()
}

#[tokio::test]
async fn completion_has_the_form_of_openai() {
    let response = send(&CoreStub::default(), post(COMPLETIONS, &request(false))).await;
    let choice = json!({
        "index": 0, "message": {"role": "assistant", "content": "Hi there.", "refusal": null}, "logprobs": null,
        "finish_reason": "stop",
    });
    let body = response.json();
    assert_eq!((response.status.as_u16(), &body["choices"], &body["model"]), (200, &json!([choice]), &json!("m")));
}

#[tokio::test]
async fn engine_in_the_path_replaces_the_model() {
    let response = send(&CoreStub::default(), post("/v1/engines/org%2Fn/chat/completions", &request(false))).await;
    assert_eq!(response.json()["model"], "org/n");
}

#[tokio::test]
async fn stream_ends_with_done() {
    let response = send(&CoreStub::default(), post(COMPLETIONS, &request(true))).await;
    let events = events(&response);
    let [first, second, done] = events.as_slice() else { panic!("{events:?}") };
    let content = |event: &str| serde_json::from_str::<Value>(event).unwrap()["choices"][0]["delta"]["content"].clone();
    assert_eq!((content(first), content(second), *done), (json!("Hi "), json!("there."), "[DONE]"));
}

#[tokio::test]
async fn stream_that_fails_ends_with_an_unnamed_error_event_and_no_done() {
    let core = CoreStub::default();
    core.fail_next_stream();
    let response = send(&core, post(COMPLETIONS, &request(true))).await;
    let events = events(&response);
    let [_, error] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(serde_json::from_str::<Value>(error).unwrap()["error"]["code"], "upstream_unavailable");
}

#[tokio::test]
async fn stream_that_fails_before_its_first_chunk_is_answered_with_a_status() {
    let core = CoreStub::default();
    core.fail_every_call("OVERLOADED", tonic::Code::ResourceExhausted, None);
    let response = send(&core, post(COMPLETIONS, &request(true))).await;
    assert_eq!(response.error(), (429, None, "overloaded".to_owned()));
}

#[tokio::test]
async fn attempts_are_a_response_header_of_success_stream_and_error() {
    let core = CoreStub::default();
    // `near` and `far` are names of upstreams.
    core.set_attempts("near=unavailable,far=ok");
    for stream in [false, true] {
        let response = send(&core, post(COMPLETIONS, &request(stream))).await;
        assert_eq!(
            (response.status.as_u16(), response.header("x-triptych-attempts")),
            (200, Some("near=unavailable,far=ok"))
        );
    }
    core.fail_every_call("UPSTREAM_UNAVAILABLE", tonic::Code::Unavailable, None);
    let response = send(&core, post(COMPLETIONS, &request(false))).await;
    assert_eq!(
        (response.status.as_u16(), response.header("x-triptych-attempts")),
        (502, Some("near=unavailable,far=ok"))
    );
}

#[tokio::test]
async fn idempotency_key_reaches_the_core_streamed_or_not() {
    for stream in [false, true] {
        let core = CoreStub::default();
        let mut request = post(COMPLETIONS, &request(stream));
        request.headers_mut().insert("idempotency-key", "k-1".parse().unwrap());
        assert_eq!(send(&core, request).await.status, 200);
        assert_eq!(core.idempotency_key(), "k-1");
    }
}

#[tokio::test]
async fn invalid_json_is_refused_with_line_and_column() {
    for (body, message) in
        [("", "line 1 column 0"), ("{\"messages\":\n [}", "line 2 column 3"), ("{} x", "line 1 column 4")]
    {
        let request = crate::testing::raw(COMPLETIONS, "application/json", body);
        let response = send(&CoreStub::default(), request).await;
        assert_eq!(response.error(), (400, None, "invalid_json".to_owned()), "{body}");
        assert!(response.text().contains(message), "{body}: {}", response.text());
    }
}

#[tokio::test]
async fn field_of_a_wrong_type_is_refused_with_its_path() {
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "Hello"}, {"role": 7}]});
    let response = send(&CoreStub::default(), post(COMPLETIONS, &body)).await;
    assert_eq!(response.error(), (400, Some("messages[1].role".to_owned()), "invalid_field".to_owned()));
}
