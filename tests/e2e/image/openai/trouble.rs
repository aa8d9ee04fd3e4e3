//! An upstream that vanishes, dawdles or paces, and callers who leave.

use core_service::config::Settings;
use serde_json::json;

use super::{PLAYED, connected, fixture, over_both_hops, reply};
use crate::harness::over_both_hops_with;

#[tokio::test]
async fn an_upstream_that_vanishes_or_paces_is_told_as_such() {
    over_both_hops(async |world| {
        PLAYED.vanishes(world, &fixture(world, "gpt-image.json")).await;
        PLAYED.paces(world, &[reply(world, "rate.429.json").header("retry-after", "7")], 7).await;
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
    over_both_hops(async |world| PLAYED.is_left(world, 1, json!({})).await).await;
}
