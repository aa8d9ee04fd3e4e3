//! Previews, and streams that fail.

use std::time::Duration;

use core_service::config::Settings;
use futures_util::TryStreamExt;
use reqwest::Method;
use serde_json::{Value, json};
use triptych_proto::v1::{self as pb, stream_images_response::Event};

use super::{EDITS, GENERATIONS, fixture, generate_request, png, reply, with_local_and_remote_core};
use crate::{
    fake_upstream::{Latch, Reply},
    image::{decoded, size},
    rest_response::{Events, error_body, event_data},
    test_server::{TestServer, with_local_and_remote_core_and_settings, within_timeout},
};

/// Streams a request over REST, asserts the size of every image, and returns the events without the images.
async fn streamed(server: &TestServer, path: &str, body: &Value) -> Vec<Value> {
    let events = Events::new(server.post(path, body).await).read_all().await;
    let parsed = events.iter().map(|event| event_data(event.split_once('\n').unwrap().1));
    parsed
        .map(|mut event| {
            if event.get("b64_json").is_some() {
                assert_eq!(size(&decoded(&event)), (320, 200), "{}", event["type"]);
                event["b64_json"].take();
            }
            event
        })
        .collect()
}

#[tokio::test]
async fn previews_are_forwarded_at_once_over_rest_and_grpc() {
    with_local_and_remote_core(async |server| {
        let body =
            json!({"model": "gpt-image-1", "prompt": "x", "size": "320x200", "stream": true, "partial_images": 2});
        let gate = Latch::new();
        let text = fixture(server, "stream.sse");
        let split = text.find("event: image_generation.completed").unwrap();
        // The image is sent after the test has received both previews.
        let reply = || Reply::stream().send(&text[..split]).wait_for(&gate).send(&text[split..]);
        server.upstream.enqueue_at(GENERATIONS, reply());
        let mut events = Events::new(server.post(GENERATIONS, &body).await);
        for index in 0..2 {
            let event = events.next().await.unwrap();
            let event = event_data(event.split_once('\n').unwrap().1);
            assert_eq!(
                (&event["type"], &event["partial_image_index"]),
                (&json!("image_generation.partial_image"), &json!(index))
            );
        }
        gate.open();
        let last = events.read_all().await;
        let last = event_data(last[0].split_once('\n').unwrap().1);
        assert_eq!(
            (&last["type"], &last["usage"]["total_tokens"]),
            (&json!("image_generation.completed"), &json!(1084))
        );
        let received = server.upstream.received().await.json();
        assert_eq!((&received["stream"], &received["partial_images"]), (&json!(true), &json!(2)));

        server.upstream.enqueue_at(GENERATIONS, reply());
        gate.open();
        let image = generate_request("gpt-image-1", 1, "320x200").image;
        let request = pb::StreamImagesRequest { image, partial_images: 1, ..pb::StreamImagesRequest::default() };
        let events = server.image_client().await.stream_images(request).await.unwrap().into_inner();
        let events: Vec<_> = events.map_ok(|event| event.event.unwrap()).try_collect().await.unwrap();
        let [Event::Preview(preview), Event::Finished(finished)] = &events[..] else {
            panic!("{} events", events.len())
        };
        assert_eq!((preview.partial_index, size(&preview.picture.as_ref().unwrap().data)), (0, (320, 200)));
        assert_eq!(
            (finished.usage.unwrap().total_tokens, size(&finished.picture.as_ref().unwrap().data)),
            (1084, (320, 200))
        );
        server.upstream.received().await;
    })
    .await;
}

#[tokio::test]
async fn streamed_edits_and_stream_failures_are_sent_as_events() {
    with_local_and_remote_core(async |server| {
        let picture = format!("data:image/png;base64,{}", encode_base64(&png(64, 40)));
        let edit = json!({"model": "gpt-image-1", "prompt": "x", "size": "320x200", "stream": true, "partial_images": 3,
                          "images": [{"image_url": picture}]});
        server.upstream.enqueue_at(EDITS, Reply::stream().send(&fixture(server, "edit-stream.sse")));
        let events = streamed(server, EDITS, &edit).await;
        let kinds: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["image_edit.partial_image", "image_edit.completed"]);
        assert_eq!(events[1]["usage"]["input_tokens_details"]["image_tokens"], 323);

        let body =
            json!({"model": "gpt-image-1", "prompt": "x", "size": "320x200", "stream": true, "partial_images": 1});
        for (name, code) in [("stream-aborted.sse", "upstream_unavailable"), ("stream-error.sse", "moderation_blocked")]
        {
            server.upstream.enqueue_at(GENERATIONS, Reply::stream().send(&fixture(server, name)));
            let events = streamed(server, GENERATIONS, &body).await;
            let last = events.last().unwrap();
            assert_eq!((events.len(), last["error"]["code"].as_str()), (2, Some(code)), "{name}: {last}");
        }
        // A server that does not support streaming sends one JSON document, and one that rejects the request an error status.
        server.upstream.enqueue_at(GENERATIONS, reply(server, "gpt-image.json"));
        assert_eq!(streamed(server, GENERATIONS, &body).await[0]["type"], "image_generation.completed");
        server.upstream.enqueue_at(GENERATIONS, reply(server, "moderation.400.json"));
        let (status, _) = error_body(server.post(GENERATIONS, &body).await).await;
        assert_eq!(status, 400);
        server.upstream.skip_requests(5).await;
    })
    .await;
}

fn encode_base64(bytes: &[u8]) -> String {
    base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes)
}

#[tokio::test]
async fn response_head_and_heartbeats_do_not_wait_for_the_first_image() {
    let adjust = |settings: &mut Settings, gateway: &mut rest_gateway::Settings| {
        super::configure(settings, gateway);
        // Comments that keep proxies from closing an idle connection.
        gateway.runtime.heartbeat = Duration::from_millis(50);
    };
    with_local_and_remote_core_and_settings(adjust, async |server| {
        let body = json!({"model": "gpt-image-1", "prompt": "x", "size": "320x200", "stream": true});
        // The headers make the request repeatable, whose response is shared with later requests.
        for header in [None, Some(("idempotency-key", "k-1")), Some(("x-stainless-retry-count", "0"))] {
            let gate = Latch::new();
            let reply = Reply::stream().wait_for(&gate).send(&fixture(server, "stream.sse"));
            server.upstream.enqueue_at(GENERATIONS, reply);
            let request = server.request(Method::POST, GENERATIONS).header("content-type", "application/json");
            let request = header.into_iter().fold(request, |request, (name, value)| request.header(name, value));
            let mut response = within_timeout("the head", request.body(body.to_string()).send()).await.unwrap();
            assert_eq!(response.headers()["content-type"], "text/event-stream");
            let first = within_timeout("a heartbeat", response.chunk()).await.unwrap().unwrap();
            assert!(first.starts_with(b": keep-alive"), "{first:?} {header:?}");
            gate.open();
            let rest = within_timeout("the stream", response.text()).await.unwrap();
            assert!(rest.contains("image_generation.completed"), "{rest:.200} {header:?}");
            server.upstream.received().await;
        }
    })
    .await;
}
