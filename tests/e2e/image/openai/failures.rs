//! An upstream that assert_connection_loss, assert_timeouts or assert_retry_after, and callers who leave.

use std::time::Duration;

use core_service::config::Settings;
use reqwest::Method;
use serde_json::json;

use super::{GENERATIONS, PROVIDER, configure, fixture, generate_request, json_body, over_both_hops, reply};
use crate::{
    fake_upstream::{Gate, Reply},
    test_server::{over_both_hops_with, within_timeout},
};

#[tokio::test]
async fn an_upstream_that_vanishes_or_paces_is_told_as_such() {
    over_both_hops(async |server| {
        PROVIDER.assert_connection_loss(server, &fixture(server, "gpt-image.json")).await;
        PROVIDER.assert_retry_after(server, &[reply(server, "rate.429.json").header("retry-after", "7")], 7).await;
    })
    .await;
}

#[tokio::test]
async fn an_upstream_that_dawdles_is_not_waited_for_beyond_its_limit() {
    let adjust = |settings: &mut Settings, gateway: &mut _| {
        configure(settings, gateway);
        settings.image.first_byte_timeout = Duration::from_millis(300);
    };
    over_both_hops_with(adjust, async |server| {
        PROVIDER.assert_timeouts(server, &fixture(server, "gpt-image.json")).await;
    })
    .await;
}

#[tokio::test]
async fn hanging_up_ends_the_call_to_the_upstream() {
    over_both_hops(async |server| PROVIDER.assert_client_disconnect(server, 1, json!({})).await).await;
}

#[tokio::test]
async fn a_call_that_our_key_is_refused_for_takes_nothing_from_those_under_way() {
    over_both_hops(async |server| {
        // The refusal is there long before the pictures.
        let gate = Gate::new();
        // Paid, and told so: the bill is an event before the picture.
        let paid = || Reply::new(200, "").wait_for(&gate).send(&fixture(server, "gpt-image.json"));
        for turn in [reply(server, "key.401.json"), paid(), paid()] {
            server.upstream.enqueue_at(GENERATIONS, turn);
        }
        let body = json!({"model": "dall-e-3", "prompt": "x", "n": 3, "size": "64x64"});
        let received = async {
            for _ in 0..3 {
                server.upstream.received().await;
            }
            gate.open();
            gate.open();
        };
        let (made, ()) = tokio::join!(server.post(GENERATIONS, &body), within_timeout("the calls", received));
        let made = json_body(made).await;
        assert_eq!(made["data"].as_array().unwrap().len(), 2, "{made}");
        let failures = made["failures"].as_array().unwrap();
        let codes: Vec<_> = failures.iter().map(|failure| failure["code"].as_str().unwrap()).collect();
        assert_eq!(codes, ["provider_credentials"]);
    })
    .await;
}

#[tokio::test]
async fn at_the_callers_deadline_the_pictures_that_are_finished_are_the_answer() {
    over_both_hops(async |server| {
        for door in ["REST", "gRPC"] {
            server.upstream.enqueue_at(GENERATIONS, reply(server, "dall-e-3.json"));
            server.upstream.enqueue_at(GENERATIONS, Reply::no_response());
            // Much longer than one picture takes even a busy machine.
            let (made, codes) = if door == "REST" {
                let request = server.request(Method::POST, GENERATIONS).header("x-request-timeout-ms", "4000");
                let body = json!({"model": "dall-e-3", "prompt": "x", "n": 2, "size": "64x64"});
                let request = request.header("content-type", "application/json").body(body.to_string());
                let made = json_body(within_timeout("a response", request.send()).await.unwrap()).await;
                let failures = made["failures"].as_array().unwrap().clone();
                let codes: Vec<_> =
                    failures.iter().map(|failure| failure["code"].as_str().unwrap().to_owned()).collect();
                (made["data"].as_array().unwrap().len(), codes)
            } else {
                let mut request = tonic::Request::new(generate_request("dall-e-3", 2, "64x64"));
                request.set_timeout(Duration::from_secs(4));
                let made = server.image_client().await.generate_images(request).await.unwrap().into_inner();
                (made.pictures.len(), made.failures.into_iter().map(|failure| failure.code).collect())
            };
            assert_eq!((made, codes), (1, vec!["upstream_timeout".to_owned()]), "{door}");
            server.upstream.disconnected().await;
            server.upstream.received().await;
            server.upstream.received().await;
        }
    })
    .await;
}
