//! Previews, and streams that fail.

use futures_util::TryStreamExt;
use serde_json::{Value, json};
use triptych_proto::v1::{self as pb, stream_images_response::Event};

use super::{EDITS, GENERATIONS, ask, fixture, over_both_hops, png, reply};
use crate::{
    harness::{Events, World, data, error_of},
    image::{decoded, size},
    upstream::{Gate, Reply},
};

/// What a stream of events over REST tells, without the pictures.
async fn streamed(world: &World, path: &str, body: &Value) -> Vec<Value> {
    let events = Events::of(world.post(path, body).await).rest().await;
    let told = events.iter().map(|event| data(event.split_once('\n').unwrap().1));
    told.map(|mut event| {
        if event.get("b64_json").is_some() {
            assert_eq!(size(&decoded(&event)), (320, 200), "{}", event["type"]);
            event["b64_json"].take();
        }
        event
    })
    .collect()
}

#[tokio::test]
async fn previews_come_as_they_are_made_through_both_doors() {
    over_both_hops(async |world| {
        let body =
            json!({"model": "gpt-image-1", "prompt": "x", "size": "320x200", "stream": true, "partial_images": 2});
        let gate = Gate::new();
        let text = fixture(world, "stream.sse");
        let split = text.find("event: image_generation.completed").unwrap();
        // The picture is finished only once both previews have arrived here.
        let slow = || Reply::stream().send(&text[..split]).hold(&gate).send(&text[split..]);
        world.upstream.will_at(GENERATIONS, slow());
        let mut events = Events::of(world.post(GENERATIONS, &body).await);
        for index in 0..2 {
            let event = events.next().await.unwrap();
            let event = data(event.split_once('\n').unwrap().1);
            assert_eq!(
                (&event["type"], &event["partial_image_index"]),
                (&json!("image_generation.partial_image"), &json!(index))
            );
        }
        gate.open();
        let last = events.rest().await;
        let last = data(last[0].split_once('\n').unwrap().1);
        assert_eq!(
            (&last["type"], &last["usage"]["total_tokens"]),
            (&json!("image_generation.completed"), &json!(1084))
        );
        let seen = world.upstream.saw().await.json();
        assert_eq!((&seen["stream"], &seen["partial_images"]), (&json!(true), &json!(2)));

        world.upstream.will_at(GENERATIONS, slow());
        gate.open();
        let image = ask("gpt-image-1", 1, "320x200").image;
        let request = pb::StreamImagesRequest { image, partial_images: 1, ..pb::StreamImagesRequest::default() };
        let events = world.image_client().await.stream_images(request).await.unwrap().into_inner();
        let events: Vec<_> = events.map_ok(|event| event.event.unwrap()).try_collect().await.unwrap();
        let [Event::Preview(preview), Event::Finished(finished)] = &events[..] else {
            panic!("{} events", events.len())
        };
        assert_eq!((preview.partial_index, size(&preview.picture.as_ref().unwrap().data)), (0, (320, 200)));
        assert_eq!(
            (finished.usage.unwrap().total_tokens, size(&finished.picture.as_ref().unwrap().data)),
            (1084, (320, 200))
        );
        world.upstream.saw().await;
    })
    .await;
}

#[tokio::test]
async fn a_streamed_edit_and_streams_that_fail_tell_it_in_events() {
    over_both_hops(async |world| {
        let picture = format!("data:image/png;base64,{}", base64_of(&png(64, 40)));
        let edit = json!({"model": "gpt-image-1", "prompt": "x", "size": "320x200", "stream": true, "partial_images": 3,
                          "images": [{"image_url": picture}]});
        world.upstream.will_at(EDITS, Reply::stream().send(&fixture(world, "edit-stream.sse")));
        let told = streamed(world, EDITS, &edit).await;
        let kinds: Vec<_> = told.iter().map(|event| event["type"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["image_edit.partial_image", "image_edit.completed"]);
        assert_eq!(told[1]["usage"]["input_tokens_details"]["image_tokens"], 323);

        let body =
            json!({"model": "gpt-image-1", "prompt": "x", "size": "320x200", "stream": true, "partial_images": 1});
        for (name, code) in
            [("stream-cut.sse", "upstream_unavailable"), ("stream-error.sse", "content_policy_violation")]
        {
            world.upstream.will_at(GENERATIONS, Reply::stream().send(&fixture(world, name)));
            let told = streamed(world, GENERATIONS, &body).await;
            let last = told.last().unwrap();
            assert_eq!((told.len(), last["error"]["code"].as_str()), (2, Some(code)), "{name}: {last}");
        }
        // A server that knows no streams answers in one piece, and one that refuses answers with its status.
        world.upstream.will_at(GENERATIONS, reply(world, "gpt-image.json"));
        assert_eq!(streamed(world, GENERATIONS, &body).await[0]["type"], "image_generation.completed");
        world.upstream.will_at(GENERATIONS, reply(world, "moderation.400.json"));
        let (status, _) = error_of(world.post(GENERATIONS, &body).await).await;
        assert_eq!(status, 400);
        for _ in 0..5 {
            world.upstream.saw().await;
        }
    })
    .await;
}

fn base64_of(bytes: &[u8]) -> String {
    base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes)
}
