//! Models that are asked by tasks.

use std::{collections::BTreeSet, time::Duration};

use core_service::config::Settings;
use serde_json::{Value, json};
use triptych_proto::v1 as pb;

use super::{super::outcome::hanging, *};

/// A request that the upstream expects, and the file it answers with.
type Turn = (&'static str, &'static str);

const OLDER: &str = "/api/v1/services/aigc/text2image/image-synthesis";
const EDIT: &str = "/api/v1/services/aigc/image2image/image-synthesis";
const NEWER: &str = "/api/v1/services/aigc/image-generation/generation";
const LOOK: &str = "/api/v1/tasks/0385dc79-5ff8-4d82-bcb6-7f8a3a1b2c3d";
const CANCEL: &str = "/api/v1/tasks/0385dc79-5ff8-4d82-bcb6-7f8a3a1b2c3d/cancel";
const TAKEN: Turn = (OLDER, "task-taken.json");
const PLAYED: Played = Played { model: "wan2.5-t2i-preview", path: OLDER, ..super::PLAYED };

/// How many pictures are asked for, what the upstream answers, how many links work, and what becomes of it.
fn table() -> Vec<(u32, Vec<Turn>, usize, Outcome)> {
    let partly = |failure: &str| Outcome { failures: vec![failure.to_owned()], ..makes(1, 0) };
    let revised = Outcome { revised: "A small boat on a wide lake.".to_owned(), ..makes(1, 0) };
    let refused = |name: &'static str, error: &str| (1, vec![(OLDER, name)], 0, fails(error));
    let ended = |name: &'static str, error: &str| (1, vec![TAKEN, (LOOK, name)], 0, fails(error));
    let looks = |names: &[&'static str]| -> Vec<Turn> {
        [TAKEN].into_iter().chain(names.iter().map(|name| (LOOK, *name))).collect()
    };
    vec![
        (1, looks(&["task-done.json"]), 1, makes(1, 0)),
        (2, looks(&["task-two.json"]), 2, makes(2, 0)),
        (1, looks(&["task-rewritten.json"]), 1, revised),
        (1, looks(&["task-messages.json"]), 1, makes(1, 0)),
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
            makes(1, 0),
        ),
        // A look that fails is not the task's end: neither a rate limit nor nonsense.
        (1, looks(&["rate.429.json", "page.502.html", "page.json", "task-done.json"]), 1, makes(1, 0)),
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
    let played = table().into_iter().flat_map(|(_, turns, ..)| turns).map(|(_, name)| name).collect::<BTreeSet<_>>();
    let calls: BTreeSet<_> = super::table().into_iter().map(|(_, name, ..)| name).collect();
    played.into_iter().filter(move |name| !calls.contains(name)).chain(["task-cancel-taken.json"])
}

fn by_tasks(settings: &mut Settings, gateway: &mut rest_gateway::Settings) {
    connected(settings, gateway);
    let dashscope = &mut settings.image.dashscope;
    dashscope.poll_interval = Duration::from_millis(2);
    dashscope.models.extend(["wan2.5-i2i-preview", "wanx-v1"].map(String::from));
    dashscope.tasks.extend(["wan2.6-t2i", "qwen-image"].map(String::from));
}

fn ready(world: &World, all: &[Turn], works: usize) -> Vec<(String, Reply)> {
    all.iter().flat_map(|(path, name)| turns(world, path, name, works)).collect()
}

#[tokio::test]
async fn every_turn_becomes_the_same_at_both_doors() {
    over_both_hops_with(by_tasks, async |world| {
        for (n, turns, works, expected) in table() {
            let what = format!("{turns:?}, {works} links,");
            PLAYED.at_both_doors(world, n, &what, || ready(world, &turns, works), &expected).await;
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
    over_both_hops_with(by_tasks, async |world| {
        for (model, path, input, parameters) in &rows {
            let answers = [(*path, "task-taken.json"), (LOOK, "task-done.json")];
            let paths = play(world, ready(world, &answers, 1));
            let body = json!({"model": model, "prompt": "a boat", "size": "1792x1024", "seed": 7,
                              "negative_prompt": "fog", "response_format": "b64_json"});
            let made = decoded(&json_of(world.post(GENERATIONS, &body).await).await["data"][0]);
            assert_eq!(size(&made), (1792, 1024));
            let seen = world.upstream.saw().await;
            assert_eq!((seen.path.as_str(), seen.header("x-dashscope-async")), (*path, Some("enable")));
            let mut parameters = parameters.clone();
            parameters["size"] = parameters["size"].as_str().unwrap().replace('x', "*").into();
            parameters["seed"] = 7.into();
            assert_eq!(seen.json(), json!({"model": model, "input": input, "parameters": parameters}));
            let look = world.upstream.saw().await;
            assert_eq!(
                (look.head.starts_with("get "), look.header("authorization")),
                (true, Some("bearer dash-secret"))
            );
            saw(world, paths[2..].to_vec()).await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_edit_by_a_task_sends_its_pictures_beside_the_prompt() {
    over_both_hops_with(by_tasks, async |world| {
        let paths = play(world, ready(world, &[(EDIT, "task-taken.json"), (LOOK, "task-done.json")], 1));
        let mut request = ask("wan2.5-i2i-preview", 1, "auto");
        let input = pb::media_input::Source::Data(png(16, 8).into());
        request.image.as_mut().unwrap().pictures = vec![pb::MediaInput { source: Some(input) }];
        let made = world.image_client().await.generate_images(request).await.unwrap().into_inner();
        assert_eq!(size(&made.pictures[0].data), (512, 320), "as the model made it");
        let told = world.upstream.saw().await.json();
        let encoded = told["input"]["images"][0].as_str().unwrap().strip_prefix("data:image/png;base64,").unwrap();
        assert_eq!(decoded(&json!({"b64_json": encoded})), png(16, 8));
        saw(world, paths[1..].to_vec()).await;
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
    over_both_hops_with(adjust, async |world| {
        PLAYED.fails(world, Reply::new(200, "{").cut(), 502, "upstream_unavailable").await;
        PLAYED.fails(world, Reply::silence(), 504, "upstream_timeout").await;
        let late = [TAKEN, (LOOK, "task-pending.json"), (CANCEL, "task-cancel-taken.json")];
        PLAYED.fails_in_turns(world, &ready(world, &late, 0), 504, "upstream_timeout").await;
    })
    .await;

    over_both_hops_with(by_tasks, async |world| {
        let first = [TAKEN, (CANCEL, "task-cancel-taken.json")];
        let paths = play(world, ready(world, &first, 0));
        world.upstream.will_at(LOOK, fixtures().reply(world, "task-pending.json").stall());
        let calling = hanging(world, &json!({"model": PLAYED.model, "prompt": "x"}));
        saw(world, vec![paths[0].clone(), LOOK.to_owned()]).await;
        calling.abort();
        assert_eq!(world.upstream.saw().await.path, CANCEL);
    })
    .await;
}
