//! The budgets of API keys and of teams, over both APIs.

use core_service::{
    config::{AccountLimits, Key, Price, Settings, Team},
    usd::Usd,
};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use tonic::{Code, Request};
use tonic_types::StatusExt;

use crate::{
    chat::setup::{completion_of_tokens, grpc_chat_request},
    fake_upstream::{Reply, content_event},
    rest_response::Events,
    test_server::{MODEL, TestServer, chat_body, with_local_and_remote_core_and_settings, within_timeout},
};

const ALICE: &str = "secret-of-alice-0001";
const BOB: &str = "secret-of-bob-000001";

/// The price of the chat model: a dollar for a million output tokens, so that a token costs a millionth of a dollar.
fn chat_price() -> Price {
    Price { model: MODEL.to_owned(), per_million_output_tokens: Usd::parse("1"), ..Price::default() }
}

/// Runs a test with the keys of Alice and Bob, who are in one team. Each key may spend `key` US dollars, and the team `team`.
async fn with_budgets(key: &str, team: &str, prices: &[Price], test: impl AsyncFn(&TestServer)) {
    let limits = |total: &str| AccountLimits { budget_total: Usd::parse(total), ..AccountLimits::default() };
    let configure = |settings: &mut Settings, _: &mut rest_gateway::Settings| {
        let member = |name: &str, secret: &str| Key {
            name: name.to_owned(),
            secret: Some(secret.into()),
            team: "research".to_owned(),
            limits: limits(key),
            ..Key::default()
        };
        settings.keys = vec![member("alice", ALICE), member("bob", BOB)];
        settings.teams = vec![Team { name: "research".to_owned(), limits: limits(team) }];
        settings.prices = prices.to_vec();
    };
    with_local_and_remote_core_and_settings(configure, test).await;
}

async fn post(server: &TestServer, secret: &str, path: &str, body: &Value) -> Response {
    let request = server.request(Method::POST, path).bearer_auth(secret).header("content-type", "application/json");
    within_timeout("a response", request.body(body.to_string()).send()).await.unwrap()
}

async fn post_chat(server: &TestServer, secret: &str, members: &Value) -> Response {
    post(server, secret, "/v1/chat/completions", &serde_json::from_str(&chat_body(members)).unwrap()).await
}

async fn body(response: Response) -> Value {
    serde_json::from_str(&response.text().await.unwrap()).unwrap()
}

/// Asserts that a call was refused because of a budget of this subject, in a way that SDKs do not retry.
async fn assert_exceeded(response: Response, subject: &str) {
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(response.headers()["x-should-retry"], "false");
    let body = body(response).await;
    assert_eq!(body["error"]["code"], "budget_exceeded", "{body}");
    let message = body["error"]["message"].as_str().unwrap();
    assert!(message.contains(subject) && message.contains("budget_total"), "{message}");
}

#[tokio::test]
async fn chat_calls_spend_a_budget_until_their_maximum_no_longer_fits() {
    with_budgets("0.001", "1", &[chat_price()], async |server| {
        server.upstream.enqueue(completion_of_tokens(400));
        let mut request = Request::new(grpc_chat_request());
        request.get_mut().chat.as_mut().unwrap().max_tokens = Some(1000);
        request.metadata_mut().insert("authorization", format!("Bearer {ALICE}").parse().unwrap());
        let response = server.chat_client().await.create_chat(request).await.unwrap();
        assert_eq!(response.metadata().get("x-triptych-cost-usd").unwrap(), "0.0004");
        server.upstream.received().await;

        assert_exceeded(post_chat(server, ALICE, &json!({"max_tokens": 601})).await, "key `alice`").await;
        let mut request = Request::new(grpc_chat_request());
        request.metadata_mut().insert("authorization", format!("Bearer {ALICE}").parse().unwrap());
        // Without a maximum, 4096 tokens are reserved.
        let refused = server.chat_client().await.create_chat(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted);
        let details = refused.get_error_details();
        assert_eq!(details.quota_failure().unwrap().violations[0].subject, "key `alice`");
        assert!(details.retry_info().is_none());

        // A failure costs nothing, so that all of the rest can be used.
        server.upstream.enqueue(Reply::new(400, r#"{"error":{"message":"no"}}"#));
        assert_eq!(post_chat(server, ALICE, &json!({"max_tokens": 600})).await.status(), 400);
        server.upstream.received().await;
        server.upstream.enqueue(completion_of_tokens(600));
        assert_eq!(post_chat(server, ALICE, &json!({"max_tokens": 600})).await.status(), 200);
        server.upstream.received().await;
        assert_exceeded(post_chat(server, ALICE, &json!({"max_tokens": 1})).await, "key `alice`").await;
    })
    .await;
}

#[tokio::test]
async fn streams_are_charged_by_their_usage_or_by_an_estimate_of_the_sent_text() {
    with_budgets("1", "0.001", &[chat_price()], async |server| {
        let stream = json!({"stream": true, "max_tokens": 500});
        let usage = json!({"prompt_tokens": 1, "completion_tokens": 300, "total_tokens": 301});
        let last = json!({"id": "c", "created": 7, "model": MODEL, "choices": [], "usage": usage});
        let reply = Reply::stream().send(&content_event("a")).send(&format!("data: {last}\n\ndata: [DONE]\n\n"));
        server.upstream.enqueue(reply);
        let events = Events::new(post_chat(server, ALICE, &stream).await).read_all();
        let events = within_timeout("the stream", events).await;
        assert!(events.iter().all(|event| !event.contains("usage")), "{events:?}");
        assert_eq!(server.upstream.received().await.json()["stream_options"]["include_usage"], true);

        // Two hundred tokens of text, estimated as one for four letters, then the client disconnects.
        server.upstream.enqueue(Reply::stream().send(&content_event(&"word".repeat(200))).stall());
        let mut events = Events::new(post_chat(server, BOB, &stream).await);
        while !events.next().await.unwrap().contains("word") {}
        server.upstream.received().await;
        drop(events);
        server.upstream.disconnected().await;

        // The team has spent 300 and 200 of its 1000.
        assert_exceeded(post_chat(server, BOB, &json!({"max_tokens": 501})).await, "team `research`").await;
        server.upstream.enqueue(completion_of_tokens(500));
        assert_eq!(post_chat(server, BOB, &json!({"max_tokens": 500})).await.status(), 200);
        server.upstream.received().await;
    })
    .await;
}

#[tokio::test]
async fn model_without_a_price_is_refused_and_built_in_engines_are_free() {
    // A price for videos says nothing about chat.
    let other = Price { model: MODEL.to_owned(), per_second: Usd::parse("1"), ..Price::default() };
    with_budgets("1", "1", &[other], async |server| {
        let response = post_chat(server, ALICE, &json!({})).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        let body = body(response).await;
        assert_eq!((&body["error"]["code"], &body["error"]["param"]), (&json!("model_not_priced"), &json!("model")));
        assert!(body["error"]["message"].as_str().unwrap().contains("`prices`"), "{body}");
        let image = json!({"prompt": "a boat", "size": "256x256"});
        assert_eq!(post(server, ALICE, "/v1/images/generations", &image).await.status(), 200);
    })
    .await;
}

#[tokio::test]
async fn images_cost_by_their_number_and_videos_hold_their_cost_until_they_end() {
    let image = Price { model: "offline-image".to_owned(), per_image: Usd::parse("0.10"), ..Price::default() };
    let video = Price { model: "offline-video*".to_owned(), per_second: Usd::parse("0.20"), ..Price::default() };
    with_budgets("0.50", "1", &[image, video], async |server| {
        let image = json!({"prompt": "a boat", "size": "256x256", "n": 2});
        assert_eq!(post(server, ALICE, "/v1/images/generations", &image).await.status(), 200);
        // 0.20 of 0.50 are spent, and 0.20 are held.
        let video = json!({"prompt": "a boat", "size": "64x64", "seconds": 1, "model": "offline-video-fault-stuck"});
        let created = body(post(server, ALICE, "/v1/videos", &video).await).await;
        assert_exceeded(post(server, ALICE, "/v1/videos", &video).await, "key `alice`").await;
        assert_exceeded(post(server, ALICE, "/v1/images/generations", &image).await, "key `alice`").await;
        let cancel = format!("/v1/videos/{}/cancel", created["id"].as_str().unwrap());
        assert_eq!(post(server, ALICE, &cancel, &json!({})).await.status(), 200);
        // The hold ends when the render has been stopped.
        within_timeout("the end of the hold", async {
            while post(server, ALICE, "/v1/images/generations", &image).await.status() != StatusCode::OK {
                tokio::task::yield_now().await;
            }
        })
        .await;
    })
    .await;
}
