//! The image provider `openai`, OpenAI's images API and servers that copy it: requests to the upstream, its responses over
//! REST and gRPC, failures. `local` is a model that Triptych knows nothing about.

mod base64;
mod failures;
mod large_responses;
mod leniency;
mod streaming;

use std::collections::BTreeSet;

use core_service::config::{ImageServiceType, Settings};
use reqwest::Method;
use serde_json::json;
use triptych_proto::v1 as pb;

use super::{
    decoded,
    provider_case::{Fixtures, GENERATIONS, Outcome, ProviderCase, fails, generate_request, json_body, succeeds},
    size,
};
use crate::{
    fake_upstream::{ReceivedRequest, Reply},
    rest_response::error_body,
    test_server::{TestServer, with_local_and_remote_core_and_settings, within_timeout},
};

const PROVIDER: ProviderCase = ProviderCase { model: "gpt-image-1", path: GENERATIONS, key: "upstream-secret" };
const EDITS: &str = "/v1/images/edits";

/// One image, and one that failed with this code.
fn partly(failure: &str) -> Outcome {
    Outcome { failures: vec![failure.to_owned()], ..succeeds(1) }
}

/// The model, the number of requested images, the upstream's response, and the outcome.
fn table() -> Vec<(&'static str, u32, &'static str, Outcome)> {
    let revised = "A small boat on a wide lake, at dawn.".to_owned();
    vec![
        ("gpt-image-1", 1, "gpt-image.json", succeeds(1).with_tokens(1084)),
        ("gpt-image-1", 2, "gpt-image-two.json", succeeds(2).with_tokens(1084)),
        ("dall-e-3", 1, "dall-e-3.json", Outcome { revised, ..succeeds(1) }),
        ("local", 1, "compatible-jpeg.json", succeeds(1)),
        ("local", 1, "compatible-webp-unpadded.json", succeeds(1)),
        ("local", 2, "one-failed.json", partly("content_policy_violation")),
        ("local", 2, "fewer-images.json", partly("upstream_unreadable")),
        ("local", 1, "gpt-image-two.json", succeeds(1).with_tokens(1084)),
        ("local", 1, "moderation.400.json", fails("content_policy_violation")),
        ("dall-e-3", 1, "content-policy.400.json", fails("content_policy_violation")),
        ("local", 1, "size.400.json", fails("upstream_refused")),
        ("local", 1, "invalid-key.401.json", fails("provider_credentials")),
        ("local", 1, "organization.403.json", fails("provider_credentials")),
        ("local", 1, "model.404.json", fails("upstream_unavailable")),
        ("local", 1, "rate.429.json", fails("rate_limit_exceeded")),
        ("local", 1, "quota.429.json", fails("provider_credentials")),
        ("local", 1, "billing.400.json", fails("provider_credentials")),
        ("local", 1, "internal-error.500.json", fails("upstream_unavailable")),
        ("local", 1, "overloaded.503.json", fails("upstream_unavailable")),
        ("local", 1, "error-in-success.json", fails("upstream_unavailable")),
        ("local", 1, "html-page.502.html", fails("upstream_unavailable")),
        ("local", 1, "html-page.json", fails("upstream_unreadable")),
        ("local", 1, "empty.json", fails("upstream_unreadable")),
        ("local", 2, "no-image.json", fails("upstream_unreadable")),
        ("local", 1, "no-base64.json", fails("upstream_unreadable")),
        ("local", 1, "not-an-image.json", fails("upstream_unreadable")),
    ]
}

/// Fixtures that have a test of their own.
const OTHER_FIXTURES: [&str; 7] = [
    "README.md",
    "dall-e-2-link.json",
    "edit-stream.sse",
    "gpt-image-edit.json",
    "stream-aborted.sse",
    "stream-error.sse",
    "stream.sse",
];

fn fixtures() -> Fixtures {
    Fixtures::new("openai")
}

pub(super) fn fixture(server: &TestServer, name: &str) -> String {
    fixtures().text(server, name)
}

pub(super) fn reply(server: &TestServer, name: &str) -> Reply {
    fixtures().reply(server, name)
}

/// Configures the fake upstream for images too.
pub(super) fn configure(settings: &mut Settings, _: &mut rest_gateway::Settings) {
    settings.image.service_type = ImageServiceType::Openai;
    settings.image.openai.base_url.clone_from(&settings.chat.base_url);
    settings.image.openai.api_key = Some(PROVIDER.key.into());
    settings.image.openai.models =
        ["gpt-image-1", "gpt-image-2", "dall-e-3", "dall-e-2", "local"].map(String::from).into();
}

pub(super) async fn with_local_and_remote_core(test: impl AsyncFn(&TestServer)) {
    with_local_and_remote_core_and_settings(configure, test).await;
}

#[tokio::test]
async fn every_response_gives_the_same_outcome_over_rest_and_grpc() {
    with_local_and_remote_core(async |server| {
        for (model, n, name, expected) in table() {
            let exchanges = || vec![(GENERATIONS.to_owned(), reply(server, name))];
            ProviderCase { model, ..PROVIDER }.assert_outcome(server, n, name, exchanges, &expected).await;
        }
    })
    .await;
}

#[test]
fn every_fixture_is_tested() {
    let tested = table().into_iter().map(|(_, _, name, _)| name).chain(OTHER_FIXTURES).map(str::to_owned);
    assert_eq!(fixtures().names(), tested.collect::<BTreeSet<_>>());
}

#[tokio::test]
async fn each_model_family_gets_its_own_parameters() {
    let request = json!({
        "prompt": "a boat", "size": "600x1000", "quality": "hd", "style": "natural", "background": "opaque", "seed": 7,
        "user": "u", "output_format": "jpeg", "output_compression": 80, "moderation": "low", "response_format": "b64_json",
    });
    let rows = [
        ("dall-e-2", json!({"size": "1024x1024", "response_format": "b64_json", "user": "u", "moderation": "low"})),
        (
            "dall-e-3",
            json!({"size": "1024x1792", "quality": "hd", "response_format": "b64_json", "style": "natural", "user": "u", "moderation": "low"}),
        ),
        (
            "gpt-image-1",
            json!({"size": "1024x1536", "quality": "high", "background": "opaque", "output_format": "png", "user": "u", "moderation": "low"}),
        ),
        (
            "gpt-image-2",
            json!({"size": "688x1136", "quality": "high", "background": "opaque", "output_format": "png", "user": "u", "moderation": "low"}),
        ),
        (
            "local",
            json!({"size": "600x1000", "quality": "hd", "response_format": "b64_json", "style": "natural", "background": "opaque",
                   "output_format": "jpeg", "output_compression": 80, "seed": 7, "user": "u", "moderation": "low"}),
        ),
    ];
    with_local_and_remote_core(async |server| {
        for (model, expected) in &rows {
            server.upstream.enqueue_at(GENERATIONS, reply(server, "gpt-image.json"));
            let mut request = request.clone();
            request["model"] = json!(model);
            let response = json_body(server.post(GENERATIONS, &request).await).await;
            let picture = decoded(&response["data"][0]);
            assert_eq!((size(&picture), &picture[..2]), ((600, 1000), &[0xff, 0xd8][..]), "{model}");
            let received = server.upstream.received().await;
            assert_eq!(received.header("authorization"), Some("bearer upstream-secret"));
            let mut expected = expected.clone();
            (expected["model"], expected["prompt"]) = (json!(model), json!("a boat"));
            assert_eq!(received.json(), expected, "{model}");
        }
        let transparent = json!({"model": "dall-e-3", "prompt": "x", "background": "transparent"});
        let (status, error) = error_body(server.post(GENERATIONS, &transparent).await).await;
        assert_eq!((status.as_u16(), &error["param"]), (400, &json!("background")));
    })
    .await;
}

/// Returns the parts of a multipart form: name, file name, content.
fn parts(received: &ReceivedRequest) -> Vec<(String, String, Vec<u8>)> {
    let boundary = received.header("content-type").unwrap().split_once("boundary=").unwrap().1.to_owned();
    let delimiter = format!("--{boundary}\r\n").into_bytes();
    let end = format!("--{boundary}--\r\n").into_bytes();
    let body = received.body.strip_suffix(end.as_slice()).unwrap();
    let starts: Vec<_> = (0..body.len()).filter(|&at| body[at..].starts_with(&delimiter)).collect();
    let ends = starts.iter().skip(1).copied().chain([body.len()]);
    let part = |(start, end): (&usize, usize)| {
        let part = &body[start + delimiter.len()..end - 2];
        let split = part.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
        let head = std::str::from_utf8(&part[..split]).unwrap();
        let attribute =
            |name: &str| head.split_once(name).map_or("", |(_, rest)| rest.split('"').next().unwrap()).to_owned();
        (attribute(" name=\""), attribute("filename=\""), part[split + 4..].to_vec())
    };
    starts.iter().zip(ends).map(part).collect()
}

/// Returns a PNG with a transparent first column.
fn png(width: u32, height: u32) -> Vec<u8> {
    let mut out = std::io::Cursor::new(Vec::new());
    let picture = image::RgbaImage::from_fn(width, height, |x, _| image::Rgba([9, 9, 9, if x == 0 { 0 } else { 255 }]));
    picture.write_to(&mut out, image::ImageFormat::Png).unwrap();
    out.into_inner()
}

/// Returns a mask that allows the whole image to be edited.
fn mask(width: u32, height: u32) -> Vec<u8> {
    let mut out = std::io::Cursor::new(Vec::new());
    image::RgbaImage::new(width, height).write_to(&mut out, image::ImageFormat::Png).unwrap();
    out.into_inner()
}

fn input(bytes: Vec<u8>) -> pb::MediaInput {
    pb::MediaInput { source: Some(pb::media_input::Source::Data(bytes.into())) }
}

#[tokio::test]
async fn edit_is_sent_as_a_multipart_form_with_its_images_and_mask() {
    with_local_and_remote_core(async |server| {
        server.upstream.enqueue_at(EDITS, reply(server, "gpt-image-edit.json"));
        let mut request = generate_request("gpt-image-1", 1, "400x600");
        let image = request.image.as_mut().unwrap();
        image.pictures = vec![input(png(40, 60)), input(png(8, 8))];
        image.mask = Some(input(mask(40, 60)));
        image.extra_json = r#"{"input_fidelity":"high","list":[1,2]}"#.to_owned();
        let response = server.image_client().await.generate_images(request.clone()).await.unwrap().into_inner();
        assert_eq!(size(&response.pictures[0].data), (400, 600));
        let usage = response.usage.unwrap();
        assert_eq!((usage.input_tokens, usage.input_image_tokens, usage.total_tokens), (351, 323, 1407));
        let parts = parts(&server.upstream.received().await);
        let texts: Vec<_> = parts.iter().filter(|(_, file, _)| file.is_empty()).collect();
        let texts: Vec<_> =
            texts.iter().map(|(name, _, text)| (name.as_str(), std::str::from_utf8(text).unwrap())).collect();
        let expected = [
            ("model", "gpt-image-1"),
            ("prompt", "a boat"),
            ("size", "1024x1536"),
            ("output_format", "png"),
            ("input_fidelity", "high"),
            ("list", "[1,2]"),
        ];
        assert_eq!(texts, expected);
        let files: Vec<_> = parts.iter().filter(|(_, file, _)| !file.is_empty()).collect();
        let names: Vec<_> = files.iter().map(|(name, file, _)| (name.as_str(), file.as_str())).collect();
        assert_eq!(names, [("image[]", "image-0.png"), ("image[]", "image-1.png"), ("mask", "mask.png")]);
        assert_eq!((&files[0].2, &files[2].2), (&png(40, 60), &mask(40, 60)));

        let with_model = |request: &pb::GenerateImagesRequest, model: &str| {
            let mut request = request.clone();
            model.clone_into(&mut request.image.as_mut().unwrap().model);
            request
        };
        for (model, code) in [("dall-e-3", tonic::Code::Unimplemented), ("dall-e-2", tonic::Code::InvalidArgument)] {
            let status = server.image_client().await.generate_images(with_model(&request, model)).await.unwrap_err();
            assert_eq!(status.code(), code, "{model}: {status:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn images_of_a_one_image_model_are_several_calls_of_which_one_may_fail() {
    with_local_and_remote_core(async |server| {
        for name in ["dall-e-3.json", "content-policy.400.json", "dall-e-3.json"] {
            server.upstream.enqueue_at(GENERATIONS, reply(server, name));
        }
        let body = json!({"model": "dall-e-3", "prompt": "x", "n": 3, "size": "64x64", "response_format": "b64_json"});
        let response = json_body(server.post(GENERATIONS, &body).await).await;
        assert_eq!(response["data"].as_array().unwrap().len(), 2);
        assert_eq!(response["failures"][0]["code"], "content_policy_violation");
        for _ in 0..3 {
            assert!(server.upstream.received().await.json().get("n").is_none());
        }
    })
    .await;
}

#[tokio::test]
async fn provider_link_is_downloaded_and_not_returned() {
    with_local_and_remote_core(async |server| {
        let picture = png(256, 256);
        server.upstream.enqueue_at(GENERATIONS, reply(server, "dall-e-2-link.json"));
        server.upstream.enqueue_at("/files/1.png?sig=a%2Fb", Reply::file("application/octet-stream", &picture));
        let body = json!({"model": "dall-e-2", "prompt": "x", "size": "256x256"});
        let response = json_body(server.post(GENERATIONS, &body).await).await;
        let url = response["data"][0]["url"].as_str().unwrap();
        let kept = server.request(Method::GET, url.strip_prefix(&server.url("")).unwrap()).send().await.unwrap();
        assert_eq!(
            kept.bytes().await.unwrap(),
            picture,
            "an image of the requested size and format is stored unchanged"
        );
        server.upstream.received().await;
        assert_eq!(server.upstream.received().await.path, "/files/1.png?sig=a%2Fb");

        server.upstream.enqueue_at(GENERATIONS, reply(server, "dall-e-2-link.json"));
        server.upstream.enqueue_at("/files/1.png?sig=a%2Fb", Reply::new(404, "expired"));
        let (status, error) = error_body(server.post(GENERATIONS, &body).await).await;
        assert_eq!((status.as_u16(), error["code"].as_str()), (500, Some("upstream_unreadable")), "{error}");
        assert!(!error.to_string().contains("files/1.png"), "{error}");
        server.upstream.received().await;
        server.upstream.received().await;
    })
    .await;
}

#[tokio::test]
async fn connected_provider_is_the_default_and_the_built_in_engine_stays_available() {
    with_local_and_remote_core(async |server| {
        let models = json_body(server.request(Method::GET, "/v1/models").send().await.unwrap()).await;
        let ids: Vec<_> =
            models["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
        assert!(ids.contains(&"dall-e-3") && ids.contains(&"offline-image"), "{ids:?}");
        let body =
            json!({"prompt": "a pond", "size": "64x64", "model": "offline-image", "response_format": "b64_json"});
        assert_eq!(size(&decoded(&json_body(server.post(GENERATIONS, &body).await).await["data"][0])), (64, 64));
        server.upstream.enqueue_at(GENERATIONS, reply(server, "gpt-image.json"));
        let response =
            json_body(within_timeout("a response", server.post(GENERATIONS, &json!({"prompt": "x"}))).await).await;
        assert!(response["data"][0]["url"].is_string());
        assert_eq!(server.upstream.received().await.json()["model"], "gpt-image-1");
    })
    .await;
}
