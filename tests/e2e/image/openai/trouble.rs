//! An upstream that vanishes, dawdles or paces, and callers who leave.

use core_service::config::Settings;
use reqwest::Method;
use serde_json::json;

use super::{GENERATIONS, connected, fixture, over_both_hops, reply};
use crate::{
    harness::{World, error_of, over_both_hops_with},
    upstream::{Gate, Reply},
};

async fn assert_fails(world: &World, reply: Reply, status: u16, code: &str) {
    world.upstream.will_at(GENERATIONS, reply);
    let (got, error) = error_of(world.post(GENERATIONS, &json!({"model": "gpt-image-1", "prompt": "x"})).await).await;
    assert_eq!((got.as_u16(), error["code"].as_str().unwrap()), (status, code), "{error}");
    world.upstream.saw().await;
}

#[tokio::test]
async fn an_upstream_that_vanishes_or_paces_is_told_as_such() {
    over_both_hops(async |world| {
        let whole = fixture(world, "gpt-image.json");
        assert_fails(world, Reply::new(200, &whole[..whole.len() / 2]).cut(), 502, "upstream_unavailable").await;
        assert_fails(world, Reply::new(200, "").cut(), 502, "upstream_unavailable").await;
        world.upstream.will_at(GENERATIONS, reply(world, "rate.429.json").header("retry-after", "7"));
        let answer = world.post(GENERATIONS, &json!({"model": "gpt-image-1", "prompt": "x"})).await;
        assert_eq!((answer.status().as_u16(), answer.headers()["retry-after"].to_str().unwrap()), (429, "7"));
        world.upstream.saw().await;
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
        let whole = fixture(world, "gpt-image.json");
        assert_fails(world, Reply::new(200, &whole[..whole.len() / 2]).stall(), 504, "upstream_timeout").await;
        assert_fails(world, Reply::silence(), 504, "upstream_timeout").await;
    })
    .await;
}

#[tokio::test]
async fn hanging_up_ends_the_call_to_the_upstream() {
    over_both_hops(async |world| {
        let gate = Gate::new();
        world.upstream.will_at(GENERATIONS, Reply::new(200, "{").hold(&gate).stall());
        let request = world.request(Method::POST, GENERATIONS).header("content-type", "application/json");
        let calling = tokio::spawn(request.body(r#"{"model":"gpt-image-1","prompt":"x"}"#).send());
        world.upstream.saw().await;
        gate.open();
        calling.abort();
        world.upstream.was_left().await;
    })
    .await;
}
