//! The Responses API over REST and gRPC, in front of the fake upstream.

mod across_nodes;
mod background;
mod conversation;
mod failures;
mod files;
mod image_tool;
mod owners;
mod restart;
mod retention;

use futures_util::StreamExt;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use triptych_proto::v1 as pb;

use crate::{
    fake_upstream::{Reply, content_event, finish_event},
    rest_response::Events,
    test_server::{MODEL, TestServer, with_local_and_remote_core, within_timeout},
};

/// A completion with this message.
fn completion(message: &Value, finish_reason: &str) -> Reply {
    let choice = json!({"index": 0, "message": message, "finish_reason": finish_reason});
    let usage = json!({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5});
    let body = json!({"id": "c", "object": "chat.completion", "created": 7, "model": "m", "choices": [choice], "usage": usage});
    Reply::new(200, &body.to_string())
}

/// A completion with this text.
fn text(text: &str) -> Reply {
    completion(&json!({"role": "assistant", "content": text}), "stop")
}

/// The chunk of a stream with the usage.
fn usage_event() -> String {
    let usage = json!({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5});
    let chunk = json!({"id": "c-1", "object": "chat.completion.chunk", "created": 7, "model": "m", "choices": [], "usage": usage});
    format!("data: {chunk}\n\n")
}

/// A stream of this text.
fn streamed(parts: &[&str]) -> Reply {
    let reply = parts.iter().fold(Reply::stream(), |reply, part| reply.send(&content_event(part)));
    reply.send(&finish_event("stop")).send(&usage_event()).send("data: [DONE]\n\n")
}

/// Returns the body of a request for the model of the fake upstream.
fn body(input: &str, members: &Value) -> Value {
    let mut body = json!({"model": MODEL, "input": input});
    body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    body
}

/// Sends a request and returns status and JSON of the response.
async fn send(server: &TestServer, method: Method, path: &str, body: &Value) -> (u16, Value) {
    let mut request = server.request(method, path);
    if !body.is_null() {
        request = request.header("content-type", "application/json").body(body.to_string());
    }
    let response = within_timeout("a response", request.send()).await.unwrap();
    let status = response.status().as_u16();
    let text = within_timeout("the body", response.text()).await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
}

/// Creates a response, which must succeed.
async fn create(server: &TestServer, body: &Value) -> Value {
    let (status, response) = send(server, Method::POST, "/v1/responses", body).await;
    assert_eq!(status, 200, "{response}");
    response
}

async fn get(server: &TestServer, path: &str) -> (u16, Value) {
    send(server, Method::GET, path, &Value::Null).await
}

fn id(response: &Value) -> &str {
    response["id"].as_str().unwrap()
}

/// Returns the text of the first message in the output.
fn output_text(response: &Value) -> &str {
    let output = response["output"].as_array().unwrap();
    let message = output.iter().find(|item| item["type"] == "message").unwrap_or_else(|| panic!("{response}"));
    message["content"][0]["text"].as_str().unwrap()
}

/// Returns the data of an event, and asserts that its type is the name of the event.
fn parsed(event: &str) -> Value {
    let (name, data) = event.strip_prefix("event: ").unwrap().split_once("\ndata: ").unwrap();
    let data: Value = serde_json::from_str(data).unwrap();
    assert_eq!(data["type"], name);
    data
}

/// Reads an event stream to its end, and asserts that its sequence numbers begin with `first` and have no gaps.
async fn events(response: reqwest::Response, first: u64) -> Vec<Value> {
    let events: Vec<_> = Events::new(response).read_all().await.iter().map(|event| parsed(event)).collect();
    for (number, event) in (first..).zip(&events) {
        assert_eq!(event["sequence_number"], number, "{event}");
    }
    events
}

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

/// Waits until a response in the background is final.
async fn ended(server: &TestServer, id: &str) -> Value {
    let path = format!("/v1/responses/{id}?stream=true");
    let stream = within_timeout("a response", server.request(Method::GET, &path).send()).await.unwrap();
    within_timeout("the response to end", Events::new(stream).read_all()).await;
    let (status, response) = get(server, &format!("/v1/responses/{id}")).await;
    assert_eq!(status, 200, "{response}");
    response
}

#[tokio::test]
async fn text_is_answered_stored_and_read_again() {
    with_local_and_remote_core(async |server| {
        server.upstream.enqueue(text("Hello!"));
        let request =
            body("Hi", &json!({"instructions": "Be brief.", "metadata": {"a": "b"}, "max_output_tokens": 20}));
        let response = server.post("/v1/responses", &request).await;
        assert_eq!(response.headers()["content-type"], "application/json");
        let created: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        assert_eq!((&created["object"], &created["status"]), (&json!("response"), &json!("completed")));
        assert_eq!((&created["model"], output_text(&created)), (&json!(MODEL), "Hello!"));
        assert_eq!((&created["usage"]["input_tokens"], &created["usage"]["total_tokens"]), (&json!(3), &json!(5)));
        assert_eq!((&created["metadata"]["a"], &created["max_output_tokens"]), (&json!("b"), &json!(20)));
        let received = server.upstream.received().await.json();
        let messages = received["messages"].as_array().unwrap();
        assert_eq!(messages.len(), 2, "{received}");
        assert!(messages[0]["content"].to_string().contains("Be brief."), "{received}");

        let path = format!("/v1/responses/{}", id(&created));
        assert_eq!(get(server, &path).await, (200, created.clone()));
        let (status, items) = get(server, &format!("{path}/input_items")).await;
        assert_eq!(
            (status, items["data"].as_array().unwrap().len(), &items["has_more"]),
            (200, 1, &json!(false)),
            "{items}"
        );
        assert_eq!(items["data"][0]["content"][0]["text"], "Hi");
        let deleted = json!({"id": id(&created), "object": "response", "deleted": true});
        assert_eq!(send(server, Method::DELETE, &path, &Value::Null).await, (200, deleted));
        let (status, missing) = get(server, &path).await;
        assert_eq!((status, &missing["error"]["code"]), (404, &json!("response_not_found")));
    })
    .await;
}

#[tokio::test]
async fn response_that_is_not_stored_does_not_exist_afterwards() {
    with_local_and_remote_core(async |server| {
        server.upstream.enqueue(text("Hello!"));
        let created = create(server, &body("Hi", &json!({"store": false}))).await;
        server.upstream.skip_requests(1).await;
        let (status, _) = get(server, &format!("/v1/responses/{}", id(&created))).await;
        assert_eq!(status, 404);
    })
    .await;
}

#[tokio::test]
async fn stream_has_every_event_in_order_and_its_response_is_stored_before_its_end() {
    with_local_and_remote_core(async |server| {
        server.upstream.enqueue(streamed(&["Hel", "lo!"]));
        let response = server.post("/v1/responses", &body("Hi", &json!({"stream": true}))).await;
        let events = events(response, 0).await;
        assert_eq!(
            types(&events),
            [
                "response.created",
                "response.in_progress",
                "response.output_item.added",
                "response.content_part.added",
                "response.output_text.delta",
                "response.output_text.delta",
                "response.output_text.done",
                "response.content_part.done",
                "response.output_item.done",
                "response.completed",
            ]
        );
        let completed = &events.last().unwrap()["response"];
        assert_eq!((output_text(completed), &completed["usage"]["total_tokens"]), ("Hello!", &json!(5)));
        assert_eq!(get(server, &format!("/v1/responses/{}", id(completed))).await, (200, completed.clone()));
        let received = server.upstream.received().await.json();
        assert_eq!((&received["stream"], &received["stream_options"]["include_usage"]), (&json!(true), &json!(true)));
    })
    .await;
}

#[tokio::test]
async fn client_disconnect_cancels_the_call_and_stores_nothing() {
    with_local_and_remote_core(async |server| {
        server.upstream.enqueue(Reply::stream().send(&content_event("Hel")).stall());
        let response = server.post("/v1/responses", &body("Hi", &json!({"stream": true}))).await;
        let mut events = Events::new(response);
        let created = parsed(&events.next().await.unwrap());
        server.upstream.skip_requests(1).await;
        drop(events);
        server.upstream.disconnected().await;
        let (status, _) = get(server, &format!("/v1/responses/{}", id(&created["response"]))).await;
        assert_eq!(status, 404);
    })
    .await;
}

#[tokio::test]
async fn grpc_has_the_same_documents_and_events() {
    with_local_and_remote_core(async |server| {
        let mut client = server.response_client().await;
        server.upstream.enqueue(text("Hello!"));
        let request_json = body("Hi", &json!({})).to_string();
        let created = client
            .create_response(pb::CreateResponseRequest { request_json: request_json.clone(), ..Default::default() })
            .await
            .unwrap()
            .into_inner();
        let created: Value = serde_json::from_str(&created.response_json).unwrap();
        assert_eq!(output_text(&created), "Hello!");

        server.upstream.enqueue(streamed(&["Hello!"]));
        let request = pb::StreamResponseRequest { request_json, ..Default::default() };
        let stream = client.stream_response(request).await.unwrap().into_inner();
        let messages: Vec<_> = within_timeout("the stream", stream.collect::<Vec<_>>()).await;
        let last = messages.last().unwrap().as_ref().unwrap().event.clone().unwrap();
        assert_eq!((last.r#type.as_str(), last.sequence_number), ("response.completed", messages.len() as u64 - 1));
        server.upstream.skip_requests(2).await;

        let id = id(&created).to_owned();
        let page = client
            .list_input_items(pb::ListInputItemsRequest { id: id.clone(), ..Default::default() })
            .await
            .unwrap()
            .into_inner();
        assert_eq!((page.items_json.len(), page.next_page_token.as_str()), (1, ""));
        client.delete_response(pb::DeleteResponseRequest { id: id.clone() }).await.unwrap();
        let missing = client.get_response(pb::GetResponseRequest { id }).await.unwrap_err();
        assert_eq!(missing.code(), tonic::Code::NotFound);
    })
    .await;
}

#[tokio::test]
async fn repeated_idempotency_key_returns_the_stored_response() {
    with_local_and_remote_core(async |server| {
        server.upstream.enqueue(text("Hello!"));
        let post = async |input: &str| {
            let request = server.request(Method::POST, "/v1/responses").header("content-type", "application/json");
            let request = request.header("idempotency-key", "once").body(body(input, &json!({})).to_string());
            let response = within_timeout("a response", request.send()).await.unwrap();
            let status = response.status();
            (status, serde_json::from_str::<Value>(&response.text().await.unwrap()).unwrap())
        };
        let first = post("Hi").await;
        server.upstream.skip_requests(1).await;
        assert_eq!(post("Hi").await, first);
        let (status, conflict) = post("Ho").await;
        assert_eq!((status, &conflict["error"]["code"]), (StatusCode::CONFLICT, &json!("idempotency_conflict")));
    })
    .await;
}
