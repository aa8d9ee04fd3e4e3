//! Deduplicated image requests: by an idempotency key, and by the retry counter of OpenAI's SDKs.

use futures_util::TryStreamExt;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use tonic_types::StatusExt;
use triptych_proto::v1 as pb;

use super::{
    openai::{fixture, with_local_and_remote_core},
    provider_case::{GENERATIONS, json_body},
};
use crate::{
    fake_upstream::{Latch, Reply},
    rest_response::error_body,
    test_server::{TestServer, within_timeout},
};

/// Requests one image with these headers.
async fn create(server: &TestServer, headers: &[(&str, &str)], prompt: &str) -> Response {
    let body = json!({"model": "gpt-image-1", "prompt": prompt, "size": "64x64", "response_format": "url"});
    let request = server.request(Method::POST, GENERATIONS).header("content-type", "application/json");
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    within_timeout("a response", request.body(body.to_string()).send()).await.unwrap()
}

fn enqueue_image(server: &TestServer) {
    server.upstream.enqueue_at(GENERATIONS, Reply::new(200, &fixture(server, "gpt-image.json")));
}

#[tokio::test]
async fn reused_key_returns_the_first_response_and_409_for_another_body() {
    with_local_and_remote_core(async |server| {
        let key = [("idempotency-key", "k-1")];
        let gate = Latch::new();
        let text = fixture(server, "gpt-image.json");
        server.upstream.enqueue_at(GENERATIONS, Reply::new(200, "").wait_for(&gate).send(&text));
        // The second request arrives while the first is in flight, the third after it. The upstream is called once.
        let open_gate = async {
            assert_eq!(server.upstream.received().await.header("idempotency-key"), Some("k-1"));
            gate.open();
        };
        let (first, second, ()) = tokio::join!(create(server, &key, "a cat"), create(server, &key, "a cat"), open_gate);
        let third = create(server, &key, "a cat").await;
        let responses: [Value; 3] = [json_body(first).await, json_body(second).await, json_body(third).await];
        assert!(responses[0]["data"][0]["url"].is_string());
        assert!(responses[0] == responses[1] && responses[0] == responses[2], "{responses:?}");
        let other = create(server, &key, "a dog").await;
        assert_eq!(other.headers()["x-should-retry"], "false");
        let (status, error) = error_body(other).await;
        assert_eq!((status.as_u16(), error["code"].as_str()), (409, Some("idempotency_conflict")));
        // Without configured API keys all clients are one owner, and the keys that they send are ignored.
        let other_client = [key[0], ("authorization", "Bearer another")];
        assert_eq!(create(server, &other_client, "a dog").await.status(), 409);
    })
    .await;
}

#[tokio::test]
async fn sdk_retry_after_connection_loss_returns_the_first_image() {
    // OpenAI's SDKs number the attempts of a call in this header, and send the same body again after a connection loss.
    const RETRY_COUNT: &str = "x-stainless-retry-count";
    with_local_and_remote_core(async |server| {
        let gate = Latch::new();
        let text = fixture(server, "gpt-image.json");
        server.upstream.enqueue_at(GENERATIONS, Reply::new(200, "").wait_for(&gate).send(&text));
        let first = server.request(Method::POST, GENERATIONS).header(RETRY_COUNT, "0");
        let body = json!({"model": "gpt-image-1", "prompt": "a cat", "size": "64x64", "response_format": "url"});
        let first = tokio::spawn(first.header("content-type", "application/json").body(body.to_string()).send());
        server.upstream.received().await;
        first.abort();
        let _ = first.await;
        gate.open();
        let again = json_body(create(server, &[(RETRY_COUNT, "1")], "a cat").await).await;
        assert!(again["data"][0]["url"].is_string());
        server.upstream.assert_no_request().await;
        // A failure is not stored: the SDK's next attempt is a new request.
        server.upstream.enqueue_at(GENERATIONS, Reply::new(503, "{}"));
        assert_eq!(create(server, &[(RETRY_COUNT, "0")], "a dog").await.status(), 502);
        enqueue_image(server);
        assert_eq!(create(server, &[(RETRY_COUNT, "1")], "a dog").await.status(), 200);
        // The same body without a retry is a second request.
        for _ in 0..2 {
            enqueue_image(server);
            assert_eq!(create(server, &[(RETRY_COUNT, "0")], "a fox").await.status(), 200);
        }
        server.upstream.skip_requests(4).await;
    })
    .await;
}

#[tokio::test]
async fn failure_that_may_be_billed_tells_sdks_not_to_retry() {
    with_local_and_remote_core(async |server| {
        let unreadable = || Reply::new(200, "{\"data\": 7}");
        for (reply, may_be_billed) in
            [(Reply::new(500, "{}"), true), (unreadable(), true), (Reply::new(503, "{}"), false)]
        {
            server.upstream.enqueue_at(GENERATIONS, reply);
            let response = create(server, &[], "a cat").await;
            let should_retry = response.headers().get("x-should-retry").map(|value| value.to_str().unwrap());
            assert_eq!((response.status().is_server_error(), should_retry), (true, may_be_billed.then_some("false")));
            server.upstream.received().await;
        }
        let image = pb::ImageRequest { prompt: "a cat".to_owned(), size: "64x64".to_owned(), ..Default::default() };
        let request = pb::GenerateImagesRequest { image: Some(image), ..Default::default() };
        server.upstream.enqueue_at(GENERATIONS, unreadable());
        let status = server.image_client().await.generate_images(request).await.unwrap_err();
        assert_eq!(status.get_details_error_info().unwrap().metadata["may_have_executed"], "true");
        server.upstream.received().await;
    })
    .await;
}

#[tokio::test]
async fn grpc_idempotency_key_returns_the_first_response_and_replays_streams() {
    with_local_and_remote_core(async |server| {
        let image = pb::ImageRequest {
            model: "gpt-image-1".to_owned(),
            prompt: "a cat".to_owned(),
            size: "64x64".to_owned(),
            ..pb::ImageRequest::default()
        };
        let unary = pb::GenerateImagesRequest { image: Some(image.clone()), idempotency_key: "k".to_owned() };
        enqueue_image(server);
        let mut client = server.image_client().await;
        let first = client.generate_images(unary.clone()).await.unwrap().into_inner();
        assert_eq!(client.generate_images(unary).await.unwrap().into_inner(), first);
        let idempotency_key = "k-stream".to_owned();
        let streamed = pb::StreamImagesRequest { image: Some(image.clone()), idempotency_key, partial_images: 2 };
        server.upstream.enqueue_at(GENERATIONS, Reply::stream().send(&fixture(server, "stream.sse")));
        let mut replays = Vec::new();
        for _ in 0..2 {
            let events = client.stream_images(streamed.clone()).await.unwrap().into_inner();
            replays.push(events.try_collect::<Vec<_>>().await.unwrap());
        }
        assert!(replays[0].len() == 3 && replays[0] == replays[1]);
        let other = pb::StreamImagesRequest { partial_images: 1, ..streamed };
        assert_eq!(client.stream_images(other).await.unwrap_err().code(), tonic::Code::AlreadyExists);
        server.upstream.received().await;
        server.upstream.received().await;
    })
    .await;
}
