//! Usage, budgets, estimates, and the cost of single calls, over REST and gRPC.

mod chat_cost;
mod estimates;
mod image_cost;

use core_service::{
    config::{AccountLimits, Key, Price, PriceConditions, Settings, Team},
    usd::Usd,
};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use tonic::{Code, Request};
use tonic_types::StatusExt;
use triptych_proto::v1 as pb;

use crate::{
    fake_upstream::Reply,
    rest_response::{Events, event_data},
    test_server::{MODEL, TestServer, chat_body, with_local_and_remote_core_and_settings, within_timeout},
};

const ALICE: &str = "secret-of-alice-0001";
const BOB: &str = "secret-of-bob-000001";
const ADMIN: &str = "secret-of-admin-0001";

/// The origin of a page that may call the gateway.
const PAGE: &str = "https://page.test";

fn usd(text: &str) -> Option<Usd> {
    Usd::parse(text)
}

/// Returns prices for one model of each modality. Images cost more in high quality, and videos with a video among their inputs.
fn prices() -> Vec<Price> {
    let of = |model: &str| Price { model: model.to_owned(), ..Price::default() };
    let high = PriceConditions { quality: Some("high".to_owned()), ..PriceConditions::default() };
    let with_video = PriceConditions { video_input: Some(true), ..PriceConditions::default() };
    vec![
        Price {
            per_million_input_tokens: usd("1"),
            per_million_output_tokens: usd("2"),
            max_output_tokens: Some(1000),
            ..of(MODEL)
        },
        Price { when: high, per_image: usd("0.08"), ..of("offline-image") },
        Price { per_image: usd("0.02"), ..of("offline-image") },
        Price { when: with_video, per_second: usd("0.30"), ..of("offline-video*") },
        Price { per_second: usd("0.10"), ..of("offline-video*") },
    ]
}

/// Runs a test with the keys of Alice, who has a budget and is in a team with one, of Bob, who has none, and of an administrator.
async fn with_prices(limits: AccountLimits, test: impl AsyncFn(&TestServer)) {
    let configure = |settings: &mut Settings, gateway: &mut rest_gateway::Settings| {
        let key =
            |name: &str, secret: &str| Key { name: name.to_owned(), secret: Some(secret.into()), ..Key::default() };
        let limits = AccountLimits { budget_per_day: usd("10"), ..limits.clone() };
        settings.keys = vec![
            Key { team: "research".to_owned(), limits, ..key("alice", ALICE) },
            key("bob", BOB),
            Key { admin: true, ..key("admin", ADMIN) },
        ];
        let limits = AccountLimits { budget_per_month: usd("100"), ..AccountLimits::default() };
        settings.teams = vec![Team { name: "research".to_owned(), limits }];
        settings.prices = prices();
        gateway.runtime.cors_allow_origins = vec![PAGE.to_owned()];
    };
    with_local_and_remote_core_and_settings(configure, test).await;
}

async fn post(server: &TestServer, secret: &str, path: &str, body: &Value) -> Response {
    let request = server.request(Method::POST, path).bearer_auth(secret).header("content-type", "application/json");
    within_timeout("a response", request.header("origin", PAGE).body(body.to_string()).send()).await.unwrap()
}

async fn get(server: &TestServer, secret: &str, path: &str) -> Response {
    within_timeout("a response", server.request(Method::GET, path).bearer_auth(secret).send()).await.unwrap()
}

async fn json_body(response: Response) -> Value {
    let status = response.status();
    let text = response.text().await.unwrap();
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).unwrap()
}

fn with_key<T>(message: T, secret: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {secret}").parse().unwrap());
    request
}

/// Asserts the cost of a call in its header, which scripts of the page may read.
fn assert_cost(response: &Response, cost: &str) {
    let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(header("x-triptych-cost-usd").as_deref(), Some(cost), "{response:?}");
    assert!(header("access-control-expose-headers").unwrap().contains("x-triptych-cost-usd"));
}

/// A chat call for 10 tokens of the prompt and 20 of the response: 0.00005 dollars.
async fn chat(server: &TestServer, secret: &str) -> Response {
    enqueue_complete(server);
    let body = serde_json::from_str(&chat_body(&json!({"max_tokens": 100}))).unwrap();
    let response = post(server, secret, "/v1/chat/completions", &body).await;
    server.upstream.received().await;
    response
}

/// Enqueues a complete reply with 10 tokens of the prompt and 20 of the response.
fn enqueue_complete(server: &TestServer) {
    let message = json!({"role": "assistant", "content": "yes"});
    let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
    let usage = json!({"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30});
    let reply = json!({"id": "c", "created": 7, "model": MODEL, "choices": [choice], "usage": usage});
    server.upstream.enqueue(Reply::new(200, &reply.to_string()));
}

/// Reads a list of usage until it has this number of calls in all: chat calls and image requests are written with a delay.
async fn usage_with_calls(server: &TestServer, secret: &str, path: &str, calls: u64) -> Value {
    within_timeout("the usage", async {
        loop {
            let usage = json_body(get(server, secret, path).await).await;
            let counts = usage["data"].as_array().unwrap().iter().map(|row| row["calls"].as_u64().unwrap());
            if counts.sum::<u64>() == calls {
                return usage;
            }
        }
    })
    .await
}

/// Returns this member of a list's rows.
fn column<'a>(list: &'a Value, member: &str) -> Vec<&'a Value> {
    list["data"].as_array().unwrap().iter().map(|row| &row[member]).collect()
}

#[tokio::test]
async fn cost_is_in_responses_videos_usage_and_budgets_of_the_caller_and_its_team() {
    with_prices(AccountLimits::default(), async |server| {
        assert_cost(&chat(server, ALICE).await, "0.00005");
        let image = json!({"prompt": "a boat", "size": "256x256", "quality": "low", "model": "offline-image"});
        assert_cost(&post(server, ALICE, "/v1/images/generations", &image).await, "0.02");
        let video = json!({"prompt": "a boat", "size": "64x64", "seconds": 2, "model": "offline-video"});
        let created = json_body(post(server, ALICE, "/v1/videos", &video).await).await;
        assert_eq!((&created["estimated_cost"], created.get("cost")), (&json!("0.20"), None));
        let version = created["price_version"].as_str().unwrap().to_owned();
        assert!(!version.is_empty());
        let id = created["id"].as_str().unwrap();
        let events = Events::new(get(server, ALICE, &format!("/v1/videos/{id}/events")).await);
        let events = within_timeout("the video", events.read_all()).await;
        let last = event_data(events.last().unwrap().lines().find(|line| line.starts_with("data: ")).unwrap());
        assert_eq!((&last["status"], &last["cost"]), (&json!("completed"), &json!("0.20")));
        let listed = json_body(get(server, ALICE, "/v1/videos").await).await;
        assert_eq!(
            (&listed["data"][0]["cost"], &listed["data"][0]["price_version"]),
            (&json!("0.20"), &json!(version))
        );
        let request = with_key(pb::GetVideoRequest { id: id.to_owned() }, ALICE);
        let video = server.video_client().await.get_video(request).await.unwrap().into_inner().video.unwrap();
        assert_eq!((video.cost_micros, video.estimated_cost_micros), (Some(200_000), Some(200_000)));
        assert_eq!(video.price_version, version);
        assert_cost(&chat(server, BOB).await, "0.00005");

        let usage = usage_with_calls(server, ALICE, "/v1/usage?group_by=model,day", 3).await;
        assert_eq!(column(&usage, "modality"), ["chat", "image", "video"]);
        assert_eq!(column(&usage, "model"), [MODEL, "offline-image", "offline-video"]);
        assert_eq!(column(&usage, "cost"), ["0.00005", "0.02", "0.20"]);
        assert_eq!((column(&usage, "input_tokens")[0], column(&usage, "output_tokens")[0]), (&json!(10), &json!(20)));
        assert_eq!((column(&usage, "images")[1], column(&usage, "video_seconds")[2]), (&json!(1), &json!(2.0)));
        assert_eq!(column(&usage, "day"), [&usage["end_date"]; 3]);
        assert_eq!(column(&usage, "key"), [&Value::Null; 3]);

        let all = usage_with_calls(server, ADMIN, "/v1/usage?group_by=key,team", 4).await;
        assert_eq!(column(&all, "key"), ["alice", "bob"]);
        assert_eq!(column(&all, "team"), ["research", ""]);
        assert_eq!(column(&all, "cost_micros"), [220_050, 50]);
        let csv = get(server, ADMIN, "/v1/usage?group_by=key&format=csv").await;
        assert!(csv.headers()["content-type"].to_str().unwrap().starts_with("text/csv"));
        let csv = csv.text().await.unwrap();
        // The built-in image engine reports tokens as well.
        let lines: Vec<_> = csv.split("\r\n").collect();
        assert_eq!(
            lines[1..],
            [",alice,,,,3,0,12,0,37,0,1,2,0.22005,220050", ",bob,,,,1,0,10,0,20,0,0,0,0.00005,50", ""]
        );
        let first = json_body(get(server, ADMIN, "/v1/usage?group_by=key&limit=1").await).await;
        assert_eq!(column(&first, "key"), ["alice"]);
        assert_eq!(first["has_more"], true);

        // A caller sees neither usage nor budgets of other keys.
        assert_eq!(column(&usage_with_calls(server, BOB, "/v1/usage?group_by=key", 1).await, "key"), ["bob"]);
        let others = json_body(get(server, BOB, "/v1/usage?key=alice").await).await;
        assert_eq!(others["data"], json!([]));
        let request = pb::ListUsageRequest { key: Some("bob".to_owned()), ..pb::ListUsageRequest::default() };
        let mut client = server.usage_client().await;
        let rows = client.list_usage(with_key(request.clone(), ADMIN)).await.unwrap().into_inner().rows;
        assert_eq!((rows.len(), rows[0].cost_micros, rows[0].key.as_deref()), (1, 50, None));
        assert!(client.list_usage(with_key(request, ALICE)).await.unwrap().into_inner().rows.is_empty());

        let budgets = json_body(get(server, ALICE, "/v1/budgets").await).await;
        let spent = |budgets: &Value| {
            let rows = budgets["data"].as_array().unwrap().clone();
            rows.into_iter()
                .map(|row| (row["kind"].clone(), row["name"].clone(), row["spent"].clone()))
                .collect::<Vec<_>>()
        };
        let expected = [("key", "alice", "0.22005"), ("team", "research", "0.22005")]
            .map(|(kind, name, spent)| (json!(kind), json!(name), json!(spent)));
        assert_eq!(spent(&budgets), expected);
        assert_eq!(column(&budgets, "period"), ["day", "month"]);
        assert_eq!(column(&budgets, "limit"), ["10.00", "100.00"]);
        assert_eq!(spent(&json_body(get(server, ADMIN, "/v1/budgets").await).await), expected);
        assert_eq!(json_body(get(server, BOB, "/v1/budgets").await).await["data"], json!([]));
        let listed =
            client.list_budgets(with_key(pb::ListBudgetsRequest {}, ALICE)).await.unwrap().into_inner().budgets;
        assert_eq!(listed[0].subject, Some(pb::budget::Subject::Key("alice".to_owned())));
        assert_eq!((listed[0].period(), listed[0].spent_micros), (pb::budget::Period::Day, 220_050));
    })
    .await;
}

#[tokio::test]
async fn reserved_money_is_in_the_budget_until_the_video_ends() {
    with_prices(AccountLimits::default(), async |server| {
        let video = json!({"prompt": "a boat", "size": "64x64", "seconds": 2, "model": "offline-video-fault-stuck"});
        let created = json_body(post(server, ALICE, "/v1/videos", &video).await).await;
        let cost = created["estimated_cost"].as_str().unwrap().to_owned();
        let budget = json_body(get(server, ALICE, "/v1/budgets").await).await["data"][0].clone();
        assert_eq!((budget["reserved"].as_str(), &budget["spent"]), (Some(cost.as_str()), &json!("0.00")));
        let request = with_key(pb::CancelVideoRequest { id: created["id"].as_str().unwrap().to_owned() }, ALICE);
        server.video_client().await.cancel_video(request).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn invalid_usage_request_is_refused_with_its_field_over_both_apis() {
    with_prices(AccountLimits::default(), async |server| {
        for (query, param) in [
            ("start_date=2026-02-30", "start_date"),
            ("start_date=2026-02-02&end_date=2026-02-01", "end_date"),
            ("group_by=hour", "group_by"),
            ("limit=20000", "limit"),
        ] {
            let response = get(server, ADMIN, &format!("/v1/usage?{query}")).await;
            let (status, error) = crate::rest_response::error_body(response).await;
            assert_eq!((status.as_u16(), &error["param"]), (400, &json!(param)), "{query}");
        }
        let mut client = server.usage_client().await;
        for (request, field) in [
            (pb::ListUsageRequest { first_day: "yesterday".to_owned(), ..Default::default() }, "first_day"),
            // No value of the enum.
            (pb::ListUsageRequest { group_by: vec![9], ..Default::default() }, "group_by"),
            (pb::ListUsageRequest { max_rows: Some(0), ..Default::default() }, "max_rows"),
        ] {
            let status = client.list_usage(with_key(request, ADMIN)).await.unwrap_err();
            assert_eq!(status.code(), Code::InvalidArgument);
            assert_eq!(status.get_error_details().bad_request().unwrap().field_violations[0].field, field);
        }
    })
    .await;
}
