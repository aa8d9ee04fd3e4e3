//! An upstream that vanishes, dawdles or paces, and callers who leave.

use core_service::config::Settings;
use serde_json::json;

use super::{GENERATIONS, PLAYED, connected, fixture, json_of, over_both_hops, reply};
use crate::{
    harness::{over_both_hops_with, soon},
    upstream::{Gate, Reply},
};

#[tokio::test]
async fn an_upstream_that_vanishes_or_paces_is_told_as_such() {
    over_both_hops(async |world| {
        PLAYED.vanishes(world, &fixture(world, "gpt-image.json")).await;
        PLAYED.paces(world, reply(world, "rate.429.json").header("retry-after", "7"), "7").await;
    })
    .await;
}

#[tokio::test]
async fn an_upstream_that_dawdles_is_not_waited_for_beyond_its_limit() {
    let adjust = |settings: &mut Settings, gateway: &mut _| {
        connected(settings, gateway);
        settings.image.first_byte_timeout = std::time::Duration::from_millis(300);
    };
    over_both_hops_with(adjust, async |world| {
        PLAYED.dawdles(world, &fixture(world, "gpt-image.json")).await;
    })
    .await;
}

#[tokio::test]
async fn hanging_up_ends_the_call_to_the_upstream() {
    over_both_hops(async |world| PLAYED.is_left(world, json!({})).await).await;
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
