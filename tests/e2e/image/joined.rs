//! Creates of pictures that are asked for again: with a key, and by an SDK's silent retry.

use futures_util::TryStreamExt;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use tonic_types::StatusExt;
use triptych_proto::v1 as pb;

use super::{
    openai::{fixture, over_both_hops},
    outcome::{GENERATIONS, json_of},
};
use crate::{
    harness::{World, error_of, soon},
    upstream::{Gate, Reply},
};

async fn create(world: &World, headers: &[(&str, &str)], prompt: &str) -> Response {
    let body = json!({"model": "gpt-image-1", "prompt": prompt, "size": "64x64"});
    let request = world.request(Method::POST, GENERATIONS).header("content-type", "application/json");
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    soon("an answer", request.body(body.to_string()).send()).await.unwrap()
}

fn will_paint(world: &World) {
    world.upstream.will_at(GENERATIONS, Reply::new(200, &fixture(world, "gpt-image.json")));
}

#[tokio::test]
async fn a_key_gives_the_first_answer_again_and_a_conflict_to_another_request() {
    over_both_hops(async |world| {
        let key = [("idempotency-key", "k-1")];
        let gate = Gate::new();
        let text = fixture(world, "gpt-image.json");
        world.upstream.will_at(GENERATIONS, Reply::new(200, "").hold(&gate).send(&text));
        // The second comes while the first is under way; the third when it is over. The upstream is asked once.
        let opened = async {
            assert_eq!(world.upstream.saw().await.header("idempotency-key"), Some("k-1"));
            gate.open();
        };
        let (first, second, ()) = tokio::join!(create(world, &key, "a cat"), create(world, &key, "a cat"), opened);
        let third = create(world, &key, "a cat").await;
        let answers: [Value; 3] = [json_of(first).await, json_of(second).await, json_of(third).await];
        assert!(answers[0]["data"][0]["url"].is_string());
        assert!(answers[0] == answers[1] && answers[0] == answers[2], "{answers:?}");
        let other = create(world, &key, "a dog").await;
        assert_eq!(other.headers()["x-should-retry"], "false");
        let (status, error) = error_of(other).await;
        assert_eq!((status.as_u16(), error["code"].as_str()), (409, Some("idempotency_conflict")));
        // The key is its caller's own.
        will_paint(world);
        let stranger = [key[0], ("authorization", "Bearer another")];
        assert_eq!(create(world, &stranger, "a dog").await.status(), 200);
        world.upstream.saw().await;
    })
    .await;
}

#[tokio::test]
async fn an_sdk_that_lost_the_connection_gets_the_picture_it_paid_for() {
    over_both_hops(async |world| {
        let gate = Gate::new();
        let text = fixture(world, "gpt-image.json");
        world.upstream.will_at(GENERATIONS, Reply::new(200, "").hold(&gate).send(&text));
        let first = world.request(Method::POST, GENERATIONS).header("x-stainless-retry-count", "0");
        let body = json!({"model": "gpt-image-1", "prompt": "a cat", "size": "64x64"}).to_string();
        let first = tokio::spawn(first.header("content-type", "application/json").body(body).send());
        world.upstream.saw().await;
        first.abort();
        let _ = first.await;
        gate.open();
        let again = json_of(create(world, &[("x-stainless-retry-count", "1")], "a cat").await).await;
        assert!(again["data"][0]["url"].is_string());
        world.upstream.saw_nothing().await;
        // A failure is not kept: the SDK's next try is a new one.
        world.upstream.will_at(GENERATIONS, Reply::new(503, "{}"));
        assert_eq!(create(world, &[("x-stainless-retry-count", "0")], "a dog").await.status(), 502);
        will_paint(world);
        assert_eq!(create(world, &[("x-stainless-retry-count", "1")], "a dog").await.status(), 200);
        // And the same words twice are two requests.
        for _ in 0..2 {
            will_paint(world);
            assert_eq!(create(world, &[("x-stainless-retry-count", "0")], "a fox").await.status(), 200);
        }
        for _ in 0..4 {
            world.upstream.saw().await;
        }
    })
    .await;
}

#[tokio::test]
async fn no_sdk_is_to_ask_again_by_itself_for_what_may_be_made_and_paid() {
    over_both_hops(async |world| {
        let unreadable = || Reply::new(200, "{\"data\": 7}");
        for (reply, final_) in [(Reply::new(500, "{}"), true), (unreadable(), true), (Reply::new(503, "{}"), false)] {
            world.upstream.will_at(GENERATIONS, reply);
            let answer = create(world, &[], "a cat").await;
            let told = answer.headers().get("x-should-retry").map(|value| value.to_str().unwrap());
            assert_eq!((answer.status().is_server_error(), told), (true, final_.then_some("false")));
            world.upstream.saw().await;
        }
        let image = pb::ImageRequest { prompt: "a cat".to_owned(), size: "64x64".to_owned(), ..Default::default() };
        let request = pb::GenerateImagesRequest { image: Some(image), ..Default::default() };
        world.upstream.will_at(GENERATIONS, unreadable());
        let status = world.image_client().await.generate_images(request).await.unwrap_err();
        assert_eq!(status.get_details_error_info().unwrap().metadata["may_have_executed"], "true");
        world.upstream.saw().await;
    })
    .await;
}

#[tokio::test]
async fn over_grpc_the_field_joins_and_streams_are_told_again_from_their_beginning() {
    over_both_hops(async |world| {
        let image = pb::ImageRequest {
            model: "gpt-image-1".to_owned(),
            prompt: "a cat".to_owned(),
            size: "64x64".to_owned(),
            ..pb::ImageRequest::default()
        };
        let whole = pb::GenerateImagesRequest { image: Some(image.clone()), idempotency_key: "k".to_owned() };
        will_paint(world);
        let mut client = world.image_client().await;
        let first = client.generate_images(whole.clone()).await.unwrap().into_inner();
        assert_eq!(client.generate_images(whole).await.unwrap().into_inner(), first);
        let idempotency_key = "k-stream".to_owned();
        let streamed = pb::StreamImagesRequest { image: Some(image.clone()), idempotency_key, partial_images: 2 };
        world.upstream.will_at(GENERATIONS, Reply::stream().send(&fixture(world, "stream.sse")));
        let mut told = Vec::new();
        for _ in 0..2 {
            let events = client.stream_images(streamed.clone()).await.unwrap().into_inner();
            told.push(events.try_collect::<Vec<_>>().await.unwrap());
        }
        assert!(told[0].len() == 3 && told[0] == told[1]);
        let other = pb::StreamImagesRequest { partial_images: 1, ..streamed };
        assert_eq!(client.stream_images(other).await.unwrap_err().code(), tonic::Code::AlreadyExists);
        world.upstream.saw().await;
        world.upstream.saw().await;
    })
    .await;
}
