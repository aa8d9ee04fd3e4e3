//! Qwen-Image and Wan stills behind both doors: what DashScope responses, what it is asked, and how it fails.

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
    test_server::{TestServer, over_both_hops_with},
};

const MODEL: &str = "qwen-image-2.0";
const PATH: &str = "/api/v1/services/aigc/multimodal-generation/generation";
const LINKS: [&str; 2] = [
    "/oss/1.png?Expires=1795436400&OSSAccessKeyId=x&Signature=a%2Fb",
    "/oss/2.png?Expires=1795436400&OSSAccessKeyId=x&Signature=a%2Fb",
];
const PROVIDER: ProviderCase = ProviderCase { model: MODEL, path: PATH, key: "dash-secret" };

/// How many pictures are asked for, the response, how many links of it work, and what becomes of them.
fn table() -> Vec<(u32, &'static str, usize, Outcome)> {
    let partly = |failure: &str| Outcome { failures: vec![failure.to_owned()], ..succeeds(1, 0) };
    vec![
        (1, "picture.json", 1, succeeds(1, 0)),
        (2, "two.json", 2, succeeds(2, 0)),
        (2, "two-choices.json", 2, succeeds(2, 0)),
        (2, "two.json", 1, partly("upstream_unreadable")),
        (2, "picture.json", 1, partly("upstream_unreadable")),
        (1, "picture.json", 0, fails("upstream_unreadable")),
        (1, "private-link.json", 0, fails("upstream_unreadable")),
        (1, "words.json", 0, fails("upstream_refused")),
        (1, "empty.json", 0, fails("upstream_unreadable")),
        (1, "page.json", 0, fails("upstream_unreadable")),
        (1, "blocked-in-success.json", 0, fails("content_policy_violation")),
        (1, "throttled-in-success.json", 0, fails("rate_limit_exceeded")),
        (1, "size.400.json", 0, fails("upstream_refused")),
        (1, "link.400.json", 0, fails("upstream_refused")),
        (1, "blocked.400.json", 0, fails("content_policy_violation")),
        (1, "infringing.400.json", 0, fails("content_policy_violation")),
        (1, "arrears.400.json", 0, fails("provider_credentials")),
        (1, "key.401.json", 0, fails("provider_credentials")),
        (1, "unpurchased.403.json", 0, fails("provider_credentials")),
        (1, "free.403.json", 0, fails("provider_credentials")),
        (1, "model.404.json", 0, fails("upstream_unavailable")),
        (1, "late.408.json", 0, fails("upstream_timeout")),
        (1, "large.413.json", 0, fails("upstream_refused")),
        (1, "rate.429.json", 0, fails("rate_limit_exceeded")),
        (1, "broken.500.json", 0, fails("upstream_unavailable")),
        (1, "late.500.json", 0, fails("upstream_timeout")),
        (1, "unavailable.503.json", 0, fails("upstream_unavailable")),
        (1, "page.502.html", 0, fails("upstream_unavailable")),
    ]
}

fn fixtures() -> Fixtures {
    Fixtures::of("dashscope")
}

fn configure(settings: &mut Settings, _: &mut rest_gateway::Settings) {
    settings.image.service_type = ImageServiceType::Dashscope;
    let mut base = settings.chat.base_url.clone().unwrap();
    base.set_path("/");
    settings.image.dashscope.base_url = Some(base);
    settings.image.dashscope.api_key = Some(PROVIDER.key.into());
}

async fn over_both_hops(test: impl AsyncFn(&TestServer)) {
    over_both_hops_with(configure, test).await;
}

/// An response to a request at `path`, and what its links lead to, of which so many work.
fn exchanges(server: &TestServer, path: &str, name: &str, works: usize) -> Vec<(String, Reply)> {
    let text = fixtures().text(server, name);
    let links = LINKS.into_iter().filter(|link| text.contains(link)).enumerate().map(|(place, link)| {
        let file = if place < works { Reply::file("image/png", &png(512, 320)) } else { Reply::new(403, "<Error/>") };
        (link.to_owned(), file)
    });
    [(path.to_owned(), fixtures().reply(server, name))].into_iter().chain(links).collect()
}

fn enqueue_exchange(server: &TestServer, name: &str, works: usize) -> Vec<String> {
    enqueue_all(server, exchanges(server, PATH, name, works))
}

#[tokio::test]
async fn every_answer_becomes_the_same_at_both_doors() {
    over_both_hops(async |server| {
        for (n, name, works, expected) in table() {
            PROVIDER.assert_outcome(server, n, name, || exchanges(server, PATH, name, works), &expected).await;
        }
    })
    .await;
}

#[test]
fn every_fixture_is_played() {
    let played = table().into_iter().map(|(_, name, ..)| name).chain(tasks::names()).chain(["README.md"]);
    assert_eq!(fixtures().names(), played.map(str::to_owned).collect());
}

#[tokio::test]
async fn pixels_become_a_size_that_the_model_takes_and_pixels_again() {
    let rows = [
        (MODEL, "320x200", json!({"size": "680*425", "n": 1, "seed": 7})),
        ("qwen-image-plus", "1792x1024", json!({"size": "1664*928", "seed": 7})),
        ("wan2.6-t2i", "1024x1024", json!({"size": "1280*1280", "n": 1, "seed": 7})),
    ];
    over_both_hops(async |server| {
        for (model, asked, parameters) in &rows {
            enqueue_exchange(server, "picture.json", 1);
            let body = json!({"model": model, "prompt": "a boat", "size": asked, "output_format": "jpeg", "seed": 7,
                              "prompt_extend": false, "response_format": "b64_json"});
            let made = decoded(&json_body(server.post(GENERATIONS, &body).await).await["data"][0]);
            let (width, height) = size(&made);
            assert_eq!((format!("{width}x{height}").as_str(), &made[..2]), (*asked, &[0xff, 0xd8][..]));
            let mut parameters = parameters.clone();
            (parameters["watermark"], parameters["prompt_extend"]) = (json!(false), json!(false));
            let messages = json!([{"role": "user", "content": [{"text": "a boat"}]}]);
            let expected = json!({"model": model, "input": {"messages": messages}, "parameters": parameters});
            let received = server.upstream.received().await;
            assert_eq!((received.header("authorization"), received.json()), (Some("bearer dash-secret"), expected));
            assert!(server.upstream.received().await.header("authorization").is_none(), "links are signed already");
        }
    })
    .await;
}

#[tokio::test]
async fn more_pictures_than_a_call_makes_are_several_calls() {
    over_both_hops(async |server| {
        let names = ["picture.json", "blocked.400.json", "picture.json"];
        let paths = names.into_iter().flat_map(|name| enqueue_exchange(server, name, 1)).collect();
        let body =
            json!({"model": "qwen-image", "prompt": "x", "n": 3, "size": "64x64", "response_format": "b64_json"});
        let made = json_body(server.post(GENERATIONS, &body).await).await;
        assert_eq!(made["data"].as_array().unwrap().len(), 2);
        assert_eq!(made["failures"][0]["code"], "content_policy_violation");
        assert_requests(server, paths).await;
    })
    .await;
}

#[tokio::test]
async fn an_edit_sends_its_pictures_before_the_words_and_takes_no_mask() {
    let input = |width| pb::MediaInput { source: Some(pb::media_input::Source::Data(png(width, 8).into())) };
    over_both_hops(async |server| {
        enqueue_exchange(server, "picture.json", 1);
        let mut request = generate_request(MODEL, 1, "auto");
        request.image.as_mut().unwrap().pictures = vec![input(16), input(9)];
        let made = server.image_client().await.generate_images(request.clone()).await.unwrap().into_inner();
        assert_eq!(size(&made.pictures[0].data), (512, 320), "as the model made it");
        let told = server.upstream.received().await.json();
        let content = told["input"]["messages"][0]["content"].as_array().unwrap();
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
        (image.mask, image.pictures) = (None, vec![input(8); 4]);
        assert_eq!(code(&request).await, Code::InvalidArgument);
        "wan2.6-t2i".clone_into(&mut request.image.as_mut().unwrap().model);
        assert_eq!(code(&request).await, Code::Unimplemented);
    })
    .await;
}

#[tokio::test]
async fn an_upstream_that_vanishes_or_dawdles_is_told_as_such() {
    let adjust = |settings: &mut Settings, gateway: &mut _| {
        configure(settings, gateway);
        settings.image.first_byte_timeout = std::time::Duration::from_millis(500);
    };
    over_both_hops_with(adjust, async |server| {
        let whole = fixtures().text(server, "picture.json");
        PROVIDER.assert_connection_loss(server, &whole).await;
        PROVIDER.assert_failure(server, Reply::new(429, "{\"code\":").abort(), 429, "rate_limit_exceeded").await;
        PROVIDER.assert_timeouts(server, &whole).await;
    })
    .await;
}

#[tokio::test]
async fn hanging_up_ends_the_call_to_the_upstream() {
    over_both_hops(async |server| PROVIDER.assert_client_disconnect(server, 1, json!({})).await).await;
}
