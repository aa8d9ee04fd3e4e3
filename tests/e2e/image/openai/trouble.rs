//! An upstream that vanishes, dawdles or paces, and callers who leave.

use std::time::Duration;

use core_service::config::Settings;
use reqwest::Method;
use serde_json::json;

use super::{GENERATIONS, PLAYED, ask, connected, fixture, json_of, over_both_hops, reply};
use crate::{
    harness::{over_both_hops_with, soon},
    upstream::{Gate, Reply},
};

#[tokio::test]
async fn an_upstream_that_vanishes_or_paces_is_told_as_such() {
    over_both_hops(async |world| {
        PLAYED.vanishes(world, &fixture(world, "gpt-image.json")).await;
        PLAYED.opens_breaker(world, reply(world, "rate.429.json").header("retry-after", "7"), 7).await;
    })
    .await;
}

#[tokio::test]
async fn an_upstream_that_dawdles_is_not_waited_for_beyond_its_limit() {
    let adjust = |settings: &mut Settings, gateway: &mut _| {
        connected(settings, gateway);
        settings.image.first_byte_timeout = Duration::from_millis(300);
    };
    over_both_hops_with(adjust, async |world| {
        PLAYED.dawdles(world, &fixture(world, "gpt-image.json")).await;
    })
    .await;
}

#[tokio::test]
async fn hanging_up_ends_the_call_to_the_upstream() {
    over_both_hops(async |world| PLAYED.is_left(world, 1, json!({})).await).await;
}

#[tokio::test]
async fn a_call_that_our_key_is_refused_for_takes_nothing_from_those_under_way() {
    over_both_hops(async |world| {
        // The refusal is there long before the pictures.
        let gate = Gate::new();
        // Paid, and told so: the bill is an event before the picture.
        let paid = || Reply::new(200, "").hold(&gate).send(&fixture(world, "gpt-image.json"));
        for turn in [reply(world, "key.401.json"), paid(), paid()] {
            world.upstream.will_at(GENERATIONS, turn);
        }
        let body = json!({"model": "dall-e-3", "prompt": "x", "n": 3, "size": "64x64"});
        let seen = async {
            for _ in 0..3 {
                world.upstream.saw().await;
            }
            gate.open();
            gate.open();
        };
        let (made, ()) = tokio::join!(world.post(GENERATIONS, &body), soon("the calls", seen));
        let made = json_of(made).await;
        assert_eq!(made["data"].as_array().unwrap().len(), 2, "{made}");
        let failures = made["failures"].as_array().unwrap();
        let codes: Vec<_> = failures.iter().map(|failure| failure["code"].as_str().unwrap()).collect();
        assert_eq!(codes, ["provider_credentials"]);
    })
    .await;
}

#[tokio::test]
async fn at_the_callers_deadline_the_pictures_that_are_finished_are_the_answer() {
    over_both_hops(async |world| {
        for door in ["REST", "gRPC"] {
            world.upstream.will_at(GENERATIONS, reply(world, "dall-e-3.json"));
            world.upstream.will_at(GENERATIONS, Reply::silence());
            // Much longer than one picture takes even a busy machine.
            let (made, codes) = if door == "REST" {
                let request = world.request(Method::POST, GENERATIONS).header("x-request-timeout-ms", "4000");
                let body = json!({"model": "dall-e-3", "prompt": "x", "n": 2, "size": "64x64"});
                let request = request.header("content-type", "application/json").body(body.to_string());
                let made = json_of(soon("an answer", request.send()).await.unwrap()).await;
                let failures = made["failures"].as_array().unwrap().clone();
                let codes: Vec<_> =
                    failures.iter().map(|failure| failure["code"].as_str().unwrap().to_owned()).collect();
                (made["data"].as_array().unwrap().len(), codes)
            } else {
                let mut request = tonic::Request::new(ask("dall-e-3", 2, "64x64"));
                request.set_timeout(Duration::from_secs(4));
                let made = world.image_client().await.generate_images(request).await.unwrap().into_inner();
                (made.pictures.len(), made.failures.into_iter().map(|failure| failure.code).collect())
            };
            assert_eq!((made, codes), (1, vec!["upstream_timeout".to_owned()]), "{door}");
            world.upstream.was_left().await;
            world.upstream.saw().await;
            world.upstream.saw().await;
        }
    })
    .await;
}
