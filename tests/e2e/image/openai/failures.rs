//! Connection loss, timeouts, rate limits, client disconnects and deadlines.

use std::time::Duration;

use core_service::config::Settings;
use reqwest::Method;
use serde_json::json;

use super::{
    GENERATIONS, PROVIDER, configure, fixture, generate_request, json_body, reply, with_local_and_remote_core,
};
use crate::{
    fake_upstream::{Latch, Reply},
    test_server::{with_local_and_remote_core_and_settings, within_timeout},
};

#[tokio::test]
async fn connection_loss_and_rate_limit_are_reported() {
    with_local_and_remote_core(async |server| {
        PROVIDER.assert_connection_loss(server, &fixture(server, "gpt-image.json")).await;
        PROVIDER.assert_opens_breaker(server, reply(server, "rate.429.json").header("retry-after", "7"), 7).await;
    })
    .await;
}

#[tokio::test]
async fn stalled_upstream_times_out() {
    let adjust = |settings: &mut Settings, gateway: &mut _| {
        configure(settings, gateway);
        settings.image.first_byte_timeout = Duration::from_millis(300);
    };
    with_local_and_remote_core_and_settings(adjust, async |server| {
        PROVIDER.assert_timeouts(server, &fixture(server, "gpt-image.json")).await;
    })
    .await;
}

#[tokio::test]
async fn client_disconnect_closes_the_upstream_connection() {
    with_local_and_remote_core(async |server| PROVIDER.assert_client_disconnect(server, 1, json!({})).await).await;
}

#[tokio::test]
async fn rejected_key_does_not_cancel_calls_in_flight() {
    with_local_and_remote_core(async |server| {
        // Closed until the rejection of the first call has arrived.
        let gate = Latch::new();
        // The upstream has accepted these calls, and bills them, before it sends the images.
        let billed = || Reply::new(200, "").wait_for(&gate).send(&fixture(server, "gpt-image.json"));
        for reply in [reply(server, "invalid-key.401.json"), billed(), billed()] {
            server.upstream.enqueue_at(GENERATIONS, reply);
        }
        let body = json!({"model": "dall-e-3", "prompt": "x", "n": 3, "size": "64x64"});
        let open_gate = async {
            server.upstream.skip_requests(3).await;
            gate.open();
            gate.open();
        };
        let (response, ()) = tokio::join!(server.post(GENERATIONS, &body), within_timeout("the calls", open_gate));
        let response = json_body(response).await;
        assert_eq!(response["data"].as_array().unwrap().len(), 2, "{response}");
        let failures = response["failures"].as_array().unwrap();
        let codes: Vec<_> = failures.iter().map(|failure| failure["code"].as_str().unwrap()).collect();
        assert_eq!(codes, ["provider_credentials"]);
    })
    .await;
}

#[tokio::test]
async fn deadline_returns_the_images_that_are_complete() {
    with_local_and_remote_core(async |server| {
        for api in ["REST", "gRPC"] {
            server.upstream.enqueue_at(GENERATIONS, reply(server, "dall-e-3.json"));
            server.upstream.enqueue_at(GENERATIONS, Reply::no_response());
            // Much longer than one image takes on a busy machine.
            let (images, codes) = if api == "REST" {
                let request = server.request(Method::POST, GENERATIONS).header("x-request-timeout-ms", "4000");
                let body = json!({"model": "dall-e-3", "prompt": "x", "n": 2, "size": "64x64"});
                let request = request.header("content-type", "application/json").body(body.to_string());
                let response = json_body(within_timeout("a response", request.send()).await.unwrap()).await;
                let failures = response["failures"].as_array().unwrap().clone();
                let codes: Vec<_> =
                    failures.iter().map(|failure| failure["code"].as_str().unwrap().to_owned()).collect();
                (response["data"].as_array().unwrap().len(), codes)
            } else {
                let mut request = tonic::Request::new(generate_request("dall-e-3", 2, "64x64"));
                request.set_timeout(Duration::from_secs(4));
                let response = server.image_client().await.generate_images(request).await.unwrap().into_inner();
                (response.pictures.len(), response.failures.into_iter().map(|failure| failure.code).collect())
            };
            assert_eq!((images, codes), (1, vec!["upstream_timeout".to_owned()]), "{api}");
            server.upstream.disconnected().await;
            server.upstream.received().await;
            server.upstream.received().await;
        }
    })
    .await;
}
