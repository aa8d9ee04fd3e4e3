//! Gemini's image models behind both doors: what they answer, what they are asked, and how they fail.

use core_service::config::{ImageServiceType, Settings};
use futures_util::TryStreamExt;
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

const MODEL: &str = "gemini-3.1-flash-image";
const PATH: &str = "/v1beta/models/gemini-3.1-flash-image:generateContent";
const STREAM: &str = "/v1beta/models/gemini-3.1-flash-image:streamGenerateContent?alt=sse";
const PLAYED: Played = Played { model: MODEL, path: PATH, key: "gemini-secret" };

/// How many pictures are asked for, the answers, and what becomes of them.
fn table() -> Vec<(u32, &'static [&'static str], Outcome)> {
    let revised = "A small boat on a wide lake.".to_owned();
    let partly = |failure: &str, tokens| Outcome { failures: vec![failure.to_owned()], ..makes(1, tokens) };
    vec![
        (1, &["picture.json"], makes(1, 1189)),
        (1, &["jpeg-and-words.json"], Outcome { revised, ..makes(1, 1129) }),
        (2, &["picture.json", "picture.json"], makes(2, 2378)),
        (2, &["picture.json", "blocked-picture.json"], partly("content_policy_violation", 1198)),
        (2, &["picture.json", "broken.500.json"], partly("upstream_unavailable", 1189)),
        // Words are no picture, but were paid.
        (1, &["words.json"], fails("upstream_refused")),
        (1, &["no-image.json"], fails("upstream_refused")),
        (1, &["stumbled.json"], fails("upstream_unavailable")),
        // Where nothing was, the second try may bring one.
        (1, &["free-words.json", "picture.json"], makes(1, 1189)),
        (1, &["free-words.json", "free-words.json"], fails("upstream_refused")),
        (1, &["free-words.json", "blocked-picture.json"], fails("content_policy_violation")),
        (1, &["blocked-picture.json"], fails("content_policy_violation")),
        (1, &["blocked-with-words.json"], fails("content_policy_violation")),
        (1, &["blocked-prompt.json"], fails("content_policy_violation")),
        (1, &["too-long.json"], fails("upstream_unavailable")),
        (1, &["limited.json"], fails("provider_credentials")),
        (1, &["unknown-end.json"], fails("upstream_unreadable")),
        (1, &["empty.json"], fails("upstream_unreadable")),
        (1, &["drafts-only.json"], fails("upstream_unreadable")),
        (1, &["no-base64.json"], fails("upstream_unreadable")),
        (1, &["text-for-picture.json"], fails("upstream_unreadable")),
        (1, &["page.json"], fails("upstream_unreadable")),
        (1, &["error-in-success.json"], fails("upstream_unavailable")),
        (1, &["key.400.json"], fails("provider_credentials")),
        (1, &["region.400.json"], fails("provider_credentials")),
        (1, &["size.400.json"], fails("upstream_refused")),
        (1, &["leaked.403.json"], fails("provider_credentials")),
        (1, &["model.404.json"], fails("upstream_unavailable")),
        (1, &["nothing-free.429.json"], fails("provider_credentials")),
        (1, &["broken.500.json"], fails("upstream_unavailable")),
        (1, &["overloaded.503.json"], fails("upstream_unavailable")),
        (1, &["late.504.json"], fails("upstream_timeout")),
        (1, &["page.502.html"], fails("upstream_unavailable")),
    ]
}

/// Answers that have a test of their own.
const ELSEWHERE: [&str; 7] = [
    "README.md",
    "rate.429.json",
    "edit.json",
    "stream.sse",
    "stream-blocked.sse",
    "stream-cut.sse",
    "stream-error.sse",
];

pub(super) fn fixtures() -> Fixtures {
    Fixtures::of("nano_banana")
}

pub(super) fn connected(settings: &mut Settings, _: &mut rest_gateway::Settings) {
    settings.image.service_type = ImageServiceType::NanoBanana;
    let mut base = settings.chat.base_url.clone().unwrap();
    base.set_path("/v1beta");
    settings.image.nano_banana.base_url = Some(base);
    settings.image.nano_banana.api_key = Some(PLAYED.key.into());
}

async fn over_both_hops(test: impl AsyncFn(&World)) {
    over_both_hops_with(connected, test).await;
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
    let played = table().into_iter().flat_map(|(_, names, _)| names).copied().chain(ELSEWHERE);
    assert_eq!(fixtures().names(), played.map(str::to_owned).collect());
}

#[tokio::test]
async fn pixels_become_a_ratio_and_a_tier_and_pixels_again() {
    let rows = [
        (MODEL, "320x200", json!({"aspectRatio": "3:2", "imageSize": "512"})),
        (MODEL, "1792x1024", json!({"aspectRatio": "16:9", "imageSize": "2K"})),
        ("gemini-3-pro-image", "1024x1024", json!({"aspectRatio": "1:1", "imageSize": "1K"})),
        ("gemini-2.5-flash-image", "1024x1536", json!({"aspectRatio": "2:3"})),
    ];
    over_both_hops(async |world| {
        for (model, asked, expected) in &rows {
            let path = format!("/v1beta/models/{model}:generateContent");
            world.upstream.will_at(&path, fixtures().reply(world, "picture.json"));
            let body = json!({"model": model, "prompt": "a boat", "size": asked, "output_format": "jpeg", "seed": 7,
                              "safetySettings": [], "moderation": "low", "response_format": "b64_json"});
            let made = decoded(&json_of(world.post(GENERATIONS, &body).await).await["data"][0]);
            let (width, height) = size(&made);
            assert_eq!((format!("{width}x{height}").as_str(), &made[..2]), (*asked, &[0xff, 0xd8][..]));
            let seen = world.upstream.saw().await;
            assert_eq!((seen.path.as_str(), seen.header("x-goog-api-key")), (path.as_str(), Some(PLAYED.key)));
            assert!(seen.header("authorization").is_none() && seen.header("x-request-id").is_some());
            let expected = json!({
                "contents": [{"role": "user", "parts": [{"text": "a boat"}]}],
                "generationConfig": {"responseModalities": ["IMAGE"], "imageConfig": expected, "seed": 7},
                "safetySettings": [],
            });
            assert_eq!(seen.json(), expected);
        }
        let clear = json!({"model": MODEL, "prompt": "x", "background": "transparent"});
        let (status, error) = error_of(world.post(GENERATIONS, &clear).await).await;
        assert_eq!((status.as_u16(), &error["param"]), (400, &json!("background")));
    })
    .await;
}

#[tokio::test]
async fn where_the_operator_allows_it_a_billed_answer_in_words_is_asked_for_a_picture_more_firmly() {
    let adjust = |settings: &mut Settings, gateway: &mut _| {
        connected(settings, gateway);
        settings.image.nano_banana.retry_unsafe = true;
    };
    over_both_hops_with(adjust, async |world| {
        for (names, expected) in [
            (["words.json", "picture.json"], makes(1, 1209)),
            (["no-image.json", "stumbled.json"], fails("upstream_unavailable")),
        ] {
            let turns = || names.map(|name| (PATH.to_owned(), fixtures().reply(world, name))).to_vec();
            PLAYED.at_both_doors(world, 1, &format!("{names:?}"), turns, &expected).await;
        }
        for name in ["words.json", "words.json"] {
            world.upstream.will_at(PATH, fixtures().reply(world, name));
        }
        let (status, error) = error_of(world.post(GENERATIONS, &json!({"model": MODEL, "prompt": "x"})).await).await;
        assert_eq!((status.as_u16(), &error["message"]), (400, &json!("I would rather tell you about boats.")));
        let [first, second] = [world.upstream.saw().await.json(), world.upstream.saw().await.json()];
        let words = |seen: &Value| seen["contents"][0]["parts"][0]["text"].as_str().unwrap().to_owned();
        assert_eq!(words(&first), "x");
        assert!(words(&second).starts_with("x\n\n"), "{second}");
    })
    .await;
}

#[tokio::test]
async fn an_edit_sends_its_pictures_before_the_words_and_takes_no_mask() {
    let input = |width| pb::MediaInput { source: Some(pb::media_input::Source::Data(png(width, 8).into())) };
    over_both_hops(async |world| {
        world.upstream.will_at(PATH, fixtures().reply(world, "edit.json"));
        let mut request = ask(MODEL, 1, "auto");
        let image = request.image.as_mut().unwrap();
        image.pictures = vec![input(8), input(9)];
        let made = world.image_client().await.generate_images(request.clone()).await.unwrap().into_inner();
        assert_eq!(size(&made.pictures[0].data), (632, 424), "as the model made it");
        assert_eq!(made.usage.unwrap().input_image_tokens, 1120);
        let told = world.upstream.saw().await.json();
        let parts = told["contents"][0]["parts"].as_array().unwrap();
        assert_eq!((parts.len(), &parts[2]["text"]), (3, &json!("a boat")));
        for (part, width) in parts.iter().zip([8, 9]) {
            assert_eq!(part["inlineData"]["mimeType"], "image/png");
            assert_eq!(decoded(&json!({"b64_json": part["inlineData"]["data"]})), png(width, 8));
        }
        assert!(told["generationConfig"].get("imageConfig").is_none(), "the input's own ratio: {told}");

        request.image.as_mut().unwrap().mask = Some(input(8));
        let status = world.image_client().await.generate_images(request.clone()).await.unwrap_err();
        assert_eq!((status.code(), status.message().contains("mask")), (Code::Unimplemented, true), "{status:?}");
        let image = request.image.as_mut().unwrap();
        (image.mask, image.pictures) = (None, vec![input(8); 15]);
        let status = world.image_client().await.generate_images(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    })
    .await;
}

/// What a stream over REST tells, without the pictures.
async fn streamed(world: &World, reply: Reply) -> Vec<Value> {
    world.upstream.will_at(STREAM, reply);
    let body = json!({"model": MODEL, "prompt": "x", "size": "320x200", "stream": true, "partial_images": 1});
    let events = Events::of(world.post(GENERATIONS, &body).await).rest().await;
    world.upstream.saw().await;
    events.iter().map(|event| data(event.split_once('\n').unwrap().1)).collect()
}

#[tokio::test]
async fn drafts_are_previews_and_come_while_the_picture_is_made() {
    over_both_hops(async |world| {
        let gate = Gate::new();
        let text = fixtures().text(world, "stream.sse");
        let split = text.find("iVBOR").unwrap();
        // The picture comes only once both drafts have arrived here.
        let slow = || Reply::stream().send(&text[..split]).hold(&gate).send(&text[split..]);
        world.upstream.will_at(STREAM, slow());
        let body = json!({"model": MODEL, "prompt": "x", "size": "320x200", "stream": true, "partial_images": 3});
        let mut events = Events::of(world.post(GENERATIONS, &body).await);
        for index in 0..2 {
            let event = events.next().await.unwrap();
            let event = data(event.split_once('\n').unwrap().1);
            assert_eq!(event["type"], "image_generation.partial_image");
            assert_eq!((&event["partial_image_index"], size(&decoded(&event))), (&json!(index), (320, 200)));
        }
        gate.open();
        let last = events.rest().await;
        let last = data(last[0].split_once('\n').unwrap().1);
        assert_eq!((&last["usage"]["total_tokens"], size(&decoded(&last))), (&json!(1189), (320, 200)));
        world.upstream.saw().await;

        world.upstream.will_at(STREAM, slow());
        gate.open();
        let image = ask(MODEL, 1, "320x200").image;
        let request = pb::StreamImagesRequest { image, partial_images: 1, ..pb::StreamImagesRequest::default() };
        let events = world.image_client().await.stream_images(request).await.unwrap().into_inner();
        let events: Vec<_> = events.map_ok(|event| event.event.unwrap()).try_collect().await.unwrap();
        assert!(matches!(&events[..], [Event::Preview(_), Event::Finished(_)]), "{} events", events.len());
        world.upstream.saw().await;
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_ends_badly_says_so_and_one_that_breaks_after_the_picture_does_no_harm() {
    over_both_hops(async |world| {
        for (name, code) in [
            ("stream-cut.sse", "upstream_unavailable"),
            ("stream-error.sse", "upstream_unavailable"),
            ("stream-blocked.sse", "content_policy_violation"),
        ] {
            let told = streamed(world, Reply::stream().send(&fixtures().text(world, name))).await;
            let last = told.last().unwrap();
            assert_eq!((told.len(), last["error"]["code"].as_str()), (2, Some(code)), "{name}: {last}");
        }
        let whole = fixtures().text(world, "stream.sse");
        let end = whole.rfind("data: ").unwrap();
        let told = streamed(world, Reply::stream().send(&whole[..end]).cut()).await;
        assert_eq!(told.last().unwrap()["type"], "image_generation.completed");
        // A gateway that knows no streams answers in one piece.
        let told = streamed(world, fixtures().reply(world, "picture.json")).await;
        assert_eq!(told.last().unwrap()["type"], "image_generation.completed");
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
        PLAYED.dawdles(world, &whole).await;
        // The wait stands in the body and not in a header.
        PLAYED.opens_breaker(world, fixtures().reply(world, "rate.429.json"), 35).await;
    })
    .await;
}

#[tokio::test]
async fn hanging_up_ends_the_call_to_the_upstream() {
    over_both_hops(async |world| PLAYED.is_left(world, 1, json!({})).await).await;
}
