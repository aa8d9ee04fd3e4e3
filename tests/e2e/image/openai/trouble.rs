//! An upstream that vanishes, dawdles or paces, and callers who leave.

use core_service::config::Settings;
use serde_json::json;

use super::{PLAYED, connected, fixture, over_both_hops, reply};
use crate::{harness::over_both_hops_with, upstream::Reply};

#[tokio::test]
async fn an_upstream_that_vanishes_or_paces_is_told_as_such() {
    over_both_hops(async |world| {
        let whole = fixture(world, "gpt-image.json");
        PLAYED.fails(world, Reply::new(200, &whole[..whole.len() / 2]).cut(), 502, "upstream_unavailable").await;
        PLAYED.fails(world, Reply::new(200, "").cut(), 502, "upstream_unavailable").await;
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
        let whole = fixture(world, "gpt-image.json");
        PLAYED.fails(world, Reply::new(200, &whole[..whole.len() / 2]).stall(), 504, "upstream_timeout").await;
        PLAYED.fails(world, Reply::silence(), 504, "upstream_timeout").await;
    })
    .await;
}

#[tokio::test]
async fn hanging_up_ends_the_call_to_the_upstream() {
    over_both_hops(async |world| PLAYED.is_left(world, json!({})).await).await;
}
