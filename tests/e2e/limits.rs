//! The limits of API keys and of teams, which share one limit among their keys, over both APIs.

use core_service::{
    config::{AccountLimits, Key, Price, Settings, Team},
    usd::Usd,
};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use tonic::{Code, Request};
use tonic_types::StatusExt;
use triptych_proto::v1 as pb;

use crate::{
    chat::setup::{completion_of_tokens, grpc_chat_request},
    fake_upstream::Reply,
    rest_response::Events,
    test_server::{MODEL, TestServer, chat_body, with_local_and_remote_core_and_settings, within_timeout},
};

const ALICE: &str = "secret-of-alice-0001";
const BOB: &str = "secret-of-bob-000001";
const ADMIN: &str = "secret-of-admin-0001";

/// Sets the keys of Alice and Bob, which have the limits `own` each and are in one team with the limits `team`, and the key of an
/// administrator without limits.
fn configure(settings: &mut Settings, own: &AccountLimits, team: &AccountLimits) {
    let key = |name: &str, secret: &str| Key { name: name.to_owned(), secret: Some(secret.into()), ..Key::default() };
    let member = |name, secret| Key { team: "research".to_owned(), limits: own.clone(), ..key(name, secret) };
    settings.keys = vec![member("alice", ALICE), member("bob", BOB), Key { admin: true, ..key("admin", ADMIN) }];
    settings.teams = vec![Team { name: "research".to_owned(), limits: team.clone() }];
}

/// Runs a test with the keys of [`configure`].
async fn with_limits(own: AccountLimits, team: AccountLimits, test: impl AsyncFn(&TestServer)) {
    let adjust = |settings: &mut Settings, _: &mut rest_gateway::Settings| configure(settings, &own, &team);
    with_local_and_remote_core_and_settings(adjust, test).await;
}

async fn post(server: &TestServer, secret: &str, path: &str, body: &Value) -> Response {
    let request = server.request(Method::POST, path).bearer_auth(secret).header("content-type", "application/json");
    within_timeout("a response", request.body(body.to_string()).send()).await.unwrap()
}

fn chat(members: &Value) -> Value {
    serde_json::from_str(&chat_body(members)).unwrap()
}

/// A chat completion whose usage has this total.
fn completion(total_tokens: u32) -> Reply {
    completion_of_tokens(total_tokens - 1)
}

fn header(response: &Response, name: &str) -> String {
    response.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
}

/// Asserts a 429 whose message names the key or team and the setting of the limit.
async fn assert_limit(response: Response, subject: &str, limit: &str) {
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(header(&response, "retry-after").parse::<u32>().unwrap() >= 1);
    let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    assert_eq!(body["error"]["code"], "rate_limit_exceeded", "{body}");
    let message = body["error"]["message"].as_str().unwrap();
    assert!(message.contains(subject) && message.contains(limit), "{message}");
}

#[tokio::test]
async fn requests_per_minute_of_a_key_count_over_both_apis_and_all_modalities() {
    let limits = AccountLimits { requests_per_minute: 3, ..AccountLimits::default() };
    with_limits(limits, AccountLimits::default(), async |server| {
        server.upstream.enqueue(completion(9));
        let response = post(server, ALICE, "/v1/chat/completions", &chat(&json!({}))).await;
        assert_eq!(response.status(), 200);
        server.upstream.received().await;
        assert_eq!(header(&response, "x-ratelimit-limit-requests"), "3");
        assert_eq!(header(&response, "x-ratelimit-remaining-requests"), "2");
        // One of three requests per minute is regained each 20 seconds.
        assert_eq!(header(&response, "x-ratelimit-reset-requests"), "20s");
        assert_eq!(header(&response, "x-ratelimit-limit-tokens"), "");

        let image = json!({"prompt": "a boat", "size": "256x256"});
        let response = post(server, ALICE, "/v1/images/generations", &image).await;
        assert_eq!(
            (response.status(), header(&response, "x-ratelimit-remaining-requests")),
            (StatusCode::OK, "1".into())
        );
        let video = json!({"prompt": "a boat", "size": "64x64", "seconds": 1, "model": "offline-video"});
        let response = post(server, ALICE, "/v1/videos", &video).await;
        assert_eq!(
            (response.status(), header(&response, "x-ratelimit-remaining-requests")),
            (StatusCode::OK, "0".into())
        );

        let mut request = Request::new(grpc_chat_request());
        request.metadata_mut().insert("authorization", format!("Bearer {ALICE}").parse().unwrap());
        let refused = server.chat_client().await.create_chat(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted);
        assert_eq!(refused.metadata().get("x-ratelimit-remaining-requests").unwrap(), "0");
        let details = refused.get_error_details();
        assert!(details.retry_info().unwrap().retry_delay.is_some());
        assert_eq!(details.quota_failure().unwrap().violations[0].subject, "key `alice`");
        let refused = post(server, ALICE, "/v1/videos", &video).await;
        assert_limit(refused, "key `alice`", "requests_per_minute").await;
        // Reads are not counted, and neither are the calls of others.
        let listed = server.request(Method::GET, "/v1/videos").bearer_auth(ALICE).send().await.unwrap();
        assert_eq!(listed.status(), 200);
        for secret in [BOB, ADMIN] {
            server.upstream.enqueue(completion(9));
            let response = post(server, secret, "/v1/chat/completions", &chat(&json!({}))).await;
            assert_eq!(response.status(), 200);
            server.upstream.received().await;
        }
    })
    .await;
}

#[tokio::test]
async fn ietf_rate_limit_headers_are_sent_only_if_the_setting_is_on() {
    let image = json!({"prompt": "a boat", "size": "256x256"});
    for (is_on, policy, state) in [(true, r#""requests";q=3;w=60"#, r#""requests";r=2;t=20"#), (false, "", "")] {
        let adjust = |settings: &mut Settings, gateway: &mut rest_gateway::Settings| {
            let limits = AccountLimits { requests_per_minute: 3, ..AccountLimits::default() };
            configure(settings, &limits, &AccountLimits::default());
            gateway.runtime.ietf_rate_limits = is_on;
        };
        with_local_and_remote_core_and_settings(adjust, async |server| {
            let response = post(server, ALICE, "/v1/images/generations", &image).await;
            assert_eq!(
                (header(&response, "ratelimit-policy"), header(&response, "ratelimit")),
                (policy.into(), state.into())
            );
        })
        .await;
    }
}

#[tokio::test]
async fn tokens_per_minute_of_a_team_count_the_usage_of_complete_and_streamed_responses() {
    let limits = AccountLimits { tokens_per_minute: 100_000, ..AccountLimits::default() };
    with_limits(AccountLimits::default(), limits, async |server| {
        server.upstream.enqueue(completion(30_000));
        let response = post(server, ALICE, "/v1/chat/completions", &chat(&json!({"max_tokens": 100}))).await;
        assert_eq!(header(&response, "x-ratelimit-limit-tokens"), "100000");
        assert_eq!(response.status(), 200);
        server.upstream.received().await;

        // The core requests the usage from the upstream; the client has not requested it and does not get it.
        let usage = json!({"prompt_tokens": 1, "completion_tokens": 59_999, "total_tokens": 60_000});
        let last = json!({"id": "c", "created": 7, "model": MODEL, "choices": [], "usage": usage});
        let stream = Reply::stream().send(&crate::fake_upstream::content_event("a"));
        let stream = stream.send(&crate::fake_upstream::finish_event("stop"));
        server.upstream.enqueue(stream.send(&format!("data: {last}\n\ndata: [DONE]\n\n")));
        let response = post(server, BOB, "/v1/chat/completions", &chat(&json!({"stream": true}))).await;
        let events = within_timeout("the stream", Events::new(response).read_all()).await;
        assert!(events.iter().all(|event| !event.contains("total_tokens")), "{events:?}");
        assert_eq!(server.upstream.received().await.json()["stream_options"]["include_usage"], true);

        let refused = post(server, ALICE, "/v1/chat/completions", &chat(&json!({"max_tokens": 50_000}))).await;
        assert_limit(refused, "team `research`", "tokens_per_minute").await;
        let above_the_limit = post(server, ALICE, "/v1/chat/completions", &chat(&json!({"max_tokens": 200_000}))).await;
        assert_eq!(above_the_limit.status(), 400);
        assert!(above_the_limit.text().await.unwrap().contains("100000 tokens per minute"));
    })
    .await;
}

#[tokio::test]
async fn models_of_a_key_are_the_only_ones_that_it_sees_and_calls() {
    let limits = AccountLimits { models: vec!["scripted-*".to_owned()], ..AccountLimits::default() };
    with_limits(limits, AccountLimits::default(), async |server| {
        let models = server.request(Method::GET, "/v1/models").bearer_auth(ALICE).send().await.unwrap();
        let models: Value = serde_json::from_str(&models.text().await.unwrap()).unwrap();
        let ids: Vec<_> = models["data"].as_array().unwrap().iter().map(|model| &model["id"]).collect();
        assert_eq!(ids, [MODEL]);
        let refused = post(server, ALICE, "/v1/images/generations", &json!({"prompt": "a boat"})).await;
        assert_eq!(refused.status(), 403);
        let body: Value = serde_json::from_str(&refused.text().await.unwrap()).unwrap();
        assert_eq!((&body["error"]["code"], &body["error"]["param"]), (&json!("model_not_allowed"), &json!("model")));
        let mut request = Request::new(pb::GetModelRequest { id: "offline-video".to_owned() });
        request.metadata_mut().insert("authorization", format!("Bearer {ALICE}").parse().unwrap());
        let refused = server.model_client().await.get_model(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
        let unknown = post(server, ALICE, "/v1/chat/completions", &chat(&json!({"model": "offline-cha"}))).await;
        assert_eq!(unknown.status(), 404);
        let message = unknown.text().await.unwrap();
        assert!(message.contains(&format!("1 model is served: `{MODEL}`")), "{message}");
        server.upstream.enqueue(completion(9));
        let response = post(server, ALICE, "/v1/chat/completions", &chat(&json!({}))).await;
        assert_eq!(response.status(), 200);
        server.upstream.received().await;
    })
    .await;
}

#[tokio::test]
async fn calls_and_videos_in_flight_are_limited_until_they_end() {
    let limits = AccountLimits { concurrent_calls: 1, jobs_in_flight: 1, ..AccountLimits::default() };
    with_limits(limits, AccountLimits::default(), async |server| {
        let first = crate::fake_upstream::content_event("a");
        server.upstream.enqueue(Reply::stream().send(&first).stall());
        let mut events =
            Events::new(post(server, ALICE, "/v1/chat/completions", &chat(&json!({"stream": true}))).await);
        assert!(events.next().await.is_some());
        server.upstream.received().await;
        let refused = post(server, ALICE, "/v1/chat/completions", &chat(&json!({}))).await;
        assert_limit(refused, "key `alice`", "concurrent_calls").await;
        drop(events);
        server.upstream.disconnected().await;

        let video = json!({"prompt": "a boat", "size": "64x64", "seconds": 1, "model": "offline-video-fault-stuck"});
        let response = post(server, BOB, "/v1/videos", &video).await;
        let created: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        let refused = post(server, BOB, "/v1/videos", &video).await;
        assert_limit(refused, "key `bob`", "jobs_in_flight").await;
        let cancel = format!("/v1/videos/{}/cancel", created["id"].as_str().unwrap());
        assert_eq!(post(server, BOB, &cancel, &json!({})).await.status(), 200);
        assert_eq!(post(server, BOB, "/v1/videos", &video).await.status(), 200);
    })
    .await;
}

/// Returns the remaining requests and tokens in the headers of a response whose limits are 4 requests and 100,000 tokens per minute.
fn remaining(response: &Response) -> (u32, u32) {
    let number = |name: &str| header(response, name).parse::<u32>().unwrap_or_else(|_| panic!("{name}: {response:?}"));
    assert_eq!((number("x-ratelimit-limit-requests"), number("x-ratelimit-limit-tokens")), (4, 100_000));
    for name in ["x-ratelimit-reset-requests", "x-ratelimit-reset-tokens"] {
        assert!(header(response, name).ends_with('s'), "{response:?}");
    }
    (number("x-ratelimit-remaining-requests"), number("x-ratelimit-remaining-tokens"))
}

#[tokio::test]
async fn every_response_to_a_key_with_limits_has_the_state_of_its_rate_limits() {
    // One of four requests per minute is regained each 15 seconds.
    let limits = AccountLimits {
        requests_per_minute: 4,
        tokens_per_minute: 100_000,
        concurrent_calls: 1,
        jobs_in_flight: 1,
        budget_total: Usd::parse("1"),
        ..AccountLimits::default()
    };
    let configure = |settings: &mut Settings, _: &mut rest_gateway::Settings| {
        configure(settings, &limits, &AccountLimits::default());
        let price = |model: &str| Price { model: model.to_owned(), ..Price::default() };
        settings.prices = vec![
            Price { per_million_output_tokens: Usd::parse("1"), ..price(MODEL) },
            Price { per_image: Usd::parse("2"), ..price("offline-image") },
            Price { per_second: Usd::parse("0.01"), ..price("offline-video") },
            Price { per_second: Usd::parse("0.01"), ..price("offline-video-fault-stuck") },
        ];
    };
    with_local_and_remote_core_and_settings(configure, async |server| {
        let get = async |path: &str| server.request(Method::GET, path).bearer_auth(ALICE).send().await.unwrap();
        // Reads do not count.
        for path in ["/v1/models", "/v1/videos", "/v1/usage", "/v1/budgets"] {
            let response = get(path).await;
            assert_eq!((response.status(), remaining(&response)), (StatusCode::OK, (4, 100_000)), "{path}");
        }
        for path in ["/v1/videos/video_none", "/v1/videos/video_none/content", "/v1/responses/resp_none"] {
            let response = get(path).await;
            assert_eq!((response.status(), remaining(&response)), (StatusCode::NOT_FOUND, (4, 100_000)), "{path}");
        }
        // Requests that are refused before they count.
        let unknown = post(server, ALICE, "/v1/chat/completions", &chat(&json!({"model": "none"}))).await;
        assert_eq!((unknown.status(), remaining(&unknown)), (StatusCode::NOT_FOUND, (4, 100_000)));
        let invalid = post(server, ALICE, "/v1/videos", &json!({"prompt": "a boat", "size": "1x"})).await;
        assert_eq!((invalid.status(), remaining(&invalid)), (StatusCode::BAD_REQUEST, (4, 100_000)));

        // A stream in flight, and a call beyond the limit of concurrent calls.
        server.upstream.enqueue(Reply::stream().send(&crate::fake_upstream::content_event("a")).stall());
        let response =
            post(server, BOB, "/v1/chat/completions", &chat(&json!({"stream": true, "max_tokens": 1000}))).await;
        let (requests, tokens) = remaining(&response);
        assert!(requests == 3 && tokens < 100_000, "{response:?}");
        let mut events = Events::new(response);
        assert!(events.next().await.is_some());
        server.upstream.received().await;
        let refused = post(server, BOB, "/v1/chat/completions", &chat(&json!({}))).await;
        assert!(remaining(&refused).0 < 4);
        assert_limit(refused, "key `bob`", "concurrent_calls").await;
        drop(events);
        server.upstream.disconnected().await;

        // An image for which the budget has not enough left. It counts as a request.
        let image = json!({"prompt": "a boat", "size": "256x256", "model": "offline-image"});
        let refused = post(server, ALICE, "/v1/images/generations", &image).await;
        assert!(refused.status() == StatusCode::TOO_MANY_REQUESTS && remaining(&refused).0 < 4);
        assert!(refused.text().await.unwrap().contains("budget_exceeded"));

        // A video, and one beyond the limit of jobs in flight.
        let video = |model: &str| json!({"prompt": "a boat", "size": "64x64", "seconds": 1, "model": model});
        let created = post(server, ALICE, "/v1/videos", &video("offline-video-fault-stuck")).await;
        assert!(created.status() == StatusCode::OK && remaining(&created).0 < 4);
        let created: Value = serde_json::from_str(&created.text().await.unwrap()).unwrap();
        let refused = post(server, ALICE, "/v1/videos", &video("offline-video")).await;
        assert!(remaining(&refused).0 < 4);
        assert_limit(refused, "key `alice`", "jobs_in_flight").await;
        let cancel = format!("/v1/videos/{}/cancel", created["id"].as_str().unwrap());
        let cancelled = post(server, ALICE, &cancel, &json!({})).await;
        assert!(cancelled.status() == StatusCode::OK && remaining(&cancelled).0 < 4);

        // A failure of the upstream, and a read after it.
        server.upstream.enqueue(Reply::new(400, r#"{"error": {"message": "no"}}"#));
        let failed = post(server, ALICE, "/v1/chat/completions", &chat(&json!({}))).await;
        server.upstream.received().await;
        assert!(failed.status() == StatusCode::BAD_REQUEST && remaining(&failed).0 < 4);
        assert!(remaining(&get("/v1/models").await).0 < 4);

        // gRPC: the same state as metadata, of a response and of a status.
        let with_key = |message| {
            let mut request = Request::new(message);
            request.metadata_mut().insert("authorization", format!("Bearer {ALICE}").parse().unwrap());
            request
        };
        let get_model = async |id: &str| {
            server.model_client().await.get_model(with_key(pb::GetModelRequest { id: id.to_owned() })).await
        };
        let response = get_model(MODEL).await.unwrap();
        assert!(response.metadata().contains_key("x-ratelimit-remaining-requests"));
        let status = get_model("none").await.unwrap_err();
        assert!(status.metadata().contains_key("x-ratelimit-remaining-requests"));
        // Other keys have no limits.
        let response = server.request(Method::GET, "/v1/models").bearer_auth(ADMIN).send().await.unwrap();
        assert_eq!(header(&response, "x-ratelimit-limit-requests"), "");
    })
    .await;
}
