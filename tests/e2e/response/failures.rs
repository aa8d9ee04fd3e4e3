//! Refused requests, and failures of the upstream.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{body, create, events, get, id, send, text, types};
use crate::{
    fake_upstream::{Reply, content_event},
    rest_response::error_body,
    test_server::{MODEL, with_local_and_remote_core},
};

#[tokio::test]
async fn unsupported_tool_member_or_endpoint_is_refused_by_name() {
    with_local_and_remote_core(async |server| {
        for (members, named) in [
            (json!({"tools": [{"type": "web_search"}]}), "web_search"),
            (json!({"tools": [{"type": "file_search", "vector_store_ids": ["vs_1"]}]}), "file_search"),
            (json!({"tools": [{"type": "computer_use_preview", "display_width": 1, "display_height": 1, "environment": "linux"}]}), "computer_use_preview"),
            (json!({"conversation": "conv_1"}), "conversation"),
            (json!({"background": true, "store": false}), "store"),
        ] {
            let (status, error) = send(server, Method::POST, "/v1/responses", &body("Hi", &members)).await;
            assert_eq!((status, &error["error"]["type"]), (400, &json!("invalid_request_error")), "{error}");
            assert!(error["error"]["message"].as_str().unwrap().contains(named), "{error}");
            assert!(error["error"]["param"].is_string(), "{error}");
        }
        for path in ["/v1/responses/input_tokens", "/v1/responses/compact", "/v1/conversations"] {
            let (status, error) = send(server, Method::POST, path, &body("Hi", &json!({}))).await;
            assert_eq!((status, &error["error"]["code"]), (404, &json!("unsupported_endpoint")), "{path}");
        }
    })
    .await;
}

#[tokio::test]
async fn unknown_previous_response_and_unknown_model_are_refused() {
    with_local_and_remote_core(async |server| {
        let unknown = format!("resp_{}", "0".repeat(48));
        let request = body("Hi", &json!({"previous_response_id": unknown}));
        let (status, error) = send(server, Method::POST, "/v1/responses", &request).await;
        let error = &error["error"];
        assert_eq!((status, &error["code"]), (400, &json!("previous_response_not_found")));
        assert_eq!(error["param"], "previous_response_id");
        assert_eq!(error["message"], format!("Previous response with id '{unknown}' not found."));
        let (status, error) =
            send(server, Method::POST, "/v1/responses", &json!({"model": "none", "input": "Hi"})).await;
        assert_eq!((status, &error["error"]["code"]), (404, &json!("model_not_found")));
        let (status, _) = get(server, &format!("/v1/responses/{unknown}/input_items")).await;
        assert_eq!(status, 404);
    })
    .await;
}

#[tokio::test]
async fn deleted_response_within_a_conversation_returns_400_with_its_id() {
    with_local_and_remote_core(async |server| {
        server.upstream.enqueue(text("1"));
        let first = create(server, &body("One", &json!({}))).await;
        server.upstream.enqueue(text("2"));
        let second = create(server, &body("Two", &json!({"previous_response_id": id(&first)}))).await;
        server.upstream.skip_requests(2).await;
        send(server, Method::DELETE, &format!("/v1/responses/{}", id(&first)), &Value::Null).await;
        let request = body("Three", &json!({"previous_response_id": id(&second)}));
        let (status, error) = send(server, Method::POST, "/v1/responses", &request).await;
        assert_eq!(status, 400);
        let message = error["error"]["message"].as_str().unwrap();
        assert!(message.contains(id(&first)) && message.contains("deleted"), "{message}");
    })
    .await;
}

#[tokio::test]
async fn rate_limit_of_the_upstream_returns_429_with_retry_after_for_complete_and_streamed_calls() {
    with_local_and_remote_core(async |server| {
        let reply = Reply::new(429, r#"{"error":{"message":"slow down","type":"requests","code":null}}"#);
        server.upstream.enqueue(reply.header("retry-after", "7"));
        let response = server.post("/v1/responses", &body("Hi", &json!({}))).await;
        assert_eq!(response.headers()["retry-after"], "7");
        let (status, error) = error_body(response).await;
        assert_eq!(status, StatusCode::TOO_MANY_REQUESTS, "{error}");
        server.upstream.skip_requests(1).await;
        // The upstream is cooled down, and is not called.
        let response = server.post("/v1/responses", &body("Hi", &json!({"stream": true}))).await;
        assert!(response.headers().contains_key("retry-after"));
        let (status, error) = error_body(response).await;
        assert_eq!(status, StatusCode::TOO_MANY_REQUESTS, "{error}");
    })
    .await;
}

#[tokio::test]
async fn broken_stream_ends_with_a_failed_response_that_is_stored() {
    with_local_and_remote_core(async |server| {
        server.upstream.enqueue(Reply::stream().send(&content_event("Hel")).abort());
        let response = server.post("/v1/responses", &json!({"model": MODEL, "input": "Hi", "stream": true})).await;
        let events = events(response, 0).await;
        server.upstream.skip_requests(1).await;
        let failed = events.last().unwrap();
        assert_eq!(failed["type"], "response.failed", "{:?}", types(&events));
        assert_eq!(
            (&failed["response"]["status"], &failed["response"]["error"]["code"]),
            (&json!("failed"), &json!("server_error"))
        );
        let (status, stored) = get(server, &format!("/v1/responses/{}", id(&failed["response"]))).await;
        assert_eq!((status, &stored), (200, &failed["response"]));
        let request = body("Go on", &json!({"previous_response_id": id(&stored)}));
        let (status, error) = send(server, Method::POST, "/v1/responses", &request).await;
        assert_eq!((status, &error["error"]["param"]), (400, &json!("previous_response_id")), "{error}");
    })
    .await;
}
