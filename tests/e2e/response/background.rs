//! Responses in the background.

use reqwest::Method;
use serde_json::{Value, json};

use super::{body, create, ended, events, get, id, output_text, parsed, send, streamed, text, types};
use crate::{
    fake_upstream::{Latch, Reply, content_event, finish_event},
    rest_response::Events,
    test_server::{TestServer, with_local_and_remote_core, with_local_and_remote_core_and_settings, within_timeout},
};

async fn resume(server: &TestServer, id: &str, starting_after: u64) -> Vec<Value> {
    let path = format!("/v1/responses/{id}?stream=true&starting_after={starting_after}");
    let response = within_timeout("a response", server.request(Method::GET, &path).send()).await.unwrap();
    events(response, starting_after + 1).await
}

#[tokio::test]
async fn background_response_is_queued_and_generated_to_its_end() {
    with_local_and_remote_core(async |server| {
        server.upstream.enqueue(text("Hello!"));
        let queued = create(server, &body("Hi", &json!({"background": true}))).await;
        assert_eq!((&queued["status"], &queued["background"]), (&json!("queued"), &json!(true)));
        let completed = ended(server, id(&queued)).await;
        server.upstream.skip_requests(1).await;
        assert_eq!((&completed["status"], output_text(&completed)), (&json!("completed"), "Hello!"));
        server.upstream.enqueue(text("Again!"));
        let next = create(server, &body("Hi", &json!({"previous_response_id": id(&queued)}))).await;
        assert_eq!(output_text(&next), "Again!");
        let received = server.upstream.received().await.json();
        assert_eq!(received["messages"].as_array().unwrap().len(), 3, "{received}");
    })
    .await;
}

#[tokio::test]
async fn background_response_continues_the_trace_of_the_call_that_created_it() {
    with_local_and_remote_core(async |server| {
        server.upstream.enqueue(text("Hello!"));
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let request = server.request(Method::POST, "/v1/responses").header("content-type", "application/json");
        let request =
            request.header("traceparent", trace).header("tracestate", "a=1,b=2").header("x-request-id", "r-1");
        let request = request.body(body("Hi", &json!({"background": true})).to_string());
        let response = within_timeout("a response", request.send()).await.unwrap();
        let queued: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        assert_eq!(ended(server, id(&queued)).await["status"], "completed");
        let received = server.upstream.received().await;
        for (name, value) in [("traceparent", trace), ("tracestate", "a=1,b=2"), ("x-request-id", "r-1")] {
            assert_eq!(received.header(name), Some(value));
        }
    })
    .await;
}

#[tokio::test]
async fn stream_goes_on_without_its_client_and_is_resumed_with_the_same_events() {
    with_local_and_remote_core(async |server| {
        let latch = Latch::new();
        let reply = Reply::stream().send(&content_event("Hel")).wait_for(&latch).send(&content_event("lo!"));
        server.upstream.enqueue(reply.send(&finish_event("stop")).send("data: [DONE]\n\n"));
        let request = body("Hi", &json!({"background": true, "stream": true}));
        let mut stream = Events::new(server.post("/v1/responses", &request).await);
        let mut seen = Vec::new();
        while seen.last().is_none_or(|event: &Value| event["type"] != "response.output_text.delta") {
            seen.push(parsed(&stream.next().await.unwrap()));
        }
        assert_eq!(types(&seen)[..3], ["response.created", "response.queued", "response.in_progress"]);
        drop(stream);
        let id = id(&seen[0]["response"]).to_owned();
        let (_, running) = get(server, &format!("/v1/responses/{id}")).await;
        assert_eq!(running["status"], "in_progress");
        let refused =
            send(server, Method::POST, "/v1/responses", &body("Go on", &json!({"previous_response_id": id}))).await;
        assert_eq!((refused.0, &refused.1["error"]["param"]), (400, &json!("previous_response_id")));
        latch.open();
        let last = seen.last().unwrap()["sequence_number"].as_u64().unwrap();
        let rest = resume(server, &id, last).await;
        server.upstream.skip_requests(1).await;
        assert_eq!(types(&rest).last(), Some(&"response.completed"));
        assert_eq!(output_text(&rest.last().unwrap()["response"]), "Hello!");
        // The whole stream again, after its end.
        let path = format!("/v1/responses/{id}?stream=true");
        let response = within_timeout("a response", server.request(Method::GET, &path).send()).await.unwrap();
        let all = events(response, 0).await;
        assert_eq!(all, [seen, rest].concat());
    })
    .await;
}

#[tokio::test]
async fn running_and_queued_responses_are_cancelled_and_the_upstream_call_ends() {
    let one_at_a_time = |settings: &mut core_service::config::Settings, _: &mut rest_gateway::Settings| {
        settings.responses.concurrency = 1;
    };
    with_local_and_remote_core_and_settings(one_at_a_time, async |server| {
        server.upstream.enqueue(Reply::stream().send(&content_event("Hel")).stall());
        let background = json!({"background": true, "stream": true});
        let mut running = Events::new(server.post("/v1/responses", &body("Hi", &background)).await);
        let first = parsed(&running.next().await.unwrap());
        server.upstream.received().await;
        let queued = create(server, &body("Ho", &json!({"background": true}))).await;
        for id in [id(&queued), id(&first["response"])] {
            let path = format!("/v1/responses/{id}/cancel");
            let (status, cancelled) = send(server, Method::POST, &path, &Value::Null).await;
            assert_eq!((status, &cancelled["status"]), (200, &json!("cancelled")), "{cancelled}");
            assert_eq!(send(server, Method::POST, &path, &Value::Null).await, (200, cancelled), "once more");
        }
        server.upstream.disconnected().await;
        running.read_all().await;
    })
    .await;
}

#[tokio::test]
async fn response_that_is_not_in_the_background_is_neither_cancelled_nor_streamed() {
    with_local_and_remote_core(async |server| {
        server.upstream.enqueue(text("Hello!"));
        let created = create(server, &body("Hi", &json!({}))).await;
        server.upstream.skip_requests(1).await;
        let path = format!("/v1/responses/{}", id(&created));
        for (method, path) in [(Method::POST, format!("{path}/cancel")), (Method::GET, format!("{path}?stream=true"))] {
            let (status, error) = send(server, method, &path, &Value::Null).await;
            assert_eq!(status, 400, "{error}");
            assert!(error["error"]["message"].as_str().unwrap().contains("background"), "{error}");
        }
    })
    .await;
}

#[tokio::test]
async fn deleted_response_ends_its_call_and_its_stream() {
    with_local_and_remote_core(async |server| {
        server.upstream.enqueue(Reply::stream().send(&content_event("Hel")).stall());
        let request = body("Hi", &json!({"background": true, "stream": true}));
        let mut stream = Events::new(server.post("/v1/responses", &request).await);
        let first = parsed(&stream.next().await.unwrap());
        server.upstream.received().await;
        let path = format!("/v1/responses/{}", id(&first["response"]));
        assert_eq!(send(server, Method::DELETE, &path, &Value::Null).await.0, 200);
        server.upstream.disconnected().await;
        let rest = stream.read_all().await;
        let last = parsed(rest.last().unwrap());
        assert_eq!((&last["type"], &last["code"]), (&json!("error"), &json!("response_not_found")));
        assert_eq!(get(server, &path).await.0, 404);
    })
    .await;
}

#[tokio::test]
async fn failure_of_the_upstream_is_the_error_of_the_response() {
    with_local_and_remote_core(async |server| {
        server.upstream.enqueue(Reply::new(429, r#"{"error":{"message":"slow down"}}"#));
        let queued = create(server, &body("Hi", &json!({"background": true}))).await;
        let failed = ended(server, id(&queued)).await;
        server.upstream.skip_requests(1).await;
        assert_eq!((&failed["status"], &failed["error"]["code"]), (&json!("failed"), &json!("rate_limit_exceeded")));
        assert_eq!(failed["output"], json!([]));
    })
    .await;
}

#[tokio::test]
async fn repeated_idempotency_key_of_a_background_response_starts_no_second_one() {
    with_local_and_remote_core(async |server| {
        server.upstream.enqueue(streamed(&["Hello!"]));
        let post = async || {
            let request = server.request(Method::POST, "/v1/responses").header("content-type", "application/json");
            let request = request.header("idempotency-key", "once");
            let body = body("Hi", &json!({"background": true, "stream": true}));
            within_timeout("a response", request.body(body.to_string()).send()).await.unwrap()
        };
        let first = events(post().await, 0).await;
        server.upstream.skip_requests(1).await;
        assert_eq!(events(post().await, 0).await, first);
    })
    .await;
}
