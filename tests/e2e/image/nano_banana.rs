//! The image provider `nano_banana`, Gemini's image models: requests to the upstream, its responses over REST and gRPC,
//! failures. A draft is an image that the model makes on the way to the final one.

use core_service::config::{ImageServiceType, Settings};
use futures_util::TryStreamExt;
use serde_json::{Value, json};
use tonic::Code;
use triptych_proto::v1::{self as pb, stream_images_response::Event};

use super::{
    decoded,
    provider_case::{Fixtures, GENERATIONS, Outcome, ProviderCase, fails, generate_request, json_body, png, succeeds},
    size,
};
use crate::{
    fake_upstream::{Latch, Reply},
    rest_response::{Events, error_body, event_data},
    test_server::{TestServer, with_local_and_remote_core_and_settings},
};

const MODEL: &str = "gemini-3.1-flash-image";
const PATH: &str = "/v1beta/models/gemini-3.1-flash-image:generateContent";
const STREAM: &str = "/v1beta/models/gemini-3.1-flash-image:streamGenerateContent?alt=sse";
const PROVIDER: ProviderCase = ProviderCase { model: MODEL, path: PATH, key: "gemini-secret" };

/// The number of requested images, the upstream's responses, and the outcome.
fn table() -> Vec<(u32, &'static [&'static str], Outcome)> {
    let revised = "A small boat on a wide lake.".to_owned();
    let partly =
        |failure: &str, tokens| Outcome { failures: vec![failure.to_owned()], ..succeeds(1).with_tokens(tokens) };
    vec![
        (1, &["image.json"], succeeds(1).with_tokens(1189)),
        (1, &["jpeg-and-text.json"], Outcome { revised, ..succeeds(1).with_tokens(1129) }),
        (2, &["image.json", "image.json"], succeeds(2).with_tokens(2378)),
        (2, &["image.json", "blocked-image.json"], partly("content_policy_violation", 1198)),
        (2, &["image.json", "internal-error.500.json"], partly("upstream_unavailable", 1189)),
        // Text instead of an image, which is billed and therefore not retried.
        (1, &["text-only.json"], fails("upstream_refused")),
        (1, &["no-image.json"], fails("upstream_refused")),
        (1, &["generation-failed.json"], fails("upstream_unavailable")),
        // Text that is not billed is retried once.
        (1, &["unbilled-text-only.json", "image.json"], succeeds(1).with_tokens(1189)),
        (1, &["unbilled-text-only.json", "unbilled-text-only.json"], fails("upstream_refused")),
        (1, &["unbilled-text-only.json", "blocked-image.json"], fails("content_policy_violation")),
        (1, &["blocked-image.json"], fails("content_policy_violation")),
        (1, &["blocked-with-text.json"], fails("content_policy_violation")),
        (1, &["blocked-prompt.json"], fails("content_policy_violation")),
        (1, &["too-long.json"], fails("upstream_unavailable")),
        (1, &["limited.json"], fails("provider_credentials")),
        (1, &["unknown-finish-reason.json"], fails("upstream_unreadable")),
        (1, &["empty.json"], fails("upstream_unreadable")),
        (1, &["drafts-only.json"], fails("upstream_unreadable")),
        (1, &["no-base64.json"], fails("upstream_unreadable")),
        (1, &["not-an-image.json"], fails("upstream_unreadable")),
        (1, &["html-page.json"], fails("upstream_unreadable")),
        (1, &["error-in-success.json"], fails("upstream_unavailable")),
        (1, &["invalid-key.400.json"], fails("provider_credentials")),
        (1, &["region.400.json"], fails("provider_credentials")),
        (1, &["size.400.json"], fails("upstream_refused")),
        (1, &["leaked-key.403.json"], fails("provider_credentials")),
        (1, &["model.404.json"], fails("upstream_unavailable")),
        (1, &["no-free-tier.429.json"], fails("provider_credentials")),
        (1, &["internal-error.500.json"], fails("upstream_unavailable")),
        (1, &["overloaded.503.json"], fails("upstream_unavailable")),
        (1, &["timeout.504.json"], fails("upstream_timeout")),
        (1, &["html-page.502.html"], fails("upstream_unavailable")),
    ]
}

/// Fixtures that have a test of their own.
const OTHER_FIXTURES: [&str; 7] = [
    "README.md",
    "rate.429.json",
    "edit.json",
    "stream.sse",
    "stream-blocked.sse",
    "stream-aborted.sse",
    "stream-error.sse",
];

pub(super) fn fixtures() -> Fixtures {
    Fixtures::new("nano_banana")
}

pub(super) fn configure(settings: &mut Settings, _: &mut rest_gateway::Settings) {
    settings.image.service_type = ImageServiceType::NanoBanana;
    let mut base = settings.chat.base_url.clone().unwrap();
    base.set_path("/v1beta");
    settings.image.nano_banana.base_url = Some(base);
    settings.image.nano_banana.api_key = Some(PROVIDER.key.into());
}

async fn with_local_and_remote_core(test: impl AsyncFn(&TestServer)) {
    with_local_and_remote_core_and_settings(configure, test).await;
}

#[tokio::test]
async fn every_response_gives_the_same_outcome_over_rest_and_grpc() {
    with_local_and_remote_core(async |server| {
        for (n, names, expected) in table() {
            let exchanges = || names.iter().map(|name| (PATH.to_owned(), fixtures().reply(server, name))).collect();
            PROVIDER.assert_outcome(server, n, &format!("{names:?}"), exchanges, &expected).await;
        }
    })
    .await;
}

#[test]
fn every_fixture_is_tested() {
    let tested = table().into_iter().flat_map(|(_, names, _)| names).copied().chain(OTHER_FIXTURES);
    assert_eq!(fixtures().names(), tested.map(str::to_owned).collect());
}

#[tokio::test]
async fn size_is_mapped_to_aspect_ratio_and_tier_and_the_image_resized() {
    let rows = [
        (MODEL, "320x200", json!({"aspectRatio": "3:2", "imageSize": "512"})),
        (MODEL, "1792x1024", json!({"aspectRatio": "16:9", "imageSize": "2K"})),
        ("gemini-3-pro-image", "1024x1024", json!({"aspectRatio": "1:1", "imageSize": "1K"})),
        ("gemini-2.5-flash-image", "1024x1536", json!({"aspectRatio": "2:3"})),
    ];
    with_local_and_remote_core(async |server| {
        for (model, requested, expected) in &rows {
            let path = format!("/v1beta/models/{model}:generateContent");
            server.upstream.enqueue_at(&path, fixtures().reply(server, "image.json"));
            let body = json!({"model": model, "prompt": "a boat", "size": requested, "output_format": "jpeg", "seed": 7,
                              "safetySettings": [], "moderation": "low", "response_format": "b64_json"});
            let picture = decoded(&json_body(server.post(GENERATIONS, &body).await).await["data"][0]);
            let (width, height) = size(&picture);
            assert_eq!((format!("{width}x{height}").as_str(), &picture[..2]), (*requested, &[0xff, 0xd8][..]));
            let received = server.upstream.received().await;
            assert_eq!(
                (received.path.as_str(), received.header("x-goog-api-key")),
                (path.as_str(), Some(PROVIDER.key))
            );
            assert!(received.header("authorization").is_none() && received.header("x-request-id").is_some());
            let expected = json!({
                "contents": [{"role": "user", "parts": [{"text": "a boat"}]}],
                "generationConfig": {"responseModalities": ["IMAGE"], "imageConfig": expected, "seed": 7},
                "safetySettings": [],
            });
            assert_eq!(received.json(), expected);
        }
        let clear = json!({"model": MODEL, "prompt": "x", "background": "transparent"});
        let (status, error) = error_body(server.post(GENERATIONS, &clear).await).await;
        assert_eq!((status.as_u16(), &error["param"]), (400, &json!("background")));
    })
    .await;
}

#[tokio::test]
async fn retry_billed_retries_a_billed_text_response_with_a_firmer_prompt() {
    let adjust = |settings: &mut Settings, gateway: &mut _| {
        configure(settings, gateway);
        settings.image.nano_banana.retry_billed = true;
    };
    with_local_and_remote_core_and_settings(adjust, async |server| {
        for (names, expected) in [
            (["text-only.json", "image.json"], succeeds(1).with_tokens(1209)),
            (["no-image.json", "generation-failed.json"], fails("upstream_unavailable")),
        ] {
            let exchanges = || names.map(|name| (PATH.to_owned(), fixtures().reply(server, name))).to_vec();
            PROVIDER.assert_outcome(server, 1, &format!("{names:?}"), exchanges, &expected).await;
        }
        for name in ["text-only.json", "text-only.json"] {
            server.upstream.enqueue_at(PATH, fixtures().reply(server, name));
        }
        let (status, error) = error_body(server.post(GENERATIONS, &json!({"model": MODEL, "prompt": "x"})).await).await;
        assert_eq!((status.as_u16(), &error["message"]), (400, &json!("I would rather tell you about boats.")));
        let [first, second] = [server.upstream.received().await.json(), server.upstream.received().await.json()];
        let prompt = |received: &Value| received["contents"][0]["parts"][0]["text"].as_str().unwrap().to_owned();
        assert_eq!(prompt(&first), "x");
        assert!(prompt(&second).starts_with("x\n\n"), "{second}");
    })
    .await;
}

#[tokio::test]
async fn edit_sends_its_images_before_the_prompt_and_rejects_a_mask() {
    let input = |width| pb::MediaInput { source: Some(pb::media_input::Source::Data(png(width, 8).into())) };
    with_local_and_remote_core(async |server| {
        server.upstream.enqueue_at(PATH, fixtures().reply(server, "edit.json"));
        let mut request = generate_request(MODEL, 1, "auto");
        let image = request.image.as_mut().unwrap();
        image.pictures = vec![input(8), input(9)];
        let response = server.image_client().await.generate_images(request.clone()).await.unwrap().into_inner();
        assert_eq!(size(&response.pictures[0].data), (632, 424), "the size of the model's image");
        assert_eq!(response.usage.unwrap().input_image_tokens, 1120);
        let received = server.upstream.received().await.json();
        let parts = received["contents"][0]["parts"].as_array().unwrap();
        assert_eq!((parts.len(), &parts[2]["text"]), (3, &json!("a boat")));
        for (part, width) in parts.iter().zip([8, 9]) {
            assert_eq!(part["inlineData"]["mimeType"], "image/png");
            assert_eq!(decoded(&json!({"b64_json": part["inlineData"]["data"]})), png(width, 8));
        }
        assert!(received["generationConfig"].get("imageConfig").is_none(), "the input's own ratio: {received}");

        request.image.as_mut().unwrap().mask = Some(input(8));
        let status = server.image_client().await.generate_images(request.clone()).await.unwrap_err();
        assert_eq!((status.code(), status.message().contains("mask")), (Code::Unimplemented, true), "{status:?}");
        let image = request.image.as_mut().unwrap();
        // One more than the model accepts.
        (image.mask, image.pictures) = (None, vec![input(8); 15]);
        let status = server.image_client().await.generate_images(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    })
    .await;
}

/// Streams this reply over REST, and returns the events.
async fn streamed(server: &TestServer, reply: Reply) -> Vec<Value> {
    server.upstream.enqueue_at(STREAM, reply);
    let body = json!({"model": MODEL, "prompt": "x", "size": "320x200", "stream": true, "partial_images": 1});
    let events = Events::new(server.post(GENERATIONS, &body).await).read_all().await;
    server.upstream.received().await;
    events.iter().map(|event| event_data(event.split_once('\n').unwrap().1)).collect()
}

#[tokio::test]
async fn drafts_are_forwarded_as_previews_at_once() {
    with_local_and_remote_core(async |server| {
        let gate = Latch::new();
        let text = fixtures().text(server, "stream.sse");
        let split = text.find("iVBOR").unwrap();
        // The image is sent after the test has received both drafts.
        let reply = || Reply::stream().send(&text[..split]).wait_for(&gate).send(&text[split..]);
        server.upstream.enqueue_at(STREAM, reply());
        let body = json!({"model": MODEL, "prompt": "x", "size": "320x200", "stream": true, "partial_images": 3});
        let mut events = Events::new(server.post(GENERATIONS, &body).await);
        for index in 0..2 {
            let event = events.next().await.unwrap();
            let event = event_data(event.split_once('\n').unwrap().1);
            assert_eq!(event["type"], "image_generation.partial_image");
            assert_eq!((&event["partial_image_index"], size(&decoded(&event))), (&json!(index), (320, 200)));
        }
        gate.open();
        let last = events.read_all().await;
        let last = event_data(last[0].split_once('\n').unwrap().1);
        assert_eq!((&last["usage"]["total_tokens"], size(&decoded(&last))), (&json!(1189), (320, 200)));
        server.upstream.received().await;

        server.upstream.enqueue_at(STREAM, reply());
        gate.open();
        let image = generate_request(MODEL, 1, "320x200").image;
        let request = pb::StreamImagesRequest { image, partial_images: 1, ..pb::StreamImagesRequest::default() };
        let events = server.image_client().await.stream_images(request).await.unwrap().into_inner();
        let events: Vec<_> = events.map_ok(|event| event.event.unwrap()).try_collect().await.unwrap();
        assert!(matches!(&events[..], [Event::Preview(_), Event::Finished(_)]), "{} events", events.len());
        server.upstream.received().await;
    })
    .await;
}

#[tokio::test]
async fn stream_failure_ends_with_an_error_event_unless_the_image_was_received() {
    with_local_and_remote_core(async |server| {
        for (name, code) in [
            ("stream-aborted.sse", "upstream_unavailable"),
            ("stream-error.sse", "upstream_unavailable"),
            ("stream-blocked.sse", "content_policy_violation"),
        ] {
            let events = streamed(server, Reply::stream().send(&fixtures().text(server, name))).await;
            let last = events.last().unwrap();
            assert_eq!((events.len(), last["error"]["code"].as_str()), (2, Some(code)), "{name}: {last}");
        }
        let body_text = fixtures().text(server, "stream.sse");
        let end = body_text.rfind("data: ").unwrap();
        let events = streamed(server, Reply::stream().send(&body_text[..end]).abort()).await;
        assert_eq!(events.last().unwrap()["type"], "image_generation.completed");
        // A proxy that does not support streaming sends one JSON document.
        let events = streamed(server, fixtures().reply(server, "image.json")).await;
        assert_eq!(events.last().unwrap()["type"], "image_generation.completed");
    })
    .await;
}

#[tokio::test]
async fn connection_loss_timeout_and_rate_limit_are_reported() {
    let adjust = |settings: &mut Settings, gateway: &mut _| {
        configure(settings, gateway);
        settings.image.first_byte_timeout = std::time::Duration::from_millis(500);
    };
    with_local_and_remote_core_and_settings(adjust, async |server| {
        let body_text = fixtures().text(server, "image.json");
        PROVIDER.assert_connection_loss(server, &body_text).await;
        PROVIDER.assert_timeouts(server, &body_text).await;
        // The retry delay is in the body and not in a header.
        PROVIDER.assert_opens_breaker(server, fixtures().reply(server, "rate.429.json"), 35).await;
    })
    .await;
}

#[tokio::test]
async fn client_disconnect_closes_the_upstream_connection() {
    with_local_and_remote_core(async |server| PROVIDER.assert_client_disconnect(server, 1, json!({})).await).await;
}
