//! A Midjourney proxy behind both doors, in all its dialects: what it answers, what it is asked, and how it fails.

use std::{collections::BTreeSet, time::Duration};

use core_service::config::{ImageServiceType, MidjourneySingles, Settings};
use futures_util::TryStreamExt;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use serde_json::{Value, json};
use tonic::Code;
use triptych_proto::v1::{self as pb, stream_images_response::Event};

use super::{
    decoded,
    outcome::{self, Fixtures, GENERATIONS, Outcome, Played, ask, fails, hanging, json_of, makes, over_rest, play},
    size,
};
use crate::{
    harness::{Events, World, data, error_of, over_both_hops_with},
    upstream::Reply,
};

const IMAGINE: &str = "/mj/submit/imagine";
const ACTION: &str = "/mj/submit/action";
const CHANGE: &str = "/mj/submit/change";
const MODAL: &str = "/mj/submit/modal";
const LOOK: &str = "/mj/task/1795350123456789/fetch";
const CANCEL: &str = "/mj/task/1795350123456789/cancel";
const CHILD: &str = "/mj/task/1795350123456790/fetch";
const GRID: &str = "/files/grid.png";
const SINGLE: &str = "/files/single-0.png";
const PLAYED: Played = Played { model: "midjourney", path: IMAGINE, key: "mj-secret" };

/// A request that the upstream expects, and the file it answers with.
type Turn = (&'static str, &'static str);

/// How many pictures are asked for, what the proxy does, and what becomes of it.
#[rustfmt::skip]
fn table() -> Vec<(u32, Vec<Turn>, Outcome)> {
    let revised = Outcome { revised: "a boat on a lake --ar 8:5".to_owned(), ..makes(1, 0) };
    let fine = [(IMAGINE, "taken.json"), (LOOK, "grid.json")];
    let upscale = [(ACTION, "child-taken.json"), (CHILD, "child.json"), (SINGLE, "single.png")];
    let then = |first: &[Turn], more: &[Turn]| [first, more].concat();
    let refused = |name: &'static str, error: &str| (1, vec![(IMAGINE, name)], fails(error));
    let ended = |name: &'static str, error: &str| (1, vec![(IMAGINE, "taken.json"), (LOOK, name)], fails(error));
    let cut = [(GRID, "grid.png")];
    vec![
        // trueai: a button for each picture.
        (1, then(&fine, &upscale), makes(1, 0)),
        (2, [&fine[..], &upscale, &upscale].concat(), makes(2, 0)),
        (1, then(&[(IMAGINE, "queued.json"), (LOOK, "nothing.json"), (LOOK, "waiting.json"), (LOOK, "running.json"),
                   (LOOK, "strange-state.json"), (LOOK, "grid.json")], &upscale), makes(1, 0)),
        (1, then(&[(IMAGINE, "taken.json"), (LOOK, "grid-rewritten.json")], &upscale), revised.clone()),
        // Where the proxy put the pictures that came with the request is nobody's business.
        (1, then(&[(IMAGINE, "taken.json"), (LOOK, "grid-of-pictures.json")], &upscale), revised),
        (1, then(&[(IMAGINE, "taken.json"), (LOOK, "grid-without-final-prompt.json")], &upscale), makes(1, 0)),
        // A dialogue is confirmed, once.
        (1, then(&[(IMAGINE, "there-already.json"), (LOOK, "modal.json"), (MODAL, "taken.json"), (LOOK, "modal.json"),
                   (LOOK, "grid.json")], &upscale), makes(1, 0)),
        // novicezk: a change for each picture.
        (1, vec![(IMAGINE, "taken.json"), (LOOK, "grid-without-buttons.json"), (CHANGE, "child-taken.json"), (CHILD, "child.json"),
                 (SINGLE, "single.png")], makes(1, 0)),
        // Partner accounts and relays: the singles are there.
        (1, vec![(IMAGINE, "taken.json"), (LOOK, "singles.json"), (SINGLE, "single.png")], makes(1, 0)),
        (1, vec![(IMAGINE, "taken.json"), (LOOK, "singles-of-objects.json"), (SINGLE, "single.png")], makes(1, 0)),
        // A single that does not come is cut from the grid, which is paid for.
        (1, [&fine[..], &[(ACTION, "failed.json")], &cut].concat(), makes(1, 0)),
        (1, [&fine[..], &[(ACTION, "child-taken.json"), (CHILD, "child-failed.json")], &cut].concat(), makes(1, 0)),
        (1, [&fine[..], &[(ACTION, "child-taken.json"), (CHILD, "moderated-child.json")]].concat(), fails("content_policy_violation")),
        (1, [&fine[..], &[(ACTION, "failed.json"), (GRID, "page.json")]].concat(), fails("upstream_unavailable")),
        (1, vec![(IMAGINE, "taken.json"), (LOOK, "singles.json"), (SINGLE, "page.json"), (GRID, "page.json")], fails("upstream_unreadable")),
        (1, vec![(IMAGINE, "taken.json"), (LOOK, "without-picture.json"), (CHANGE, "failed.json")], fails("upstream_unavailable")),
        // A full queue is waited for, a while.
        (1, [&[(IMAGINE, "full.json"), (IMAGINE, "full-in-words.json"), (IMAGINE, "relay-saturated.429.json")], &fine[..], &upscale].concat(), makes(1, 0)),
        (1, vec![(IMAGINE, "full.json"); 5], fails("rate_limit_exceeded")),
        refused("banned.json", "content_policy_violation"),
        refused("invalid.json", "upstream_refused"),
        refused("failed.json", "upstream_unavailable"),
        refused("no-account.404.json", "upstream_unavailable"),
        refused("no-account-in-chinese.json", "upstream_unavailable"),
        refused("wrong-secret.401.txt", "provider_credentials"),
        refused("unread.400.json", "upstream_refused"),
        refused("strange-code.json", "upstream_unavailable"),
        refused("nameless.json", "upstream_unreadable"),
        refused("relay-poor.400.json", "provider_credentials"),
        refused("relay-key.401.json", "provider_credentials"),
        refused("forbidden.403.txt", "provider_credentials"),
        refused("page.502.html", "upstream_unavailable"),
        refused("page.json", "upstream_unreadable"),
        ended("moderated.json", "content_policy_violation"),
        ended("no-subscription.json", "provider_credentials"),
        ended("overdue.json", "upstream_timeout"),
        ended("wrong-parameter.json", "upstream_refused"),
        ended("busy.json", "rate_limit_exceeded"),
        ended("lost-message.json", "upstream_unavailable"),
        ended("cancelled.json", "upstream_unavailable"),
        // A task may be forgotten for a moment, but not for good.
        (1, [&[(IMAGINE, "taken.json")], &[(LOOK, "relay-lost.400.json"); 6][..], &[(CANCEL, "cancel-taken.json")]].concat(), fails("upstream_unavailable")),
        (1, [&[(IMAGINE, "taken.json"), (LOOK, "page.502.html")], &fine[1..], &upscale].concat(), makes(1, 0)),
    ]
}

/// Answers that have a test of their own, and what is none.
const ELSEWHERE: [&str; 2] = ["README.md", "further.json"];

/// Answers that are painted here.
const PAINTED: [&str; 2] = ["grid.png", "single.png"];

/// The four colours of a grid, and its pictures' size.
const COLOURS: [[u8; 3]; 4] = [[200, 0, 0], [0, 200, 0], [0, 0, 200], [200, 200, 0]];
const WIDTH: u32 = 320;
const HEIGHT: u32 = 200;

fn png(picture: RgbImage) -> Vec<u8> {
    let mut out = std::io::Cursor::new(Vec::new());
    DynamicImage::from(picture).write_to(&mut out, ImageFormat::Png).unwrap();
    out.into_inner()
}

fn grid() -> Vec<u8> {
    let place = |x: u32, y: u32| usize::from(x >= WIDTH) + 2 * usize::from(y >= HEIGHT);
    png(RgbImage::from_fn(2 * WIDTH, 2 * HEIGHT, |x, y| Rgb(COLOURS[place(x, y)])))
}

/// The colour of a picture of one colour.
fn colour(picture: &[u8]) -> [u8; 3] {
    let picture = image::load_from_memory(picture).unwrap().into_rgb8();
    assert_eq!(picture.dimensions(), (WIDTH, HEIGHT));
    let first = picture.get_pixel(0, 0).0;
    assert!(picture.pixels().all(|pixel| pixel.0 == first), "parts of several pictures");
    first
}

fn reply(world: &World, name: &str) -> Reply {
    match name {
        "grid.png" => Reply::file("image/png", &grid()),
        "single.png" => Reply::file("image/png", &png(RgbImage::new(640, 400))),
        name => Fixtures::of("midjourney").reply(world, name),
    }
}

fn ready(world: &World, turns: &[Turn]) -> Vec<(String, Reply)> {
    turns.iter().map(|(path, name)| ((*path).to_owned(), reply(world, name))).collect()
}

fn will(world: &World, turns: &[Turn]) {
    play(world, ready(world, turns));
}

/// That exactly these were asked for, in whatever order.
async fn saw(world: &World, turns: &[Turn]) {
    outcome::saw(world, turns.iter().map(|(path, _)| (*path).to_owned()).collect()).await;
}

fn connected(settings: &mut Settings, _: &mut rest_gateway::Settings) {
    settings.image.service_type = ImageServiceType::Midjourney;
    let mut base = settings.chat.base_url.clone().unwrap();
    base.set_path("/mj");
    settings.image.midjourney.base_url = Some(base);
    settings.image.midjourney.api_secret = Some(PLAYED.key.into());
    settings.image.midjourney.poll_interval = Duration::from_millis(2);
}

async fn over_both_hops(test: impl AsyncFn(&World)) {
    over_both_hops_with(connected, test).await;
}

/// The same where single pictures are cut from the grid.
async fn cutting(test: impl AsyncFn(&World)) {
    let adjust = |settings: &mut Settings, gateway: &mut _| {
        connected(settings, gateway);
        settings.image.midjourney.singles = MidjourneySingles::Cut;
        "--v 7".clone_into(&mut settings.image.midjourney.parameters);
    };
    over_both_hops_with(adjust, test).await;
}

#[tokio::test]
async fn every_turn_becomes_the_same_at_both_doors() {
    over_both_hops(async |world| {
        for (n, turns, expected) in table() {
            PLAYED.at_both_doors(world, n, &format!("{turns:?}"), || ready(world, &turns), &expected).await;
        }
    })
    .await;
}

#[test]
fn every_fixture_is_played() {
    let played = table().into_iter().flat_map(|(_, turns, _)| turns).map(|(_, name)| name);
    let played: BTreeSet<_> =
        played.filter(|name| !PAINTED.contains(name)).chain(ELSEWHERE).map(str::to_owned).collect();
    assert_eq!(Fixtures::of("midjourney").names(), played);
}

#[tokio::test]
async fn a_request_becomes_a_prompt_with_parameters_and_hints() {
    over_both_hops(async |world| {
        let turns =
            [(IMAGINE, "taken.json"), (LOOK, "grid.json"), (ACTION, "child-taken.json"), (CHILD, "child.json"), (SINGLE, "single.png")];
        will(world, &turns);
        let mut request = ask("midjourney", 1, "1792x1024");
        let image = request.image.as_mut().unwrap();
        let input = |bytes: Vec<u8>| pb::MediaInput { source: Some(pb::media_input::Source::Data(bytes.into())) };
        image.pictures = vec![input(png(RgbImage::new(8, 8)))];
        (image.seed, image.user) = (Some(7), "u-1".to_owned());
        image.extra_json = r#"{"botType":"NIJI_JOURNEY"}"#.to_owned();
        let made = world.image_client().await.generate_images(request.clone()).await.unwrap().into_inner();
        assert_eq!(size(&made.pictures[0].data), (1792, 1024));
        let seen = world.upstream.saw().await;
        assert_eq!((seen.path.as_str(), seen.header("mj-api-secret")), (IMAGINE, Some(PLAYED.key)));
        assert!(seen.header("authorization").is_none() && seen.header("x-request-id").is_some(), "{}", seen.head);
        let body = seen.json();
        assert_eq!(body["prompt"], "a boat --ar 7:4 --seed 7");
        assert_eq!((&body["state"], &body["botType"]), (&json!("u-1"), &json!("NIJI_JOURNEY")));
        let hint = body["base64Array"][0].as_str().unwrap().strip_prefix("data:image/png;base64,").unwrap();
        assert_eq!(decoded(&json!({"b64_json": hint})), png(RgbImage::new(8, 8)));
        world.upstream.saw().await;
        let action = world.upstream.saw().await.json();
        let expected = json!({"taskId": "1795350123456789", "customId": "MJ::JOB::upsample::1::5f0c7d2e-11aa-4f9b-9d3e-0a1b2c3d4e5f"});
        assert_eq!(action, expected);
        saw(world, &turns[3..]).await;

        request.image.as_mut().unwrap().mask = Some(input(png(RgbImage::new(8, 8))));
        let status = world.image_client().await.generate_images(request).await.unwrap_err();
        assert_eq!(status.code(), Code::Unimplemented, "{status:?}");
        let clear = json!({"model": "midjourney", "prompt": "x", "background": "transparent"});
        let (status, error) = error_of(world.post(GENERATIONS, &clear).await).await;
        assert_eq!((status.as_u16(), &error["param"]), (400, &json!("background")));
        let hooked = json!({"model": "midjourney", "prompt": "x", "notifyHook": "http://169.254.169.254/"});
        let (status, error) = error_of(world.post(GENERATIONS, &hooked).await).await;
        assert_eq!((status.as_u16(), &error["param"]), (400, &json!("notifyHook")));
    })
    .await;
}

#[tokio::test]
async fn five_pictures_are_two_grids_taken_apart_here() {
    cutting(async |world| {
        let turns = [(IMAGINE, "taken.json"), (LOOK, "grid.json"), (GRID, "grid.png")];
        let both = [turns, turns].concat();
        will(world, &both);
        let body = json!({"prompt": "a boat", "n": 5, "size": "320x200", "response_format": "b64_json"});
        let made = json_of(world.post(GENERATIONS, &body).await).await;
        let colours: Vec<_> = made["data"].as_array().unwrap().iter().map(|item| colour(&decoded(item))).collect();
        assert_eq!(colours, [&COLOURS[..], &COLOURS[..1]].concat());
        let mut prompts = 0;
        for _ in &both {
            let seen = world.upstream.saw().await;
            if seen.path == IMAGINE {
                assert_eq!(seen.json()["prompt"], "a boat --ar 8:5 --v 7");
                prompts += 1;
            }
        }
        assert_eq!(prompts, 2);
    })
    .await;
}

#[tokio::test]
async fn a_single_behind_a_dead_link_is_cut_from_the_grid_that_is_paid_for() {
    cutting(async |world| {
        let turns = [(IMAGINE, "taken.json"), (LOOK, "singles.json"), (SINGLE, "page.json"), (GRID, "grid.png")];
        let made = || ready(world, &turns);
        // What the operator adds to each prompt is not what the fixture's bot was given.
        let cut = Outcome { revised: "a boat --ar 8:5".to_owned(), ..makes(1, 0) };
        PLAYED.at_both_doors(world, 1, "a dead link", made, &cut).await;
        let turns = [(IMAGINE, "taken.json"), (LOOK, "grid.json"), (GRID, "page.json")];
        let failed = || ready(world, &turns);
        PLAYED.at_both_doors(world, 1, "a dead grid", failed, &fails("upstream_unreadable")).await;
    })
    .await;
}

fn event(text: &str) -> Value {
    data(text.split_once('\n').unwrap().1)
}

#[tokio::test]
async fn pictures_of_the_progress_are_previews_of_each_picture() {
    cutting(async |world| {
        let turns = [
            (IMAGINE, "taken.json"),
            (LOOK, "waiting.json"),
            (LOOK, "running.json"),
            ("/files/preview-1.png", "grid.png"),
            // The same link again is the same picture.
            (LOOK, "running.json"),
            (LOOK, "further.json"),
            ("/files/preview-2.png", "grid.png"),
            (LOOK, "grid.json"),
            (GRID, "grid.png"),
        ];
        will(world, &turns);
        let body = json!({"prompt": "x", "n": 2, "size": "320x200", "stream": true, "partial_images": 3});
        let events = Events::of(world.post(GENERATIONS, &body).await).rest().await;
        let told: Vec<_> = events.iter().map(|text| event(text)).collect();
        let index = |event: &Value| usize::try_from(event["image_index"].as_u64().unwrap()).unwrap();
        let previews: Vec<_> = told.iter().filter(|event| event["type"] == "image_generation.partial_image").collect();
        let order: Vec<_> =
            previews.iter().map(|event| (index(event), event["partial_image_index"].as_u64().unwrap())).collect();
        assert_eq!(order, [(0, 0), (1, 0), (0, 1), (1, 1)]);
        assert_eq!(told.len(), 6);
        assert!(told.iter().all(|event| colour(&decoded(event)) == COLOURS[index(event)]));
        saw(world, &turns).await;

        // No more than were asked for, and one that does not come does no harm.
        let turns = [
            (IMAGINE, "taken.json"),
            (LOOK, "running.json"),
            ("/files/preview-1.png", "page.json"),
            (LOOK, "further.json"),
            ("/files/preview-2.png", "grid.png"),
            (LOOK, "running.json"),
            (LOOK, "grid.json"),
            (GRID, "grid.png"),
        ];
        will(world, &turns);
        let image = ask("midjourney", 1, "320x200").image;
        let request = pb::StreamImagesRequest { image, partial_images: 1, ..pb::StreamImagesRequest::default() };
        let events = world.image_client().await.stream_images(request).await.unwrap().into_inner();
        let events: Vec<_> = events.map_ok(|event| event.event.unwrap()).try_collect().await.unwrap();
        assert!(matches!(&events[..], [Event::Preview(_), Event::Finished(_)]), "{} events", events.len());
        saw(world, &turns).await;
    })
    .await;
}

#[tokio::test]
async fn one_of_several_pictures_may_fail_alone() {
    over_both_hops(async |world| {
        let turns = [
            (IMAGINE, "taken.json"),
            (LOOK, "grid.json"),
            (ACTION, "child-taken.json"),
            (ACTION, "banned.json"),
            (CHILD, "child.json"),
            (SINGLE, "single.png"),
        ];
        will(world, &turns);
        let outcome = over_rest(world, PLAYED.model, 2, PLAYED.key).await;
        let failures = vec!["content_policy_violation".to_owned()];
        assert_eq!(outcome, Outcome { failures, ..makes(1, 0) });
        saw(world, &turns).await;
    })
    .await;
}

#[tokio::test]
async fn a_proxy_that_vanishes_or_dawdles_is_told_as_such_and_its_task_is_cancelled() {
    let adjust = |settings: &mut Settings, gateway: &mut _| {
        connected(settings, gateway);
        // Long enough for one look on a busy machine, too short for a second one anywhere.
        settings.image.first_byte_timeout = Duration::from_secs(2);
        settings.image.midjourney.poll_interval = Duration::from_millis(1100);
    };
    over_both_hops_with(adjust, async |world| {
        PLAYED.fails(world, Reply::new(200, "{").cut(), 502, "upstream_unavailable").await;
        PLAYED.fails(world, Reply::silence(), 504, "upstream_timeout").await;
        let late = [(IMAGINE, "taken.json"), (LOOK, "running.json"), (CANCEL, "cancel-taken.json")];
        PLAYED.fails_in_turns(world, &ready(world, &late), 504, "upstream_timeout").await;
    })
    .await;
}

#[tokio::test]
async fn a_full_queue_tells_when_to_come_back() {
    over_both_hops(async |world| {
        let full = reply(world, "full.json");
        PLAYED.paces(world, &vec![full; 5], 1).await;
    })
    .await;
}

#[tokio::test]
async fn hanging_up_cancels_the_task() {
    over_both_hops(async |world| {
        world.upstream.will_at(IMAGINE, reply(world, "taken.json"));
        world.upstream.will_at(LOOK, reply(world, "running.json").stall());
        will(world, &[(CANCEL, "cancel-taken.json")]);
        let calling = hanging(world, &json!({"prompt": "x"}));
        for path in [IMAGINE, LOOK] {
            assert_eq!(world.upstream.saw().await.path, path);
        }
        calling.abort();
        assert_eq!(world.upstream.saw().await.path, CANCEL);
    })
    .await;
}
