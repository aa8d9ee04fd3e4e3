//! Models that run as tasks: submit, poll, download, cancel.

use std::{collections::BTreeSet, time::Duration};

use core_service::config::Settings;
use serde_json::{Value, json};
use triptych_proto::v1 as pb;

use super::{super::provider_case::spawn_request, *};

use crate::{
    fake_upstream::Reply,
    test_server::{TestServer, with_local_and_remote_core_and_settings},
};

/// The path of a request to the upstream, and the fixture it responds with.
type Exchange = (&'static str, &'static str);

const TEXT_TO_IMAGE: &str = "/api/v1/services/aigc/text2image/image-synthesis";
const IMAGE_TO_IMAGE: &str = "/api/v1/services/aigc/image2image/image-synthesis";
const IMAGE_GENERATION: &str = "/api/v1/services/aigc/image-generation/generation";
const POLL: &str = "/api/v1/tasks/0385dc79-5ff8-4d82-bcb6-7f8a3a1b2c3d";
const CANCEL: &str = "/api/v1/tasks/0385dc79-5ff8-4d82-bcb6-7f8a3a1b2c3d/cancel";
const ACCEPTED: Exchange = (TEXT_TO_IMAGE, "task-submitted.json");
const PROVIDER: ProviderCase = ProviderCase { model: "wan2.5-t2i-preview", path: TEXT_TO_IMAGE, ..super::PROVIDER };

/// The number of requested images, the exchanges with the upstream, how many links work, and the outcome.
fn table() -> Vec<(u32, Vec<Exchange>, usize, Outcome)> {
    let partly = |failure: &str| Outcome { failures: vec![failure.to_owned()], ..succeeds(1) };
    let revised = Outcome { revised: "A small boat on a wide lake.".to_owned(), ..succeeds(1) };
    let submit_fails = |name: &'static str, error: &str| (1, vec![(TEXT_TO_IMAGE, name)], 0, fails(error));
    let task_fails = |name: &'static str, error: &str| (1, vec![ACCEPTED, (POLL, name)], 0, fails(error));
    let polls = |names: &[&'static str]| -> Vec<Exchange> {
        [ACCEPTED].into_iter().chain(names.iter().map(|name| (POLL, *name))).collect()
    };
    vec![
        (1, polls(&["task-succeeded.json"]), 1, succeeds(1)),
        (2, polls(&["task-two.json"]), 2, succeeds(2)),
        (1, polls(&["task-rewritten.json"]), 1, revised),
        (1, polls(&["task-messages.json"]), 1, succeeds(1)),
        // Through every state that a task can have.
        (
            1,
            polls(&[
                "task-status-unknown.json",
                "task-pending.json",
                "task-suspended.json",
                "task-unknown-status.json",
                "task-running.json",
                "task-running.json",
                "task-succeeded.json",
            ]),
            1,
            succeeds(1),
        ),
        // A poll that fails, be it with a rate limit or an unreadable body, does not fail the task.
        (1, polls(&["rate.429.json", "html-page.502.html", "html-page.json", "task-succeeded.json"]), 1, succeeds(1)),
        (2, polls(&["task-one-image-failed.json"]), 1, partly("content_policy_violation")),
        (2, polls(&["task-two.json"]), 1, partly("upstream_unreadable")),
        (2, polls(&["task-succeeded.json"]), 1, partly("upstream_unreadable")),
        (2, polls(&["task-all-images-failed.json"]), 0, fails("upstream_timeout")),
        (1, polls(&["task-succeeded.json"]), 0, fails("upstream_unreadable")),
        task_fails("task-private-link.json", "upstream_unreadable"),
        task_fails("task-empty.json", "upstream_unreadable"),
        task_fails("task-blocked.json", "content_policy_violation"),
        task_fails("task-size.json", "upstream_refused"),
        task_fails("task-timeout.json", "upstream_timeout"),
        task_fails("task-internal-error.json", "upstream_unavailable"),
        task_fails("task-throttled.json", "rate_limit_exceeded"),
        task_fails("task-failed-without-message.json", "upstream_unavailable"),
        task_fails("task-cancelled.json", "upstream_unavailable"),
        // The key is revoked while a task runs.
        (
            1,
            [&polls(&["invalid-key.401.json"])[..], &[(CANCEL, "invalid-key.401.json")]].concat(),
            0,
            fails("provider_credentials"),
        ),
        // A task that is unknown to the upstream is polled until six polls in a row have not found it.
        (
            1,
            [&polls(&["task-status-unknown.json"; 6])[..], &[(CANCEL, "task-not-pending.400.json")]].concat(),
            0,
            fails("upstream_unavailable"),
        ),
        submit_fails("task-without-id.json", "upstream_unreadable"),
        submit_fails("async-not-allowed.403.json", "provider_credentials"),
        submit_fails("blocked-in-success.json", "content_policy_violation"),
        submit_fails("throttled-in-success.json", "rate_limit_exceeded"),
        submit_fails("size.400.json", "upstream_refused"),
        submit_fails("arrears.400.json", "provider_credentials"),
        submit_fails("model.404.json", "upstream_unavailable"),
        submit_fails("rate.429.json", "rate_limit_exceeded"),
        submit_fails("timeout.500.json", "upstream_timeout"),
        submit_fails("unavailable.503.json", "upstream_unavailable"),
        submit_fails("html-page.502.html", "upstream_unavailable"),
        submit_fails("html-page.json", "upstream_unreadable"),
    ]
}

/// Returns the names of the fixtures that only these tests use.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    let tested =
        table().into_iter().flat_map(|(_, exchanges, ..)| exchanges).map(|(_, name)| name).collect::<BTreeSet<_>>();
    let calls: BTreeSet<_> = super::table().into_iter().map(|(_, name, ..)| name).collect();
    tested.into_iter().filter(move |name| !calls.contains(name)).chain(["task-cancel-accepted.json"])
}

fn configure_tasks(settings: &mut Settings, gateway: &mut rest_gateway::Settings) {
    configure(settings, gateway);
    let dashscope = &mut settings.image.dashscope;
    dashscope.poll_interval = Duration::from_millis(2);
    dashscope.models.extend(["wan2.5-i2i-preview", "wanx-v1"].map(String::from));
    dashscope.tasks.extend(["wan2.6-t2i", "qwen-image"].map(String::from));
}

/// Returns the replies of these exchanges, and those to the links in them, of which the first `working_links` succeed.
fn replies(server: &TestServer, all: &[Exchange], working_links: usize) -> Vec<(String, Reply)> {
    all.iter().flat_map(|(path, name)| exchanges(server, path, name, working_links)).collect()
}

#[tokio::test]
async fn every_exchange_gives_the_same_outcome_over_rest_and_grpc() {
    with_local_and_remote_core_and_settings(configure_tasks, async |server| {
        for (n, exchanges, working_links, expected) in table() {
            let case = format!("{exchanges:?}, {working_links} working links,");
            PROVIDER.assert_outcome(server, n, &case, || replies(server, &exchanges, working_links), &expected).await;
        }
    })
    .await;
}

#[tokio::test]
async fn each_model_gets_its_own_endpoint_and_parameters() {
    let prompt = json!({"prompt": "a boat", "negative_prompt": "fog"});
    let messages = json!({"messages": [{"role": "user", "content": [{"text": "a boat"}]}]});
    let rows: [(&str, &str, &Value, Value); 5] = [
        ("wan2.5-t2i-preview", TEXT_TO_IMAGE, &prompt, json!({"size": "1792x1024", "n": 1, "watermark": false})),
        ("wan2.2-t2i-flash", TEXT_TO_IMAGE, &prompt, json!({"size": "1440x823", "n": 1, "watermark": false})),
        ("wanx-v1", TEXT_TO_IMAGE, &prompt, json!({"size": "1280x720", "n": 1})),
        ("qwen-image", TEXT_TO_IMAGE, &prompt, json!({"size": "1664x928", "watermark": false})),
        (
            "wan2.6-t2i",
            IMAGE_GENERATION,
            &messages,
            json!({"size": "1792x1024", "n": 1, "watermark": false, "negative_prompt": "fog"}),
        ),
    ];
    with_local_and_remote_core_and_settings(configure_tasks, async |server| {
        for (model, path, input, parameters) in &rows {
            let responses = [(*path, "task-submitted.json"), (POLL, "task-succeeded.json")];
            let paths = enqueue_all(server, replies(server, &responses, 1));
            let body = json!({"model": model, "prompt": "a boat", "size": "1792x1024", "seed": 7,
                              "negative_prompt": "fog", "response_format": "b64_json"});
            let picture = decoded(&json_body(server.post(GENERATIONS, &body).await).await["data"][0]);
            assert_eq!(size(&picture), (1792, 1024));
            let received = server.upstream.received().await;
            assert_eq!((received.path.as_str(), received.header("x-dashscope-async")), (*path, Some("enable")));
            let mut parameters = parameters.clone();
            parameters["size"] = parameters["size"].as_str().unwrap().replace('x', "*").into();
            parameters["seed"] = 7.into();
            assert_eq!(received.json(), json!({"model": model, "input": input, "parameters": parameters}));
            let poll = server.upstream.received().await;
            assert_eq!(
                (poll.head.starts_with("get "), poll.header("authorization")),
                (true, Some("bearer dash-secret"))
            );
            assert_requests(server, paths[2..].to_vec()).await;
        }
    })
    .await;
}

#[tokio::test]
async fn edit_task_sends_its_images_beside_the_prompt() {
    with_local_and_remote_core_and_settings(configure_tasks, async |server| {
        let paths = enqueue_all(
            server,
            replies(server, &[(IMAGE_TO_IMAGE, "task-submitted.json"), (POLL, "task-succeeded.json")], 1),
        );
        let mut request = generate_request("wan2.5-i2i-preview", 1, "auto");
        let input = pb::media_input::Source::Data(png(16, 8).into());
        request.image.as_mut().unwrap().pictures = vec![pb::MediaInput { source: Some(input) }];
        let response = server.image_client().await.generate_images(request).await.unwrap().into_inner();
        assert_eq!(size(&response.pictures[0].data), (512, 320), "the size of the model's image");
        let received = server.upstream.received().await.json();
        let encoded = received["input"]["images"][0].as_str().unwrap().strip_prefix("data:image/png;base64,").unwrap();
        assert_eq!(decoded(&json!({"b64_json": encoded})), png(16, 8));
        assert_requests(server, paths[1..].to_vec()).await;
    })
    .await;
}

#[tokio::test]
async fn timeout_or_client_disconnect_cancels_the_task() {
    let adjust = |settings: &mut Settings, gateway: &mut _| {
        configure_tasks(settings, gateway);
        // Long enough for one poll on a busy machine, too short for a second one on any machine.
        settings.image.first_byte_timeout = Duration::from_secs(2);
        settings.image.dashscope.poll_interval = Duration::from_millis(1100);
    };
    with_local_and_remote_core_and_settings(adjust, async |server| {
        PROVIDER.assert_failure(server, Reply::new(200, "{").abort(), 502, "upstream_unavailable").await;
        PROVIDER.assert_failure(server, Reply::no_response(), 504, "upstream_timeout").await;
        let late = [ACCEPTED, (POLL, "task-pending.json"), (CANCEL, "task-cancel-accepted.json")];
        PROVIDER.assert_failure_after(server, &replies(server, &late, 0), 504, "upstream_timeout").await;
    })
    .await;

    with_local_and_remote_core_and_settings(configure_tasks, async |server| {
        let first = [ACCEPTED, (CANCEL, "task-cancel-accepted.json")];
        let paths = enqueue_all(server, replies(server, &first, 0));
        server.upstream.enqueue_at(POLL, fixtures().reply(server, "task-pending.json").stall());
        let call = spawn_request(server, &json!({"model": PROVIDER.model, "prompt": "x"}));
        assert_requests(server, vec![paths[0].clone(), POLL.to_owned()]).await;
        call.abort();
        assert_eq!(server.upstream.received().await.path, CANCEL);
    })
    .await;
}
