//! The image provider `midjourney`. Midjourney has no public API, so the upstream is one of several proxies in front of it: the projects
//! midjourney-proxy of novicezk and of trueai-org, and relays that resell them. The tests have requests in all their dialects, their
//! responses over REST and gRPC, and failures.
//!
//! A task renders a grid of four images. A single image comes from a further task (`action` or `change`, a child of the first
//! one), from the first task itself, or is cut from the grid.

use std::{collections::BTreeSet, time::Duration};

use core_service::config::{ImageServiceType, MidjourneySingles, Settings};
use futures_util::TryStreamExt;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use serde_json::{Value, json};
use tonic::Code;
use triptych_proto::v1::{self as pb, stream_images_response::Event};

use super::{
    decoded,
    provider_case::{
        self, Fixtures, GENERATIONS, Outcome, ProviderCase, enqueue_all, fails, generate_request, json_body, over_rest,
        spawn_request, succeeds,
    },
    size,
};
use crate::{
    fake_upstream::Reply,
    rest_response::{Events, error_body, event_data},
    test_server::{TestServer, with_local_and_remote_core_and_settings},
};

const IMAGINE: &str = "/mj/submit/imagine";
const ACTION: &str = "/mj/submit/action";
const CHANGE: &str = "/mj/submit/change";
/// Confirms a dialogue that Midjourney shows before some renders.
const MODAL: &str = "/mj/submit/modal";
const POLL: &str = "/mj/task/1795350123456789/fetch";
const CANCEL: &str = "/mj/task/1795350123456789/cancel";
/// Polls for the task that makes a single image.
const CHILD: &str = "/mj/task/1795350123456790/fetch";
/// The links in the fixtures.
const GRID: &str = "/files/grid.png";
const SINGLE: &str = "/files/single-0.png";
const PROVIDER: ProviderCase = ProviderCase { model: "midjourney", path: IMAGINE, key: "mj-secret" };

/// The path of a request to the upstream, and the fixture it responds with.
type Exchange = (&'static str, &'static str);

/// The number of requested images, the exchanges with the proxy, and the outcome.
#[rustfmt::skip]
fn table() -> Vec<(u32, Vec<Exchange>, Outcome)> {
    let revised = Outcome { revised: "a boat on a lake --ar 8:5".to_owned(), ..succeeds(1) };
    let grid_ready = [(IMAGINE, "submitted.json"), (POLL, "grid.json")];
    let upscale = [(ACTION, "child-submitted.json"), (CHILD, "child.json"), (SINGLE, "single.png")];
    let concat = |first: &[Exchange], more: &[Exchange]| [first, more].concat();
    let submit_fails = |name: &'static str, error: &str| (1, vec![(IMAGINE, name)], fails(error));
    let task_fails = |name: &'static str, error: &str| (1, vec![(IMAGINE, "submitted.json"), (POLL, name)], fails(error));
    let download_grid = [(GRID, "grid.png")];
    vec![
        // trueai's proxy: a button for each image of the grid.
        (1, concat(&grid_ready, &upscale), succeeds(1)),
        (2, [&grid_ready[..], &upscale, &upscale].concat(), succeeds(2)),
        (1, concat(&[(IMAGINE, "queued.json"), (POLL, "empty-body.json"), (POLL, "waiting.json"), (POLL, "running.json"),
                   (POLL, "unknown-status.json"), (POLL, "grid.json")], &upscale), succeeds(1)),
        (1, concat(&[(IMAGINE, "submitted.json"), (POLL, "grid-rewritten.json")], &upscale), revised.clone()),
        // The revised prompt must not contain the URLs at which the proxy stored the input images.
        (1, concat(&[(IMAGINE, "submitted.json"), (POLL, "grid-with-input-images.json")], &upscale), revised),
        (1, concat(&[(IMAGINE, "submitted.json"), (POLL, "grid-without-final-prompt.json")], &upscale), succeeds(1)),
        // A modal dialogue is confirmed once.
        (1, concat(&[(IMAGINE, "already-exists.json"), (POLL, "modal.json"), (MODAL, "submitted.json"), (POLL, "modal.json"),
                   (POLL, "grid.json")], &upscale), succeeds(1)),
        // novicezk's proxy: a `change` request for each image of the grid.
        (1, vec![(IMAGINE, "submitted.json"), (POLL, "grid-without-buttons.json"), (CHANGE, "child-submitted.json"), (CHILD, "child.json"),
                 (SINGLE, "single.png")], succeeds(1)),
        // Partner accounts and relays: the task has the single images already.
        (1, vec![(IMAGINE, "submitted.json"), (POLL, "singles.json"), (SINGLE, "single.png")], succeeds(1)),
        (1, vec![(IMAGINE, "submitted.json"), (POLL, "singles-of-objects.json"), (SINGLE, "single.png")], succeeds(1)),
        // The grid has been billed, so a single image whose task fails is cut from it.
        (1, [&grid_ready[..], &[(ACTION, "failed.json")], &download_grid].concat(), succeeds(1)),
        (1, [&grid_ready[..], &[(ACTION, "child-submitted.json"), (CHILD, "child-failed.json")], &download_grid].concat(), succeeds(1)),
        (1, [&grid_ready[..], &[(ACTION, "child-submitted.json"), (CHILD, "moderated-child.json")]].concat(), fails("content_policy_violation")),
        (1, [&grid_ready[..], &[(ACTION, "failed.json"), (GRID, "html-page.json")]].concat(), fails("upstream_unavailable")),
        (1, vec![(IMAGINE, "submitted.json"), (POLL, "singles.json"), (SINGLE, "html-page.json"), (GRID, "html-page.json")], fails("upstream_unreadable")),
        (1, vec![(IMAGINE, "submitted.json"), (POLL, "without-image.json"), (CHANGE, "failed.json")], fails("upstream_unavailable")),
        // A submission to a full queue is retried a few times.
        (1, [&[(IMAGINE, "queue-full.json"), (IMAGINE, "queue-full-in-text.json"), (IMAGINE, "relay-saturated.429.json")], &grid_ready[..], &upscale].concat(), succeeds(1)),
        submit_fails("banned.json", "content_policy_violation"),
        submit_fails("invalid.json", "upstream_refused"),
        submit_fails("failed.json", "upstream_unavailable"),
        submit_fails("no-account.404.json", "upstream_unavailable"),
        submit_fails("no-account-chinese.json", "upstream_unavailable"),
        submit_fails("wrong-secret.401.txt", "provider_credentials"),
        submit_fails("malformed.400.json", "upstream_refused"),
        submit_fails("unknown-code.json", "upstream_unavailable"),
        submit_fails("without-id.json", "upstream_unreadable"),
        submit_fails("relay-no-quota.400.json", "provider_credentials"),
        submit_fails("relay-invalid-key.401.json", "provider_credentials"),
        submit_fails("forbidden.403.txt", "provider_credentials"),
        submit_fails("html-page.502.html", "upstream_unavailable"),
        submit_fails("html-page.json", "upstream_unreadable"),
        task_fails("moderated.json", "content_policy_violation"),
        task_fails("no-subscription.json", "provider_credentials"),
        task_fails("overdue.json", "upstream_timeout"),
        task_fails("wrong-parameter.json", "upstream_refused"),
        task_fails("busy.json", "rate_limit_exceeded"),
        task_fails("lost-message.json", "upstream_unavailable"),
        task_fails("cancelled.json", "upstream_unavailable"),
        // A task that is unknown to the proxy is polled until six polls in a row have not found it.
        (1, [&[(IMAGINE, "submitted.json")], &[(POLL, "relay-unknown-task.400.json"); 6][..], &[(CANCEL, "cancel-accepted.json")]].concat(), fails("upstream_unavailable")),
        (1, [&[(IMAGINE, "submitted.json"), (POLL, "html-page.502.html")], &grid_ready[1..], &upscale].concat(), succeeds(1)),
    ]
}

/// Files that have a test of their own, or are no fixture.
const OTHER_FIXTURES: [&str; 2] = ["README.md", "running-62-percent.json"];

/// Images that the test generates.
const GENERATED: [&str; 2] = ["grid.png", "single.png"];

/// The colours of the grid's four images, and their size.
const COLOURS: [[u8; 3]; 4] = [[200, 0, 0], [0, 200, 0], [0, 0, 200], [200, 200, 0]];
const WIDTH: u32 = 320;
const HEIGHT: u32 = 200;

fn png(picture: RgbImage) -> Vec<u8> {
    let mut out = std::io::Cursor::new(Vec::new());
    DynamicImage::from(picture).write_to(&mut out, ImageFormat::Png).unwrap();
    out.into_inner()
}

/// Returns a grid of four images of one colour each.
fn grid() -> Vec<u8> {
    let place = |x: u32, y: u32| usize::from(x >= WIDTH) + 2 * usize::from(y >= HEIGHT);
    png(RgbImage::from_fn(2 * WIDTH, 2 * HEIGHT, |x, y| Rgb(COLOURS[place(x, y)])))
}

/// Returns the colour of an image of one colour.
fn colour(picture: &[u8]) -> [u8; 3] {
    let picture = image::load_from_memory(picture).unwrap().into_rgb8();
    assert_eq!(picture.dimensions(), (WIDTH, HEIGHT));
    let first = picture.get_pixel(0, 0).0;
    assert!(picture.pixels().all(|pixel| pixel.0 == first), "the image has parts of several images");
    first
}

fn reply(server: &TestServer, name: &str) -> Reply {
    match name {
        "grid.png" => Reply::file("image/png", &grid()),
        "single.png" => Reply::file("image/png", &png(RgbImage::new(640, 400))),
        name => Fixtures::new("midjourney").reply(server, name),
    }
}

fn replies(server: &TestServer, exchanges: &[Exchange]) -> Vec<(String, Reply)> {
    exchanges.iter().map(|(path, name)| ((*path).to_owned(), reply(server, name))).collect()
}

fn enqueue(server: &TestServer, exchanges: &[Exchange]) {
    enqueue_all(server, replies(server, exchanges));
}

/// Asserts that the upstream received exactly these requests, in any order.
async fn assert_requests(server: &TestServer, exchanges: &[Exchange]) {
    provider_case::assert_requests(server, exchanges.iter().map(|(path, _)| (*path).to_owned()).collect()).await;
}

fn configure(settings: &mut Settings, _: &mut rest_gateway::Settings) {
    settings.image.service_type = ImageServiceType::Midjourney;
    let mut base = settings.chat.base_url.clone().unwrap();
    base.set_path("/mj");
    settings.image.midjourney.base_url = Some(base);
    settings.image.midjourney.api_secret = Some(PROVIDER.key.into());
    settings.image.midjourney.poll_interval = Duration::from_millis(2);
}

async fn with_local_and_remote_core(test: impl AsyncFn(&TestServer)) {
    with_local_and_remote_core_and_settings(configure, test).await;
}

/// Runs a test with single images cut from the grid.
async fn with_local_and_remote_core_and_cut_singles(test: impl AsyncFn(&TestServer)) {
    let adjust = |settings: &mut Settings, gateway: &mut _| {
        configure(settings, gateway);
        settings.image.midjourney.singles = MidjourneySingles::Cut;
        "--v 7".clone_into(&mut settings.image.midjourney.parameters);
    };
    with_local_and_remote_core_and_settings(adjust, test).await;
}

#[tokio::test]
async fn every_exchange_gives_the_same_outcome_over_rest_and_grpc() {
    with_local_and_remote_core(async |server| {
        for (n, exchanges, expected) in table() {
            PROVIDER
                .assert_outcome(server, n, &format!("{exchanges:?}"), || replies(server, &exchanges), &expected)
                .await;
        }
    })
    .await;
}

#[test]
fn every_fixture_is_tested() {
    let tested = table().into_iter().flat_map(|(_, exchanges, _)| exchanges).map(|(_, name)| name);
    let tested: BTreeSet<_> =
        tested.filter(|name| !GENERATED.contains(name)).chain(OTHER_FIXTURES).map(str::to_owned).collect();
    assert_eq!(Fixtures::new("midjourney").names(), tested);
}

#[tokio::test]
async fn request_is_mapped_to_a_prompt_with_parameters_and_image_hints() {
    with_local_and_remote_core(async |server| {
        let exchanges =
            [(IMAGINE, "submitted.json"), (POLL, "grid.json"), (ACTION, "child-submitted.json"), (CHILD, "child.json"), (SINGLE, "single.png")];
        enqueue(server, &exchanges);
        let mut request = generate_request("midjourney", 1, "1792x1024");
        let image = request.image.as_mut().unwrap();
        let input = |bytes: Vec<u8>| pb::MediaInput { source: Some(pb::media_input::Source::Data(bytes.into())) };
        image.pictures = vec![input(png(RgbImage::new(8, 8)))];
        (image.seed, image.user) = (Some(7), "u-1".to_owned());
        image.extra_json = r#"{"botType":"NIJI_JOURNEY"}"#.to_owned();
        let response = server.image_client().await.generate_images(request.clone()).await.unwrap().into_inner();
        assert_eq!(size(&response.pictures[0].data), (1792, 1024));
        let received = server.upstream.received().await;
        assert_eq!((received.path.as_str(), received.header("mj-api-secret")), (IMAGINE, Some(PROVIDER.key)));
        assert!(received.header("authorization").is_none() && received.header("x-request-id").is_some(), "{}", received.head);
        let body = received.json();
        assert_eq!(body["prompt"], "a boat --ar 7:4 --seed 7");
        assert_eq!((&body["state"], &body["botType"]), (&json!("u-1"), &json!("NIJI_JOURNEY")));
        let hint = body["base64Array"][0].as_str().unwrap().strip_prefix("data:image/png;base64,").unwrap();
        assert_eq!(decoded(&json!({"b64_json": hint})), png(RgbImage::new(8, 8)));
        server.upstream.received().await;
        let action = server.upstream.received().await.json();
        let expected = json!({"taskId": "1795350123456789", "customId": "MJ::JOB::upsample::1::5f0c7d2e-11aa-4f9b-9d3e-0a1b2c3d4e5f"});
        assert_eq!(action, expected);
        assert_requests(server, &exchanges[3..]).await;

        request.image.as_mut().unwrap().mask = Some(input(png(RgbImage::new(8, 8))));
        let status = server.image_client().await.generate_images(request).await.unwrap_err();
        assert_eq!(status.code(), Code::Unimplemented, "{status:?}");
        let clear = json!({"model": "midjourney", "prompt": "x", "background": "transparent"});
        let (status, error) = error_body(server.post(GENERATIONS, &clear).await).await;
        assert_eq!((status.as_u16(), &error["param"]), (400, &json!("background")));
        let hooked = json!({"model": "midjourney", "prompt": "x", "notifyHook": "http://169.254.169.254/"});
        let (status, error) = error_body(server.post(GENERATIONS, &hooked).await).await;
        assert_eq!((status.as_u16(), &error["param"]), (400, &json!("notifyHook")));
    })
    .await;
}

#[tokio::test]
async fn five_images_are_cut_from_two_grids() {
    with_local_and_remote_core_and_cut_singles(async |server| {
        let exchanges = [(IMAGINE, "submitted.json"), (POLL, "grid.json"), (GRID, "grid.png")];
        let both = [exchanges, exchanges].concat();
        enqueue(server, &both);
        let body = json!({"prompt": "a boat", "n": 5, "size": "320x200", "response_format": "b64_json"});
        let response_body = json_body(server.post(GENERATIONS, &body).await).await;
        let colours: Vec<_> =
            response_body["data"].as_array().unwrap().iter().map(|item| colour(&decoded(item))).collect();
        assert_eq!(colours, [&COLOURS[..], &COLOURS[..1]].concat());
        let mut prompts = 0;
        for _ in &both {
            let received = server.upstream.received().await;
            if received.path == IMAGINE {
                assert_eq!(received.json()["prompt"], "a boat --ar 8:5 --v 7");
                prompts += 1;
            }
        }
        assert_eq!(prompts, 2);
    })
    .await;
}

#[tokio::test]
async fn single_with_a_dead_link_is_cut_from_the_grid_and_a_dead_grid_fails() {
    with_local_and_remote_core_and_cut_singles(async |server| {
        let exchanges =
            [(IMAGINE, "submitted.json"), (POLL, "singles.json"), (SINGLE, "html-page.json"), (GRID, "grid.png")];
        let dead_link = || replies(server, &exchanges);
        // The configured parameters differ from those in the fixture's final prompt, so the prompt counts as revised.
        let cut = Outcome { revised: "a boat --ar 8:5".to_owned(), ..succeeds(1) };
        PROVIDER.assert_outcome(server, 1, "a dead link", dead_link, &cut).await;
        let exchanges = [(IMAGINE, "submitted.json"), (POLL, "grid.json"), (GRID, "html-page.json")];
        let failed = || replies(server, &exchanges);
        PROVIDER.assert_outcome(server, 1, "a dead grid", failed, &fails("upstream_unreadable")).await;
    })
    .await;
}

/// Returns the data of an event with a name.
fn event(text: &str) -> Value {
    event_data(text.split_once('\n').unwrap().1)
}

#[tokio::test]
async fn progress_images_are_forwarded_as_previews_of_each_image() {
    with_local_and_remote_core_and_cut_singles(async |server| {
        let exchanges = [
            (IMAGINE, "submitted.json"),
            (POLL, "waiting.json"),
            (POLL, "running.json"),
            ("/files/preview-1.png", "grid.png"),
            // A link that was downloaded is not downloaded again.
            (POLL, "running.json"),
            (POLL, "running-62-percent.json"),
            ("/files/preview-2.png", "grid.png"),
            (POLL, "grid.json"),
            (GRID, "grid.png"),
        ];
        enqueue(server, &exchanges);
        let body = json!({"prompt": "x", "n": 2, "size": "320x200", "stream": true, "partial_images": 3});
        let events = Events::new(server.post(GENERATIONS, &body).await).read_all().await;
        let parsed: Vec<_> = events.iter().map(|text| event(text)).collect();
        let index = |event: &Value| usize::try_from(event["image_index"].as_u64().unwrap()).unwrap();
        let previews: Vec<_> =
            parsed.iter().filter(|event| event["type"] == "image_generation.partial_image").collect();
        let order: Vec<_> =
            previews.iter().map(|event| (index(event), event["partial_image_index"].as_u64().unwrap())).collect();
        assert_eq!(order, [(0, 0), (1, 0), (0, 1), (1, 1)]);
        assert_eq!(parsed.len(), 6);
        assert!(parsed.iter().all(|event| colour(&decoded(event)) == COLOURS[index(event)]));
        assert_requests(server, &exchanges).await;

        // No more previews than requested, and a preview that cannot be downloaded is skipped.
        let exchanges = [
            (IMAGINE, "submitted.json"),
            (POLL, "running.json"),
            ("/files/preview-1.png", "html-page.json"),
            (POLL, "running-62-percent.json"),
            ("/files/preview-2.png", "grid.png"),
            (POLL, "running.json"),
            (POLL, "grid.json"),
            (GRID, "grid.png"),
        ];
        enqueue(server, &exchanges);
        let image = generate_request("midjourney", 1, "320x200").image;
        let request = pb::StreamImagesRequest { image, partial_images: 1, ..pb::StreamImagesRequest::default() };
        let events = server.image_client().await.stream_images(request).await.unwrap().into_inner();
        let events: Vec<_> = events.map_ok(|event| event.event.unwrap()).try_collect().await.unwrap();
        assert!(matches!(&events[..], [Event::Preview(_), Event::Finished(_)]), "{} events", events.len());
        assert_requests(server, &exchanges).await;
    })
    .await;
}

#[tokio::test]
async fn one_failed_image_does_not_fail_the_others() {
    with_local_and_remote_core(async |server| {
        let exchanges = [
            (IMAGINE, "submitted.json"),
            (POLL, "grid.json"),
            (ACTION, "child-submitted.json"),
            (ACTION, "banned.json"),
            (CHILD, "child.json"),
            (SINGLE, "single.png"),
        ];
        enqueue(server, &exchanges);
        let outcome = over_rest(server, PROVIDER.model, 2, PROVIDER.key).await;
        let failures = vec!["content_policy_violation".to_owned()];
        assert_eq!(outcome, Outcome { failures, ..succeeds(1) });
        assert_requests(server, &exchanges).await;
    })
    .await;
}

#[tokio::test]
async fn connection_loss_and_timeout_are_reported_and_the_task_cancelled() {
    let adjust = |settings: &mut Settings, gateway: &mut _| {
        configure(settings, gateway);
        // Long enough for one poll on a busy machine, too short for a second one on any machine.
        settings.image.first_byte_timeout = Duration::from_secs(2);
        settings.image.midjourney.poll_interval = Duration::from_millis(1100);
    };
    with_local_and_remote_core_and_settings(adjust, async |server| {
        PROVIDER.assert_failure(server, Reply::new(200, "{").abort(), 502, "upstream_unavailable").await;
        PROVIDER.assert_failure(server, Reply::no_response(), 504, "upstream_timeout").await;
        let late = [(IMAGINE, "submitted.json"), (POLL, "running.json"), (CANCEL, "cancel-accepted.json")];
        PROVIDER.assert_failure_after(server, &replies(server, &late), 504, "upstream_timeout").await;
    })
    .await;
}

#[tokio::test]
async fn full_queue_returns_429_with_retry_after() {
    with_local_and_remote_core(async |server| {
        let full = reply(server, "queue-full.json");
        // For the submission and its four retries.
        PROVIDER.assert_retry_after(server, &vec![full; 5], 1).await;
    })
    .await;
}

#[tokio::test]
async fn client_disconnect_cancels_the_task() {
    with_local_and_remote_core(async |server| {
        server.upstream.enqueue_at(IMAGINE, reply(server, "submitted.json"));
        server.upstream.enqueue_at(POLL, reply(server, "running.json").stall());
        enqueue(server, &[(CANCEL, "cancel-accepted.json")]);
        let call = spawn_request(server, &json!({"prompt": "x"}));
        for path in [IMAGINE, POLL] {
            assert_eq!(server.upstream.received().await.path, path);
        }
        call.abort();
        assert_eq!(server.upstream.received().await.path, CANCEL);
    })
    .await;
}
