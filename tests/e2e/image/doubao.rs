//! Seedream behind both doors: what Ark answers, what it is asked, and how it fails.

use core_service::config::{ImageServiceType, Settings};
use futures_util::TryStreamExt;
use reqwest::Method;
use serde_json::{Value, json};
use tonic::Code;
use triptych_proto::v1::{self as pb, stream_images_response::Event};

use super::{
    decoded,
    outcome::{Fixtures, GENERATIONS, Outcome, Played, ask, fails, json_of, makes, png},
    size,
};
use crate::{
    harness::{Events, World, data, error_of, over_both_hops_with},
    upstream::{Gate, Reply},
};

const MODEL: &str = "doubao-seedream-4-0-250828";
const PATH: &str = "/api/v3/images/generations";
const LINKS: [&str; 2] = [
    "/tos/1.jpeg?X-Tos-Algorithm=TOS4-HMAC-SHA256&X-Tos-Expires=86400&X-Tos-Signature=a%2Fb",
    "/tos/2.jpeg?X-Tos-Algorithm=TOS4-HMAC-SHA256&X-Tos-Expires=86400&X-Tos-Signature=a%2Fb",
];
const PLAYED: Played = Played { model: MODEL, path: PATH, key: "ark-secret" };

/// How many pictures are asked for, the answers, and what becomes of them.
fn table() -> Vec<(u32, &'static [&'static str], Outcome)> {
    let partly = |failure: &str| Outcome { failures: vec![failure.to_owned()], ..makes(1, 4254) };
    vec![
        (1, &["picture.json"], makes(1, 4254)),
        (2, &["picture.json", "picture.json"], makes(2, 8508)),
        (2, &["picture.json", "withheld.json"], Outcome { tokens: 4254, ..partly("content_policy_violation") }),
        (2, &["output.400.json", "picture.json"], partly("content_policy_violation")),
        (2, &["picture.json", "stumbled.json"], partly("upstream_unavailable")),
        (1, &["withheld.json"], fails("content_policy_violation")),
        (1, &["stumbled.json"], fails("upstream_unavailable")),
        (1, &["error-in-success.json"], fails("upstream_unavailable")),
        (1, &["blocked-in-success.json"], fails("content_policy_violation")),
        (1, &["private-link.json"], fails("upstream_unreadable")),
        (1, &["empty.json"], fails("upstream_unreadable")),
        (1, &["no-picture.json"], fails("upstream_unreadable")),
        (1, &["no-base64.json"], fails("upstream_unreadable")),
        (1, &["text-for-picture.json"], fails("upstream_unreadable")),
        (1, &["page.json"], fails("upstream_unreadable")),
        (1, &["size.400.json"], fails("upstream_refused")),
        (1, &["missing.400.json"], fails("upstream_refused")),
        (1, &["format.400.json"], fails("upstream_refused")),
        (1, &["prompt.400.json"], fails("content_policy_violation")),
        (1, &["person.400.json"], fails("content_policy_violation")),
        (1, &["risk.400.json"], fails("content_policy_violation")),
        (1, &["checker.400.json"], fails("upstream_unavailable")),
        (1, &["closed.400.json"], fails("upstream_unavailable")),
        (1, &["key.401.json"], fails("provider_credentials")),
        (1, &["overdue.403.json"], fails("provider_credentials")),
        (1, &["denied.403.json"], fails("provider_credentials")),
        (1, &["model.404.json"], fails("upstream_unavailable")),
        (1, &["not-open.404.json"], fails("upstream_unavailable")),
        (1, &["rate.429.json"], fails("rate_limit_exceeded")),
        (1, &["account-rate.429.json"], fails("rate_limit_exceeded")),
        (1, &["overloaded.429.json"], fails("rate_limit_exceeded")),
        (1, &["own-limit.429.json"], fails("provider_credentials")),
        (1, &["broken.500.json"], fails("upstream_unavailable")),
        (1, &["page.502.html"], fails("upstream_unavailable")),
    ]
}

/// Streamed series of two pictures, and what becomes of them.
fn series() -> Vec<(&'static str, Outcome)> {
    let partly = |failure: &str, tokens| Outcome { failures: vec![failure.to_owned()], ..makes(1, tokens) };
    vec![
        ("series-withheld.sse", partly("content_policy_violation", 4254)),
        ("series-short.sse", partly("upstream_refused", 4254)),
        ("series-stumbled.sse", partly("upstream_unavailable", 0)),
        ("series-cut.sse", partly("upstream_unavailable", 0)),
        ("series-error.sse", partly("upstream_unavailable", 0)),
        ("series-blocked.sse", fails("content_policy_violation")),
        // A gateway that knows no streams answers in one piece.
        ("picture.json", partly("upstream_refused", 4254)),
        ("prompt.400.json", fails("content_policy_violation")),
    ]
}

fn fixtures() -> Fixtures {
    Fixtures::of("doubao")
}

fn connected(settings: &mut Settings, _: &mut rest_gateway::Settings) {
    settings.image.service_type = ImageServiceType::Doubao;
    let mut base = settings.chat.base_url.clone().unwrap();
    base.set_path("/api/v3");
    settings.image.doubao.base_url = Some(base);
    settings.image.doubao.api_key = Some(PLAYED.key.into());
}

async fn over_both_hops(test: impl AsyncFn(&World)) {
    over_both_hops_with(connected, test).await;
}

fn jpeg(world: &World) -> Vec<u8> {
    let answer: Value = serde_json::from_str(&fixtures().text(world, "picture.json")).unwrap();
    decoded(&answer["data"][0])
}

#[tokio::test]
async fn every_answer_becomes_the_same_at_both_doors() {
    over_both_hops(async |world| {
        for (n, names, expected) in table() {
            let turns = || names.iter().map(|name| (PATH.to_owned(), fixtures().reply(world, name))).collect();
            PLAYED.at_both_doors(world, n, &format!("{names:?}"), turns, &expected).await;
        }
    })
    .await;
}

#[test]
fn every_fixture_is_played() {
    let played = table().into_iter().flat_map(|(_, names, _)| names).copied();
    let played = played.chain(series().into_iter().map(|(name, _)| name));
    let played = played.chain(["README.md", "link.json", "series.sse"]);
    assert_eq!(fixtures().names(), played.map(str::to_owned).collect());
}

#[tokio::test]
async fn pixels_become_a_size_that_the_model_takes_and_pixels_again() {
    let rows = [
        (MODEL, "320x200", json!({"size": "1320x825", "sequential_image_generation": "disabled"})),
        (
            "doubao-seedream-4-5-251128",
            "1792x1024",
            json!({"size": "2688x1536", "sequential_image_generation": "disabled"}),
        ),
        (
            "doubao-seedream-5-0-260128",
            "1024x1024",
            json!({"size": "1920x1920", "output_format": "png", "sequential_image_generation": "disabled"}),
        ),
        ("doubao-seedream-3-0-t2i-250415", "1024x1536", json!({"size": "1024x1536", "seed": 7})),
    ];
    over_both_hops(async |world| {
        for (model, asked, expected) in &rows {
            world.upstream.will_at(PATH, fixtures().reply(world, "picture.json"));
            let body = json!({"model": model, "prompt": "a boat", "size": asked, "output_format": "jpeg", "seed": 7,
                              "optimize_prompt_options": {"thinking": "disabled"}, "response_format": "b64_json"});
            let made = decoded(&json_of(world.post(GENERATIONS, &body).await).await["data"][0]);
            let (width, height) = size(&made);
            assert_eq!((format!("{width}x{height}").as_str(), &made[..2]), (*asked, &[0xff, 0xd8][..]));
            let seen = world.upstream.saw().await;
            assert_eq!(seen.header("authorization"), Some("bearer ark-secret"));
            assert!(seen.header("x-client-request-id").is_some(), "{}", seen.head);
            let mut all = json!({
                "model": model, "prompt": "a boat", "watermark": false, "response_format": "b64_json",
                "optimize_prompt_options": {"thinking": "disabled"},
            });
            all.as_object_mut().unwrap().extend(expected.as_object().unwrap().clone());
            assert_eq!(seen.json(), all);
        }
        let clear = json!({"model": MODEL, "prompt": "x", "background": "transparent"});
        let (status, error) = error_of(world.post(GENERATIONS, &clear).await).await;
        assert_eq!((status.as_u16(), &error["param"]), (400, &json!("background")));
    })
    .await;
}

#[tokio::test]
async fn a_link_is_followed_at_once_without_the_key_and_never_shown() {
    over_both_hops(async |world| {
        let picture = jpeg(world);
        world.upstream.will_at(PATH, fixtures().reply(world, "link.json"));
        world.upstream.will_at(LINKS[0], Reply::file("application/octet-stream", &picture));
        let body = json!({"model": MODEL, "prompt": "x", "size": "1320x825", "output_format": "jpeg"});
        let made = json_of(world.post(GENERATIONS, &body).await).await;
        let url = made["data"][0]["url"].as_str().unwrap();
        let kept = world.request(Method::GET, url.strip_prefix(&world.url("")).unwrap()).send().await.unwrap();
        assert_eq!(kept.bytes().await.unwrap(), picture, "what is right already is kept byte for byte");
        world.upstream.saw().await;
        let seen = world.upstream.saw().await;
        assert_eq!((seen.path.as_str(), seen.header("authorization")), (LINKS[0], None));

        world.upstream.will_at(PATH, fixtures().reply(world, "link.json"));
        world.upstream.will_at(LINKS[0], Reply::new(403, "<Error><Code>AccessDenied</Code></Error>"));
        let (status, error) = error_of(world.post(GENERATIONS, &body).await).await;
        assert_eq!((status.as_u16(), error["code"].as_str()), (500, Some("upstream_unreadable")), "{error}");
        assert!(!error.to_string().contains("/tos/"), "{error}");
        world.upstream.saw().await;
        world.upstream.saw().await;
    })
    .await;
}

#[tokio::test]
async fn an_edit_sends_its_pictures_as_data_addresses_and_takes_no_mask() {
    let input = |width| pb::MediaInput { source: Some(pb::media_input::Source::Data(png(width, 8).into())) };
    over_both_hops(async |world| {
        world.upstream.will_at(PATH, fixtures().reply(world, "picture.json"));
        let mut request = ask(MODEL, 1, "auto");
        let image = request.image.as_mut().unwrap();
        image.pictures = vec![input(16), input(9)];
        let made = world.image_client().await.generate_images(request.clone()).await.unwrap().into_inner();
        assert_eq!(size(&made.pictures[0].data), (1320, 825), "as the model made it");
        let told = world.upstream.saw().await.json();
        assert_eq!(told["size"], "1450x725", "the first picture's shape");
        for (address, width) in told["image"].as_array().unwrap().iter().zip([16, 9]) {
            let encoded = address.as_str().unwrap().strip_prefix("data:image/png;base64,").unwrap();
            assert_eq!(decoded(&json!({"b64_json": encoded})), png(width, 8));
        }

        request.image.as_mut().unwrap().mask = Some(input(16));
        let status = world.image_client().await.generate_images(request.clone()).await.unwrap_err();
        assert_eq!((status.code(), status.message().contains("mask")), (Code::Unimplemented, true), "{status:?}");
        let image = request.image.as_mut().unwrap();
        (image.mask, image.pictures) = (None, vec![input(8); 15]);
        let status = world.image_client().await.generate_images(request.clone()).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
        let image = request.image.as_mut().unwrap();
        (image.model, image.pictures) = ("doubao-seedream-3-0-t2i-250415".to_owned(), vec![input(8)]);
        let status = world.image_client().await.generate_images(request).await.unwrap_err();
        assert_eq!(status.code(), Code::Unimplemented, "{status:?}");
    })
    .await;
}

fn series_of_two(stream: bool) -> Value {
    json!({"model": MODEL, "prompt": "a boat", "n": 2, "size": "320x200", "sequential_image_generation": "auto",
           "stream": stream, "response_format": "b64_json"})
}

#[tokio::test]
async fn the_pictures_of_a_series_come_one_by_one_as_they_are_finished() {
    over_both_hops(async |world| {
        let gate = Gate::new();
        let text = fixtures().text(world, "series.sse");
        let split = text.find("/tos/1.jpeg").unwrap();
        let split = split + text[split..].find("\n\n").unwrap() + 2;
        // The second picture is finished only once the first has arrived here.
        let slow = || Reply::stream().send(&text[..split]).hold(&gate).send(&text[split..]);
        let links = || LINKS.map(|link| world.upstream.will_at(link, Reply::file("image/jpeg", &jpeg(world))));
        world.upstream.will_at(PATH, slow());
        links();
        let mut events = Events::of(world.post(GENERATIONS, &series_of_two(true)).await);
        let finished = |event: &str| {
            let event = data(event.split_once('\n').unwrap().1);
            assert_eq!(
                (event["type"].as_str(), size(&decoded(&event))),
                (Some("image_generation.completed"), (320, 200))
            );
            (event["image_index"].as_u64().unwrap(), event["usage"]["total_tokens"].as_u64())
        };
        assert_eq!(finished(&events.next().await.unwrap()).0, 0);
        gate.open();
        let rest = events.rest().await;
        assert_eq!((rest.len(), finished(&rest[0])), (1, (1, Some(8508))));
        let seen = world.upstream.saw().await.json();
        assert_eq!(
            (&seen["stream"], &seen["sequential_image_generation_options"]),
            (&json!(true), &json!({"max_images": 2}))
        );
        assert_eq!(seen["prompt"], "a boat\n\nA series of 2 pictures");
        for _ in LINKS {
            world.upstream.saw().await;
        }

        world.upstream.will_at(PATH, slow());
        links();
        let mut image = ask(MODEL, 2, "320x200").image.unwrap();
        image.extra_json = r#"{"sequential_image_generation":"auto"}"#.to_owned();
        let request = pb::StreamImagesRequest { image: Some(image), ..pb::StreamImagesRequest::default() };
        let mut events = world.image_client().await.stream_images(request).await.unwrap().into_inner();
        let first = events.message().await.unwrap().unwrap().event.unwrap();
        assert!(matches!(first, Event::Finished(finished) if finished.picture_index == 0));
        gate.open();
        let rest: Vec<_> = events.map_ok(|event| event.event.unwrap()).try_collect().await.unwrap();
        assert!(
            matches!(&rest[..], [Event::Finished(last)] if last.usage.is_some_and(|usage| usage.total_tokens == 8508))
        );
        for _ in 0..3 {
            world.upstream.saw().await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_missing_of_a_series_is_told_beside_what_came() {
    over_both_hops(async |world| {
        for (name, expected) in series() {
            for door in ["whole", "streamed"] {
                let reply = if name.starts_with("series") {
                    Reply::stream().send(&fixtures().text(world, name))
                } else {
                    fixtures().reply(world, name)
                };
                world.upstream.will_at(PATH, reply);
                let answer = world.post(GENERATIONS, &series_of_two(door == "streamed")).await;
                let outcome = match (door, answer.status().as_u16()) {
                    ("whole", 200) => {
                        let made = json_of(answer).await;
                        let failures = made["failures"].as_array().unwrap().iter();
                        Outcome {
                            failures: failures.map(|failure| failure["code"].as_str().unwrap().to_owned()).collect(),
                            ..makes(
                                made["data"].as_array().unwrap().len(),
                                made["usage"]["total_tokens"].as_u64().unwrap_or_default(),
                            )
                        }
                    }
                    ("streamed", 200) => {
                        // Whatever breaks after the first picture, that picture has come.
                        let told = Events::of(answer).rest().await;
                        let first = data(told[0].split_once('\n').unwrap().1);
                        let came = first["type"] == "image_generation.completed";
                        assert_eq!((came, told.len()), (expected.pictures == 1, 1 + expected.pictures), "{name}");
                        world.upstream.saw().await;
                        continue;
                    }
                    _ => fails(error_of(answer).await.1["code"].as_str().unwrap()),
                };
                assert_eq!(outcome, expected, "{name}, {door}");
                world.upstream.saw().await;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn an_upstream_that_vanishes_dawdles_or_paces_is_told_as_such() {
    let adjust = |settings: &mut Settings, gateway: &mut _| {
        connected(settings, gateway);
        settings.image.first_byte_timeout = std::time::Duration::from_millis(500);
    };
    over_both_hops_with(adjust, async |world| {
        let whole = fixtures().text(world, "picture.json");
        PLAYED.vanishes(world, &whole).await;
        PLAYED.fails(world, Reply::new(400, "{\"error\":").cut(), 400, "upstream_refused").await;
        PLAYED.dawdles(world, &whole).await;
        PLAYED.opens_breaker(world, fixtures().reply(world, "rate.429.json").header("retry-after", "7"), 7).await;
    })
    .await;
}

#[tokio::test]
async fn hanging_up_ends_the_call_to_the_upstream() {
    over_both_hops(async |world| {
        for (n, more) in [(1, json!({})), (2, json!({"sequential_image_generation": "auto"}))] {
            PLAYED.is_left(world, n, more).await;
        }
    })
    .await;
}
