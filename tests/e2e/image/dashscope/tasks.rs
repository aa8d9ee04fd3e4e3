//! Models that are asked by tasks.

use std::{collections::BTreeSet, time::Duration};

use core_service::config::Settings;
use serde_json::{Value, json};
use triptych_proto::v1 as pb;

use super::{super::provider_case::spawn_request, *};

use crate::{
    fake_upstream::Reply,
    test_server::{TestServer, over_both_hops_with},
};

/// A request that the upstream expects, and the file it responses with.
type Exchange = (&'static str, &'static str);

const OLDER: &str = "/api/v1/services/aigc/text2image/image-synthesis";
const EDIT: &str = "/api/v1/services/aigc/image2image/image-synthesis";
const NEWER: &str = "/api/v1/services/aigc/image-generation/generation";
const POLL: &str = "/api/v1/tasks/0385dc79-5ff8-4d82-bcb6-7f8a3a1b2c3d";
const CANCEL: &str = "/api/v1/tasks/0385dc79-5ff8-4d82-bcb6-7f8a3a1b2c3d/cancel";
const ACCEPTED: Exchange = (OLDER, "task-taken.json");
const PROVIDER: ProviderCase = ProviderCase { model: "wan2.5-t2i-preview", path: OLDER, ..super::PROVIDER };

/// How many pictures are asked for, what the upstream responses, how many links work, and what becomes of it.
fn table() -> Vec<(u32, Vec<Exchange>, usize, Outcome)> {
    let partly = |failure: &str| Outcome { failures: vec![failure.to_owned()], ..succeeds(1, 0) };
    let revised = Outcome { revised: "A small boat on a wide lake.".to_owned(), ..succeeds(1, 0) };
    let refused = |name: &'static str, error: &str| (1, vec![(OLDER, name)], 0, fails(error));
    let ended = |name: &'static str, error: &str| (1, vec![ACCEPTED, (POLL, name)], 0, fails(error));
    let looks = |names: &[&'static str]| -> Vec<Exchange> {
        [ACCEPTED].into_iter().chain(names.iter().map(|name| (POLL, *name))).collect()
    };
    vec![
        (1, looks(&["task-done.json"]), 1, succeeds(1, 0)),
        (2, looks(&["task-two.json"]), 2, succeeds(2, 0)),
        (1, looks(&["task-rewritten.json"]), 1, revised),
        (1, looks(&["task-messages.json"]), 1, succeeds(1, 0)),
        // Slowly, through every state there is.
        (
            1,
            looks(&[
                "task-unknown.json",
                "task-pending.json",
                "task-suspended.json",
                "task-strange.json",
                "task-running.json",
                "task-running.json",
                "task-done.json",
            ]),
            1,
            succeeds(1, 0),
        ),
        // A look that fails is not the task's end: neither a rate limit nor nonsense.
        (1, looks(&["rate.429.json", "page.502.html", "page.json", "task-done.json"]), 1, succeeds(1, 0)),
        (2, looks(&["task-partly.json"]), 1, partly("content_policy_violation")),
        (2, looks(&["task-two.json"]), 1, partly("upstream_unreadable")),
        (2, looks(&["task-done.json"]), 1, partly("upstream_unreadable")),
        (2, looks(&["task-none.json"]), 0, fails("upstream_timeout")),
        (1, looks(&["task-done.json"]), 0, fails("upstream_unreadable")),
        ended("task-private-link.json", "upstream_unreadable"),
        ended("task-empty.json", "upstream_unreadable"),
        ended("task-blocked.json", "content_policy_violation"),
        ended("task-size.json", "upstream_refused"),
        ended("task-late.json", "upstream_timeout"),
        ended("task-broken.json", "upstream_unavailable"),
        ended("task-throttled.json", "rate_limit_exceeded"),
        ended("task-wordless.json", "upstream_unavailable"),
        ended("task-cancelled.json", "upstream_unavailable"),
        // A key may end while a task runs.
        (1, [&looks(&["key.401.json"])[..], &[(CANCEL, "key.401.json")]].concat(), 0, fails("provider_credentials")),
        // A task may be forgotten for a moment, but not for good.
        (
            1,
            [&looks(&["task-unknown.json"; 6])[..], &[(CANCEL, "task-not-pending.400.json")]].concat(),
            0,
            fails("upstream_unavailable"),
        ),
        refused("task-nameless.json", "upstream_unreadable"),
        refused("not-by-tasks.403.json", "provider_credentials"),
        refused("blocked-in-success.json", "content_policy_violation"),
        refused("throttled-in-success.json", "rate_limit_exceeded"),
        refused("size.400.json", "upstream_refused"),
        refused("arrears.400.json", "provider_credentials"),
        refused("model.404.json", "upstream_unavailable"),
        refused("rate.429.json", "rate_limit_exceeded"),
        refused("late.500.json", "upstream_timeout"),
        refused("unavailable.503.json", "upstream_unavailable"),
        refused("page.502.html", "upstream_unavailable"),
        refused("page.json", "upstream_unreadable"),
    ]
}

/// The fixtures that are played for tasks alone.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    let played =
        table().into_iter().flat_map(|(_, exchanges, ..)| exchanges).map(|(_, name)| name).collect::<BTreeSet<_>>();
    let calls: BTreeSet<_> = super::table().into_iter().map(|(_, name, ..)| name).collect();
    played.into_iter().filter(move |name| !calls.contains(name)).chain(["task-cancel-taken.json"])
}

fn by_tasks(settings: &mut Settings, gateway: &mut rest_gateway::Settings) {
    configure(settings, gateway);
    let dashscope = &mut settings.image.dashscope;
    dashscope.poll_interval = Duration::from_millis(2);
    dashscope.models.extend(["wan2.5-i2i-preview", "wanx-v1"].map(String::from));
    dashscope.tasks.extend(["wan2.6-t2i", "qwen-image"].map(String::from));
}

fn replies(server: &TestServer, all: &[Exchange], works: usize) -> Vec<(String, Reply)> {
    all.iter().flat_map(|(path, name)| exchanges(server, path, name, works)).collect()
}

#[tokio::test]
async fn every_turn_becomes_the_same_at_both_doors() {
    over_both_hops_with(by_tasks, async |server| {
        for (n, exchanges, works, expected) in table() {
            let what = format!("{exchanges:?}, {works} links,");
            PROVIDER.assert_outcome(server, n, &what, || replies(server, &exchanges, works), &expected).await;
        }
    })
    .await;
}

#[tokio::test]
async fn each_model_is_asked_where_and_how_it_is_served() {
    let prompt = json!({"prompt": "a boat", "negative_prompt": "fog"});
    let messages = json!({"messages": [{"role": "user", "content": [{"text": "a boat"}]}]});
    let rows: [(&str, &str, &Value, Value); 5] = [
        ("wan2.5-t2i-preview", OLDER, &prompt, json!({"size": "1792x1024", "n": 1, "watermark": false})),
        ("wan2.2-t2i-flash", OLDER, &prompt, json!({"size": "1440x823", "n": 1, "watermark": false})),
        ("wanx-v1", OLDER, &prompt, json!({"size": "1280x720", "n": 1})),
        ("qwen-image", OLDER, &prompt, json!({"size": "1664x928", "watermark": false})),
        (
            "wan2.6-t2i",
            NEWER,
            &messages,
            json!({"size": "1792x1024", "n": 1, "watermark": false, "negative_prompt": "fog"}),
        ),
    ];
    over_both_hops_with(by_tasks, async |server| {
        for (model, path, input, parameters) in &rows {
            let responses = [(*path, "task-taken.json"), (POLL, "task-done.json")];
            let paths = enqueue_all(server, replies(server, &responses, 1));
            let body = json!({"model": model, "prompt": "a boat", "size": "1792x1024", "seed": 7,
                              "negative_prompt": "fog", "response_format": "b64_json"});
            let made = decoded(&json_body(server.post(GENERATIONS, &body).await).await["data"][0]);
            assert_eq!(size(&made), (1792, 1024));
            let received = server.upstream.received().await;
            assert_eq!((received.path.as_str(), received.header("x-dashscope-async")), (*path, Some("enable")));
            let mut parameters = parameters.clone();
            parameters["size"] = parameters["size"].as_str().unwrap().replace('x', "*").into();
            parameters["seed"] = 7.into();
            assert_eq!(received.json(), json!({"model": model, "input": input, "parameters": parameters}));
            let look = server.upstream.received().await;
            assert_eq!(
                (look.head.starts_with("get "), look.header("authorization")),
                (true, Some("bearer dash-secret"))
            );
            assert_requests(server, paths[2..].to_vec()).await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_edit_by_a_task_sends_its_pictures_beside_the_prompt() {
    over_both_hops_with(by_tasks, async |server| {
        let paths = enqueue_all(server, replies(server, &[(EDIT, "task-taken.json"), (POLL, "task-done.json")], 1));
        let mut request = generate_request("wan2.5-i2i-preview", 1, "auto");
        let input = pb::media_input::Source::Data(png(16, 8).into());
        request.image.as_mut().unwrap().pictures = vec![pb::MediaInput { source: Some(input) }];
        let made = server.image_client().await.generate_images(request).await.unwrap().into_inner();
        assert_eq!(size(&made.pictures[0].data), (512, 320), "as the model made it");
        let told = server.upstream.received().await.json();
        let encoded = told["input"]["images"][0].as_str().unwrap().strip_prefix("data:image/png;base64,").unwrap();
        assert_eq!(decoded(&json!({"b64_json": encoded})), png(16, 8));
        assert_requests(server, paths[1..].to_vec()).await;
    })
    .await;
}

#[tokio::test]
async fn a_task_that_nobody_waits_for_any_more_is_cancelled() {
    let adjust = |settings: &mut Settings, gateway: &mut _| {
        by_tasks(settings, gateway);
        // Long enough for one look on a busy machine, too short for a second one anywhere.
        settings.image.first_byte_timeout = Duration::from_secs(2);
        settings.image.dashscope.poll_interval = Duration::from_millis(1100);
    };
    over_both_hops_with(adjust, async |server| {
        PROVIDER.assert_failure(server, Reply::new(200, "{").abort(), 502, "upstream_unavailable").await;
        PROVIDER.assert_failure(server, Reply::no_response(), 504, "upstream_timeout").await;
        let late = [ACCEPTED, (POLL, "task-pending.json"), (CANCEL, "task-cancel-taken.json")];
        PROVIDER.assert_failure_after(server, &replies(server, &late, 0), 504, "upstream_timeout").await;
    })
    .await;

    over_both_hops_with(by_tasks, async |server| {
        let first = [ACCEPTED, (CANCEL, "task-cancel-taken.json")];
        let paths = enqueue_all(server, replies(server, &first, 0));
        server.upstream.enqueue_at(POLL, fixtures().reply(server, "task-pending.json").stall());
        let calling = spawn_request(server, &json!({"model": PROVIDER.model, "prompt": "x"}));
        assert_requests(server, vec![paths[0].clone(), POLL.to_owned()]).await;
        calling.abort();
        assert_eq!(server.upstream.received().await.path, CANCEL);
    })
    .await;
}
