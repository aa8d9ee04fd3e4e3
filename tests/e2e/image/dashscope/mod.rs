//! The image provider `dashscope`, Qwen-Image and Wan models of Alibaba Cloud: requests to the upstream, its responses over
//! REST and gRPC, failures. Models that answer a call at once are tested here, those that run as tasks in `tasks`.

mod tasks;

use core_service::config::{ImageServiceType, Settings};
use serde_json::json;
use tonic::Code;
use triptych_proto::v1 as pb;

use super::{
    decoded,
    provider_case::{
        Fixtures, GENERATIONS, Outcome, ProviderCase, assert_requests, enqueue_all, fails, generate_request, json_body,
        png, succeeds,
    },
    size,
};
use crate::{
    fake_upstream::Reply,
    test_server::{TestServer, with_local_and_remote_core_and_settings},
};

const MODEL: &str = "qwen-image-2.0";
const PATH: &str = "/api/v1/services/aigc/multimodal-generation/generation";
/// The paths of the images in the fixtures.
const LINKS: [&str; 2] = [
    "/oss/1.png?Expires=1795436400&OSSAccessKeyId=x&Signature=a%2Fb",
    "/oss/2.png?Expires=1795436400&OSSAccessKeyId=x&Signature=a%2Fb",
];
const PROVIDER: ProviderCase = ProviderCase { model: MODEL, path: PATH, key: "dash-secret" };

/// The number of requested images, the upstream's response, how many of its links work, and the outcome.
fn table() -> Vec<(u32, &'static str, usize, Outcome)> {
    let partly = |failure: &str| Outcome { failures: vec![failure.to_owned()], ..succeeds(1) };
    vec![
        (1, "image.json", 1, succeeds(1)),
        (2, "two.json", 2, succeeds(2)),
        (2, "two-choices.json", 2, succeeds(2)),
        (2, "two.json", 1, partly("upstream_unreadable")),
        (2, "image.json", 1, partly("upstream_unreadable")),
        (1, "image.json", 0, fails("upstream_unreadable")),
        (1, "private-link.json", 0, fails("upstream_unreadable")),
        (1, "text-only.json", 0, fails("upstream_refused")),
        (1, "empty.json", 0, fails("upstream_unreadable")),
        (1, "html-page.json", 0, fails("upstream_unreadable")),
        (1, "blocked-in-success.json", 0, fails("content_policy_violation")),
        (1, "throttled-in-success.json", 0, fails("rate_limit_exceeded")),
        (1, "size.400.json", 0, fails("upstream_refused")),
        (1, "invalid-url.400.json", 0, fails("upstream_refused")),
        (1, "blocked.400.json", 0, fails("content_policy_violation")),
        (1, "ip-infringement.400.json", 0, fails("content_policy_violation")),
        (1, "arrears.400.json", 0, fails("provider_credentials")),
        (1, "invalid-key.401.json", 0, fails("provider_credentials")),
        (1, "unpurchased.403.json", 0, fails("provider_credentials")),
        (1, "free-tier-only.403.json", 0, fails("provider_credentials")),
        (1, "model.404.json", 0, fails("upstream_unavailable")),
        (1, "timeout.408.json", 0, fails("upstream_timeout")),
        (1, "too-large.413.json", 0, fails("upstream_refused")),
        (1, "rate.429.json", 0, fails("rate_limit_exceeded")),
        (1, "internal-error.500.json", 0, fails("upstream_unavailable")),
        (1, "timeout.500.json", 0, fails("upstream_timeout")),
        (1, "unavailable.503.json", 0, fails("upstream_unavailable")),
        (1, "html-page.502.html", 0, fails("upstream_unavailable")),
    ]
}

fn fixtures() -> Fixtures {
    Fixtures::new("dashscope")
}

fn configure(settings: &mut Settings, _: &mut rest_gateway::Settings) {
    settings.image.service_type = ImageServiceType::Dashscope;
    let mut base = settings.chat.base_url.clone().unwrap();
    base.set_path("/");
    settings.image.dashscope.base_url = Some(base);
    settings.image.dashscope.api_key = Some(PROVIDER.key.into());
}

async fn with_local_and_remote_core(test: impl AsyncFn(&TestServer)) {
    with_local_and_remote_core_and_settings(configure, test).await;
}

/// Returns the reply to a request for `path`, and those to its links, of which the first `working_links` succeed.
fn exchanges(server: &TestServer, path: &str, name: &str, working_links: usize) -> Vec<(String, Reply)> {
    let text = fixtures().text(server, name);
    let links = LINKS.into_iter().filter(|link| text.contains(link)).enumerate().map(|(place, link)| {
        let file =
            if place < working_links { Reply::file("image/png", &png(512, 320)) } else { Reply::new(403, "<Error/>") };
        (link.to_owned(), file)
    });
    [(path.to_owned(), fixtures().reply(server, name))].into_iter().chain(links).collect()
}

fn enqueue_exchange(server: &TestServer, name: &str, working_links: usize) -> Vec<String> {
    enqueue_all(server, exchanges(server, PATH, name, working_links))
}

#[tokio::test]
async fn every_response_gives_the_same_outcome_over_rest_and_grpc() {
    with_local_and_remote_core(async |server| {
        for (n, name, working_links, expected) in table() {
            PROVIDER.assert_outcome(server, n, name, || exchanges(server, PATH, name, working_links), &expected).await;
        }
    })
    .await;
}

#[test]
fn every_fixture_is_tested() {
    let tested = table().into_iter().map(|(_, name, ..)| name).chain(tasks::names()).chain(["README.md"]);
    assert_eq!(fixtures().names(), tested.map(str::to_owned).collect());
}

#[tokio::test]
async fn size_is_mapped_to_one_that_the_model_supports_and_the_image_resized() {
    let rows = [
        (MODEL, "320x200", json!({"size": "680*425", "n": 1, "seed": 7})),
        ("qwen-image-plus", "1792x1024", json!({"size": "1664*928", "seed": 7})),
        ("wan2.6-t2i", "1024x1024", json!({"size": "1280*1280", "n": 1, "seed": 7})),
    ];
    with_local_and_remote_core(async |server| {
        for (model, requested, parameters) in &rows {
            enqueue_exchange(server, "image.json", 1);
            let body = json!({"model": model, "prompt": "a boat", "size": requested, "output_format": "jpeg", "seed": 7,
                              "prompt_extend": false, "response_format": "b64_json"});
            let picture = decoded(&json_body(server.post(GENERATIONS, &body).await).await["data"][0]);
            let (width, height) = size(&picture);
            assert_eq!((format!("{width}x{height}").as_str(), &picture[..2]), (*requested, &[0xff, 0xd8][..]));
            let mut parameters = parameters.clone();
            (parameters["watermark"], parameters["prompt_extend"]) = (json!(false), json!(false));
            let messages = json!([{"role": "user", "content": [{"text": "a boat"}]}]);
            let expected = json!({"model": model, "input": {"messages": messages}, "parameters": parameters});
            let received = server.upstream.received().await;
            assert_eq!((received.header("authorization"), received.json()), (Some("bearer dash-secret"), expected));
            assert!(server.upstream.received().await.header("authorization").is_none(), "a signed link needs no key");
        }
    })
    .await;
}

#[tokio::test]
async fn images_above_the_limit_of_one_call_are_requested_in_several() {
    with_local_and_remote_core(async |server| {
        let names = ["image.json", "blocked.400.json", "image.json"];
        let paths = names.into_iter().flat_map(|name| enqueue_exchange(server, name, 1)).collect();
        let body =
            json!({"model": "qwen-image", "prompt": "x", "n": 3, "size": "64x64", "response_format": "b64_json"});
        let response_body = json_body(server.post(GENERATIONS, &body).await).await;
        assert_eq!(response_body["data"].as_array().unwrap().len(), 2);
        assert_eq!(response_body["failures"][0]["code"], "content_policy_violation");
        assert_requests(server, paths).await;
    })
    .await;
}

#[tokio::test]
async fn edit_sends_its_images_before_the_prompt_and_rejects_a_mask() {
    let input = |width| pb::MediaInput { source: Some(pb::media_input::Source::Data(png(width, 8).into())) };
    with_local_and_remote_core(async |server| {
        enqueue_exchange(server, "image.json", 1);
        let mut request = generate_request(MODEL, 1, "auto");
        request.image.as_mut().unwrap().pictures = vec![input(16), input(9)];
        let response = server.image_client().await.generate_images(request.clone()).await.unwrap().into_inner();
        assert_eq!(size(&response.pictures[0].data), (512, 320), "the size of the model's image");
        let received = server.upstream.received().await.json();
        let content = received["input"]["messages"][0]["content"].as_array().unwrap();
        assert_eq!((content.len(), &content[2]["text"]), (3, &json!("a boat")));
        for (part, width) in content.iter().zip([16, 9]) {
            let encoded = part["image"].as_str().unwrap().strip_prefix("data:image/png;base64,").unwrap();
            assert_eq!(decoded(&json!({"b64_json": encoded})), png(width, 8));
        }
        server.upstream.received().await;

        let code = async |request: &pb::GenerateImagesRequest| {
            server.image_client().await.generate_images(request.clone()).await.unwrap_err().code()
        };
        request.image.as_mut().unwrap().mask = Some(input(16));
        assert_eq!(code(&request).await, Code::Unimplemented);
        let image = request.image.as_mut().unwrap();
        // One more than the model accepts.
        (image.mask, image.pictures) = (None, vec![input(8); 4]);
        assert_eq!(code(&request).await, Code::InvalidArgument);
        "wan2.6-t2i".clone_into(&mut request.image.as_mut().unwrap().model);
        assert_eq!(code(&request).await, Code::Unimplemented);
    })
    .await;
}

#[tokio::test]
async fn connection_loss_and_timeout_are_reported() {
    let adjust = |settings: &mut Settings, gateway: &mut _| {
        configure(settings, gateway);
        settings.image.first_byte_timeout = std::time::Duration::from_millis(500);
    };
    with_local_and_remote_core_and_settings(adjust, async |server| {
        let body_text = fixtures().text(server, "image.json");
        PROVIDER.assert_connection_loss(server, &body_text).await;
        PROVIDER.assert_failure(server, Reply::new(429, "{\"code\":").abort(), 429, "rate_limit_exceeded").await;
        PROVIDER.assert_timeouts(server, &body_text).await;
    })
    .await;
}

#[tokio::test]
async fn client_disconnect_closes_the_upstream_connection() {
    with_local_and_remote_core(async |server| PROVIDER.assert_client_disconnect(server, 1, json!({})).await).await;
}
