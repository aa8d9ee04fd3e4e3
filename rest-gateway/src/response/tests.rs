//! Tests of `/v1/responses` with a [`CoreStub`], whose every response is `resp_1`.

use serde_json::json;
use tonic::Code;

use crate::testing::{CoreStub, get, post, raw, request_for, send};

#[tokio::test]
async fn body_reaches_the_core_byte_for_byte_and_its_document_comes_back() {
    let core = CoreStub::default();
    let body = r#"{ "model":"m", "input":"hi", "metadata":{"n":"1E400"},  "stream":false }"#;
    let mut request = raw("/v1/responses", "application/json", body);
    request.headers_mut().insert("idempotency-key", "k-1".parse().unwrap());
    let response = send(&core, request).await;
    assert_eq!((response.status.as_u16(), &response.json()["id"]), (200, &json!("resp_1")));
    assert_eq!((core.response_request(), core.idempotency_key()), (body.to_owned(), "k-1".to_owned()));
}

#[tokio::test]
async fn stream_has_named_events_and_no_done() {
    let response = send(&CoreStub::default(), post("/v1/responses", &json!({"input": "hi", "stream": true}))).await;
    assert_eq!(response.header("content-type"), Some("text/event-stream"));
    assert_eq!(
        response.text(),
        "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0}\n\n\
         event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":1}\n\n"
    );
}

#[tokio::test]
async fn broken_stream_ends_with_an_error_event_with_the_next_number() {
    let core = CoreStub::default();
    core.fail_next_stream();
    let response = send(&core, post("/v1/responses", &json!({"input": "hi", "stream": true}))).await;
    let (_, error) = response.text().split_once("event: error\ndata: ").unwrap();
    let error: serde_json::Value = serde_json::from_str(error.trim_end()).unwrap();
    assert_eq!((&error["type"], &error["sequence_number"]), (&json!("error"), &json!(1)));
    assert_eq!(error["code"], json!("upstream_unavailable"));
}

#[tokio::test]
async fn failure_before_the_first_event_is_an_error_response() {
    let core = CoreStub::default();
    core.fail_every_call("RATE_LIMIT_EXCEEDED", Code::ResourceExhausted, None);
    let response = send(&core, post("/v1/responses", &json!({"input": "hi", "stream": true}))).await;
    assert_eq!(response.error(), (429, None, "rate_limit_exceeded".to_owned()));
    core.fail_every_call("PREVIOUS_RESPONSE_NOT_FOUND", Code::NotFound, Some("previous_response_id"));
    let response = send(&core, post("/v1/responses", &json!({"input": "hi"}))).await;
    let param = Some("previous_response_id".to_owned());
    assert_eq!(response.error(), (400, param, "previous_response_not_found".to_owned()));
}

#[tokio::test]
async fn stored_response_is_streamed_from_a_number_on() {
    let core = CoreStub::default();
    let response = send(&core, get("/v1/responses/resp_1?stream=true&starting_after=7")).await;
    assert!(response.text().starts_with("event: response.created\n"), "{}", response.text());
    assert_eq!(core.response_request(), r#"ResumeResponseRequest { id: "resp_1", starting_after: Some(7) }"#);
    let response = send(&core, get("/v1/responses/resp_1?include[]=reasoning.encrypted_content")).await;
    assert_eq!(response.json()["id"], json!("resp_1"));
    for (query, param) in [("stream=maybe", "stream"), ("stream=true&starting_after=-1", "starting_after")] {
        let refused = send(&core, get(&format!("/v1/responses/resp_1?{query}"))).await;
        assert_eq!(refused.error(), (400, Some(param.to_owned()), "invalid_field".to_owned()));
    }
}

#[tokio::test]
async fn input_items_are_a_page_whose_items_are_not_changed() {
    let core = CoreStub::default();
    let response = send(&core, get("/v1/responses/resp_1/input_items?limit=1&order=asc&after=msg_0")).await;
    let expected = r#"{"object":"list","data":[{"id":"msg_1","type":"message","n":1.00}],"first_id":"msg_1","last_id":"msg_1","has_more":true}"#;
    assert_eq!(response.text(), expected);
    assert_eq!(
        core.response_request(),
        r#"ListInputItemsRequest { id: "resp_1", page_size: Some(1), page_token: "msg_0", order: Ascending }"#
    );
    let refused = send(&core, get("/v1/responses/resp_1/input_items?order=up")).await;
    assert_eq!(refused.error(), (400, Some("order".to_owned()), "invalid_field".to_owned()));
}

#[tokio::test]
async fn deleted_response_is_answered_as_by_openai() {
    let response = send(&CoreStub::default(), request_for("DELETE", "/v1/responses/{id}")).await;
    assert_eq!(response.json(), json!({"id": "resp_1", "object": "response", "deleted": true}));
}

#[tokio::test]
async fn endpoints_that_are_not_served_are_named() {
    for path in
        ["/v1/responses/input_tokens", "/v1/responses/compact", "/v1/conversations", "/v1/conversations/c_1/items"]
    {
        let response = send(&CoreStub::default(), post(path, &json!({"input": "hi"}))).await;
        assert_eq!(response.error(), (404, None, "unsupported_endpoint".to_owned()), "{path}");
        assert!(response.text().contains("responses"), "{}", response.text());
    }
}
