//! The image provider `doubao`, Seedream models of ByteDance's Volcengine Ark: requests to the upstream, its responses over
//! REST and gRPC, failures.

use core_service::config::{ImageServiceType, Settings};
use futures_util::TryStreamExt;
use reqwest::Method;
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

const MODEL: &str = "doubao-seedream-4-0-250828";
const PATH: &str = "/api/v3/images/generations";
/// The paths of the images in the fixtures.
const LINKS: [&str; 2] = [
    "/tos/1.jpeg?X-Tos-Algorithm=TOS4-HMAC-SHA256&X-Tos-Expires=86400&X-Tos-Signature=a%2Fb",
    "/tos/2.jpeg?X-Tos-Algorithm=TOS4-HMAC-SHA256&X-Tos-Expires=86400&X-Tos-Signature=a%2Fb",
];
const PROVIDER: ProviderCase = ProviderCase { model: MODEL, path: PATH, key: "ark-secret" };

/// The number of requested images, the upstream's responses, and the outcome.
fn table() -> Vec<(u32, &'static [&'static str], Outcome)> {
    let partly = |failure: &str| Outcome { failures: vec![failure.to_owned()], ..succeeds(1).with_tokens(4254) };
    vec![
        (1, &["image.json"], succeeds(1).with_tokens(4254)),
        (2, &["image.json", "image.json"], succeeds(2).with_tokens(8508)),
        (2, &["image.json", "withheld.json"], Outcome { tokens: 4254, ..partly("content_policy_violation") }),
        (2, &["output.400.json", "image.json"], partly("content_policy_violation")),
        (2, &["image.json", "generation-failed.json"], partly("upstream_unavailable")),
        (1, &["withheld.json"], fails("content_policy_violation")),
        (1, &["generation-failed.json"], fails("upstream_unavailable")),
        (1, &["error-in-success.json"], fails("upstream_unavailable")),
        (1, &["blocked-in-success.json"], fails("content_policy_violation")),
        (1, &["private-link.json"], fails("upstream_unreadable")),
        (1, &["empty.json"], fails("upstream_unreadable")),
        (1, &["no-image.json"], fails("upstream_unreadable")),
        (1, &["no-base64.json"], fails("upstream_unreadable")),
        (1, &["not-an-image.json"], fails("upstream_unreadable")),
        (1, &["html-page.json"], fails("upstream_unreadable")),
        (1, &["size.400.json"], fails("upstream_refused")),
        (1, &["missing.400.json"], fails("upstream_refused")),
        (1, &["format.400.json"], fails("upstream_refused")),
        (1, &["prompt.400.json"], fails("content_policy_violation")),
        (1, &["person.400.json"], fails("content_policy_violation")),
        (1, &["risk.400.json"], fails("content_policy_violation")),
        (1, &["content-check-failed.400.json"], fails("upstream_unavailable")),
        (1, &["closed.400.json"], fails("upstream_unavailable")),
        (1, &["invalid-key.401.json"], fails("provider_credentials")),
        (1, &["overdue.403.json"], fails("provider_credentials")),
        (1, &["denied.403.json"], fails("provider_credentials")),
        (1, &["model.404.json"], fails("upstream_unavailable")),
        (1, &["not-open.404.json"], fails("upstream_unavailable")),
        (1, &["rate.429.json"], fails("rate_limit_exceeded")),
        (1, &["account-rate.429.json"], fails("rate_limit_exceeded")),
        (1, &["overloaded.429.json"], fails("rate_limit_exceeded")),
        (1, &["account-limit.429.json"], fails("provider_credentials")),
        (1, &["internal-error.500.json"], fails("upstream_unavailable")),
        (1, &["html-page.502.html"], fails("upstream_unavailable")),
    ]
}

/// Responses to a request for a series: two images of one call, which the model keeps consistent. With the outcome of each.
fn series() -> Vec<(&'static str, Outcome)> {
    let partly =
        |failure: &str, tokens| Outcome { failures: vec![failure.to_owned()], ..succeeds(1).with_tokens(tokens) };
    vec![
        ("series-withheld.sse", partly("content_policy_violation", 4254)),
        ("series-short.sse", partly("upstream_refused", 4254)),
        ("series-failed.sse", partly("upstream_unavailable", 0)),
        ("series-aborted.sse", partly("upstream_unavailable", 0)),
        ("series-error.sse", partly("upstream_unavailable", 0)),
        ("series-blocked.sse", fails("InputTextSensitiveContentDetected")),
        // A proxy that does not support streaming sends one JSON document.
        ("image.json", partly("upstream_refused", 4254)),
        ("prompt.400.json", fails("InputTextSensitiveContentDetected")),
    ]
}

fn fixtures() -> Fixtures {
    Fixtures::new("doubao")
}

fn configure(settings: &mut Settings, _: &mut rest_gateway::Settings) {
    settings.image.service_type = ImageServiceType::Doubao;
    let mut base = settings.chat.base_url.clone().unwrap();
    base.set_path("/api/v3");
    settings.image.doubao.base_url = Some(base);
    settings.image.doubao.api_key = Some(PROVIDER.key.into());
}

async fn with_local_and_remote_core(test: impl AsyncFn(&TestServer)) {
    with_local_and_remote_core_and_settings(configure, test).await;
}

/// Returns the image of `image.json`.
fn jpeg(server: &TestServer) -> Vec<u8> {
    let response: Value = serde_json::from_str(&fixtures().text(server, "image.json")).unwrap();
    decoded(&response["data"][0])
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
    let tested = table().into_iter().flat_map(|(_, names, _)| names).copied();
    let tested = tested.chain(series().into_iter().map(|(name, _)| name));
    let tested = tested.chain(["README.md", "link.json", "series.sse"]);
    assert_eq!(fixtures().names(), tested.map(str::to_owned).collect());
}

#[tokio::test]
async fn size_is_mapped_to_one_that_the_model_supports_and_the_image_resized() {
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
    with_local_and_remote_core(async |server| {
        for (model, requested, expected) in &rows {
            server.upstream.enqueue_at(PATH, fixtures().reply(server, "image.json"));
            let body = json!({"model": model, "prompt": "a boat", "size": requested, "output_format": "jpeg", "seed": 7,
                              "optimize_prompt_options": {"thinking": "disabled"}, "response_format": "b64_json"});
            let picture = decoded(&json_body(server.post(GENERATIONS, &body).await).await["data"][0]);
            let (width, height) = size(&picture);
            assert_eq!((format!("{width}x{height}").as_str(), &picture[..2]), (*requested, &[0xff, 0xd8][..]));
            let received = server.upstream.received().await;
            assert_eq!(received.header("authorization"), Some("bearer ark-secret"));
            assert!(received.header("x-client-request-id").is_some(), "{}", received.head);
            let mut all = json!({
                "model": model, "prompt": "a boat", "watermark": false, "response_format": "b64_json",
                "optimize_prompt_options": {"thinking": "disabled"},
            });
            all.as_object_mut().unwrap().extend(expected.as_object().unwrap().clone());
            assert_eq!(received.json(), all);
        }
        let clear = json!({"model": MODEL, "prompt": "x", "background": "transparent"});
        let (status, error) = error_body(server.post(GENERATIONS, &clear).await).await;
        assert_eq!((status.as_u16(), &error["param"]), (400, &json!("background")));
    })
    .await;
}

#[tokio::test]
async fn provider_link_is_downloaded_without_the_key_and_not_returned() {
    with_local_and_remote_core(async |server| {
        let picture = jpeg(server);
        server.upstream.enqueue_at(PATH, fixtures().reply(server, "link.json"));
        server.upstream.enqueue_at(LINKS[0], Reply::file("application/octet-stream", &picture));
        let body = json!({"model": MODEL, "prompt": "x", "size": "1320x825", "output_format": "jpeg"});
        let response_body = json_body(server.post(GENERATIONS, &body).await).await;
        let url = response_body["data"][0]["url"].as_str().unwrap();
        let kept = server.request(Method::GET, url.strip_prefix(&server.url("")).unwrap()).send().await.unwrap();
        assert_eq!(
            kept.bytes().await.unwrap(),
            picture,
            "an image of the requested size and format is stored unchanged"
        );
        server.upstream.received().await;
        let received = server.upstream.received().await;
        assert_eq!((received.path.as_str(), received.header("authorization")), (LINKS[0], None));

        server.upstream.enqueue_at(PATH, fixtures().reply(server, "link.json"));
        server.upstream.enqueue_at(LINKS[0], Reply::new(403, "<Error><Code>AccessDenied</Code></Error>"));
        let (status, error) = error_body(server.post(GENERATIONS, &body).await).await;
        assert_eq!((status.as_u16(), error["code"].as_str()), (500, Some("upstream_unreadable")), "{error}");
        assert!(!error.to_string().contains("/tos/"), "{error}");
        server.upstream.received().await;
        server.upstream.received().await;
    })
    .await;
}

#[tokio::test]
async fn edit_sends_its_images_as_data_urls_and_rejects_a_mask() {
    let input = |width| pb::MediaInput { source: Some(pb::media_input::Source::Data(png(width, 8).into())) };
    with_local_and_remote_core(async |server| {
        server.upstream.enqueue_at(PATH, fixtures().reply(server, "image.json"));
        let mut request = generate_request(MODEL, 1, "auto");
        let image = request.image.as_mut().unwrap();
        image.pictures = vec![input(16), input(9)];
        let response = server.image_client().await.generate_images(request.clone()).await.unwrap().into_inner();
        assert_eq!(size(&response.pictures[0].data), (1320, 825), "the size of the model's image");
        let received = server.upstream.received().await.json();
        assert_eq!(received["size"], "1450x725", "the first image's aspect ratio");
        for (address, width) in received["image"].as_array().unwrap().iter().zip([16, 9]) {
            let encoded = address.as_str().unwrap().strip_prefix("data:image/png;base64,").unwrap();
            assert_eq!(decoded(&json!({"b64_json": encoded})), png(width, 8));
        }

        request.image.as_mut().unwrap().mask = Some(input(16));
        let status = server.image_client().await.generate_images(request.clone()).await.unwrap_err();
        assert_eq!((status.code(), status.message().contains("mask")), (Code::Unimplemented, true), "{status:?}");
        let image = request.image.as_mut().unwrap();
        // One more than the model accepts.
        (image.mask, image.pictures) = (None, vec![input(8); 15]);
        let status = server.image_client().await.generate_images(request.clone()).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
        let image = request.image.as_mut().unwrap();
        (image.model, image.pictures) = ("doubao-seedream-3-0-t2i-250415".to_owned(), vec![input(8)]);
        let status = server.image_client().await.generate_images(request).await.unwrap_err();
        assert_eq!(status.code(), Code::Unimplemented, "{status:?}");
    })
    .await;
}

/// Returns a request for a series of two images.
fn series_of_two(stream: bool) -> Value {
    json!({"model": MODEL, "prompt": "a boat", "n": 2, "size": "320x200", "sequential_image_generation": "auto",
           "stream": stream, "response_format": "b64_json"})
}

#[tokio::test]
async fn images_of_a_series_are_forwarded_one_by_one() {
    with_local_and_remote_core(async |server| {
        let gate = Latch::new();
        let text = fixtures().text(server, "series.sse");
        let split = text.find("/tos/1.jpeg").unwrap();
        let split = split + text[split..].find("\n\n").unwrap() + 2;
        // The second image is sent after the test has received the first.
        let reply = || Reply::stream().send(&text[..split]).wait_for(&gate).send(&text[split..]);
        let links = || LINKS.map(|link| server.upstream.enqueue_at(link, Reply::file("image/jpeg", &jpeg(server))));
        server.upstream.enqueue_at(PATH, reply());
        links();
        let mut events = Events::new(server.post(GENERATIONS, &series_of_two(true)).await);
        let completed = |event: &str| {
            let event = event_data(event.split_once('\n').unwrap().1);
            assert_eq!(
                (event["type"].as_str(), size(&decoded(&event))),
                (Some("image_generation.completed"), (320, 200))
            );
            (event["image_index"].as_u64().unwrap(), event["usage"]["total_tokens"].as_u64())
        };
        assert_eq!(completed(&events.next().await.unwrap()).0, 0);
        gate.open();
        let rest = events.read_all().await;
        assert_eq!((rest.len(), completed(&rest[0])), (1, (1, Some(8508))));
        let received = server.upstream.received().await.json();
        assert_eq!(
            (&received["stream"], &received["sequential_image_generation_options"]),
            (&json!(true), &json!({"max_images": 2}))
        );
        assert_eq!(received["prompt"], "a boat\n\nA series of 2 pictures");
        server.upstream.skip_requests(LINKS.len()).await;

        server.upstream.enqueue_at(PATH, reply());
        links();
        let mut image = generate_request(MODEL, 2, "320x200").image.unwrap();
        image.extra_json = r#"{"sequential_image_generation":"auto"}"#.to_owned();
        let request = pb::StreamImagesRequest { image: Some(image), ..pb::StreamImagesRequest::default() };
        let mut events = server.image_client().await.stream_images(request).await.unwrap().into_inner();
        let first = events.message().await.unwrap().unwrap().event.unwrap();
        assert!(matches!(first, Event::Finished(finished) if finished.picture_index == 0));
        gate.open();
        let rest: Vec<_> = events.map_ok(|event| event.event.unwrap()).try_collect().await.unwrap();
        assert!(
            matches!(&rest[..], [Event::Finished(last)] if last.usage.is_some_and(|usage| usage.total_tokens == 8508))
        );
        server.upstream.skip_requests(3).await;
    })
    .await;
}

#[tokio::test]
async fn incomplete_series_returns_its_images_and_failures() {
    with_local_and_remote_core(async |server| {
        for (name, expected) in series() {
            for api in ["unary", "streamed"] {
                let reply = if name.starts_with("series") {
                    Reply::stream().send(&fixtures().text(server, name))
                } else {
                    fixtures().reply(server, name)
                };
                server.upstream.enqueue_at(PATH, reply);
                let response = server.post(GENERATIONS, &series_of_two(api == "streamed")).await;
                let outcome = match (api, response.status().as_u16()) {
                    ("unary", 200) => {
                        let response_body = json_body(response).await;
                        let failures = response_body["failures"].as_array().unwrap().iter();
                        Outcome {
                            failures: failures.map(|failure| failure["code"].as_str().unwrap().to_owned()).collect(),
                            tokens: response_body["usage"]["total_tokens"].as_u64().unwrap_or_default(),
                            ..succeeds(response_body["data"].as_array().unwrap().len())
                        }
                    }
                    ("streamed", 200) => {
                        // A failure after the first image does not withdraw that image.
                        let events = Events::new(response).read_all().await;
                        let first = event_data(events[0].split_once('\n').unwrap().1);
                        let has_image = first["type"] == "image_generation.completed";
                        assert_eq!((has_image, events.len()), (expected.images == 1, 1 + expected.images), "{name}");
                        server.upstream.received().await;
                        continue;
                    }
                    _ => fails(error_body(response).await.1["code"].as_str().unwrap()),
                };
                assert_eq!(outcome, expected, "{name}, {api}");
                server.upstream.received().await;
            }
        }
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
        PROVIDER.assert_failure(server, Reply::new(400, "{\"error\":").abort(), 400, "upstream_refused").await;
        PROVIDER.assert_timeouts(server, &body_text).await;
        let rate_limited = fixtures().reply(server, "rate.429.json").header("retry-after", "7");
        PROVIDER.assert_opens_breaker(server, rate_limited, 7).await;
    })
    .await;
}

#[tokio::test]
async fn client_disconnect_closes_the_upstream_connection() {
    with_local_and_remote_core(async |server| {
        for (n, extra) in [(1, json!({})), (2, json!({"sequential_image_generation": "auto"}))] {
            PROVIDER.assert_client_disconnect(server, n, extra).await;
        }
    })
    .await;
}

#[tokio::test]
async fn extra_members_of_a_form_reach_the_upstream_with_their_types() {
    with_local_and_remote_core(async |server| {
        server.upstream.enqueue_at(PATH, fixtures().reply(server, "image.json"));
        let mut form = Vec::new();
        for (name, value) in [
            ("model", MODEL),
            ("prompt", "007"),
            ("stream", "False"),
            ("seed", ""),
            ("guidance_scale", "5.5"),
            ("negative", "True"),
            ("tools", r#"[{"type":"web_search"}]"#),
            ("optimize_prompt_options[mode]", "fast"),
            ("tags[]", "a"),
            ("ranges[0][from]", "1"),
        ] {
            let part = format!("--X\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
            form.extend(part.into_bytes());
        }
        // A file input of a page without a chosen file, and one with.
        form.extend(b"--X\r\ncontent-disposition: form-data; name=\"mask\"; filename=\"\"\r\n\r\n\r\n");
        form.extend(b"--X\r\ncontent-disposition: form-data; name=\"image\"; filename=\"a.png\"\r\n\r\n");
        form.extend(png(16, 8));
        form.extend(b"\r\n--X--\r\n");
        let request =
            server.request(Method::POST, "/v1/images/edits").header("content-type", "multipart/form-data; boundary=X");
        let response = request.body(form).send().await.unwrap();
        assert_eq!(response.status(), 200, "{}", response.text().await.unwrap());
        let received = server.upstream.received().await.json();
        let members = ["prompt", "guidance_scale", "negative", "tools", "optimize_prompt_options", "tags", "ranges"];
        let sent: Vec<_> = members.iter().map(|name| received[*name].clone()).collect();
        let tools = json!([{"type": "web_search"}]);
        let expected = json!(["007", 5.5, true, tools, {"mode": "fast"}, ["a"], [{"from": 1}]]);
        assert_eq!(Value::Array(sent), expected);
    })
    .await;
}
