//! Estimates of the cost of a request: `/v1/estimate/videos`, `/v1/estimate/images`, `EstimateVideo` and `EstimateImages`.

use super::*;
use crate::rest_response::error_body;

const VIDEOS: &str = "/v1/estimate/videos";
const IMAGES: &str = "/v1/estimate/images";

/// A picture of 2 by 4 pixels.
const PORTRAIT: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAIAAAAECAIAAAArjXluAAAAEElEQVR4nGPQCKgAIgZsFABmnAeBfDlcxwAAAABJRU5ErkJggg==";

async fn estimate(server: &TestServer, path: &str, body: &Value) -> Value {
    json_body(post(server, ALICE, path, body).await).await
}

#[tokio::test]
async fn estimate_of_a_video_is_what_its_create_reserves_and_creates_nothing() {
    let limits = AccountLimits { requests_per_minute: 1, ..AccountLimits::default() };
    with_prices(limits, async |server| {
        let body = json!({"prompt": "a boat", "size": "64x64", "seconds": 3, "model": "offline-video"});
        for _ in 0..3 {
            let estimate = estimate(server, VIDEOS, &body).await;
            assert_eq!((&estimate["cost"], &estimate["cost_micros"]), (&json!("0.30"), &json!(300_000)));
        }
        assert_eq!(json_body(get(server, ALICE, "/v1/videos").await).await["data"], json!([]));
        assert_eq!(json_body(get(server, ALICE, "/v1/budgets").await).await["data"][0]["reserved"], "0.00");
        let estimated = estimate(server, VIDEOS, &body).await;
        // The only create of the minute is still permitted.
        let created = json_body(post(server, ALICE, "/v1/videos", &body).await).await;
        assert_eq!(created["estimated_cost"], estimated["cost"]);
        for member in ["price_version", "model", "size", "seconds"] {
            assert_eq!(created[member], estimated[member], "{member}");
        }
        let request = pb::CreateVideoRequest {
            prompt: "a boat".to_owned(),
            duration_seconds: Some(3),
            model: "offline-video".to_owned(),
            ..pb::CreateVideoRequest::default()
        };
        let request = with_key(pb::EstimateVideoRequest { video: Some(request) }, ALICE);
        let reply = server.usage_client().await.estimate_video(request).await.unwrap().into_inner().estimate.unwrap();
        assert_eq!((reply.cost_micros, reply.size.as_str(), reply.duration_seconds), (Some(300_000), "1920x1080", 3));
    })
    .await;
}

#[tokio::test]
async fn inputs_of_a_video_decide_its_price_and_frames_by_url_are_not_fetched() {
    with_prices(AccountLimits::default(), async |server| {
        let body = |more: Value| {
            let mut body = json!({"prompt": "a boat", "seconds": 1, "model": "offline-video", "resolution": "720p"});
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            body
        };
        // Nothing listens there: a fetch would fail.
        let url = "http://127.0.0.1:9/clip";
        let reference = json!([{"type": "video_url", "video_url": {"url": url}}]);
        let with_video = estimate(server, VIDEOS, &body(json!({"input_references": reference}))).await;
        assert_eq!((&with_video["cost"], &with_video["video_input"]), (&json!("0.30"), &json!(true)));
        let by_url = estimate(server, VIDEOS, &body(json!({"input_reference": {"image_url": url}}))).await;
        assert_eq!((&by_url["cost"], &by_url["frame_size_unknown"]), (&json!("0.10"), &json!(true)));
        let of_known_size = body(json!({"input_reference": {"image_url": url}, "aspect_ratio": "1:1"}));
        assert_eq!(estimate(server, VIDEOS, &of_known_size).await["frame_size_unknown"], false);
        let data = format!("data:image/png;base64,{PORTRAIT}");
        let given = estimate(server, VIDEOS, &body(json!({"input_reference": {"image_url": data}}))).await;
        assert_eq!((&given["size"], &given["frame_size_unknown"]), (&json!("720x1440"), &json!(false)));
    })
    .await;
}

#[tokio::test]
async fn estimate_of_images_is_the_highest_price_that_their_parameters_permit() {
    with_prices(AccountLimits::default(), async |server| {
        for (members, cost) in [
            (json!({"n": 3, "quality": "high"}), "0.24"),
            (json!({"n": 3, "quality": "low"}), "0.06"),
            // The provider chooses the quality.
            (json!({"n": 1}), "0.08"),
        ] {
            let mut body = json!({"prompt": "a boat", "model": "offline-image"});
            body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
            assert_eq!(estimate(server, IMAGES, &body).await["cost"], cost, "{members}");
        }
        let edit = json!({"prompt": "a boat", "model": "offline-image", "quality": "low", "image": PORTRAIT});
        let edit = estimate(server, IMAGES, &edit).await;
        assert_eq!((&edit["cost"], &edit["n"], &edit["size"]), (&json!("0.02"), &json!(1), &json!("auto")));
        let image = pb::ImageRequest { prompt: "a boat".to_owned(), n: Some(2), ..pb::ImageRequest::default() };
        let request = with_key(pb::EstimateImagesRequest { image: Some(image) }, ALICE);
        let reply = server.usage_client().await.estimate_images(request).await.unwrap().into_inner().estimate.unwrap();
        assert_eq!((reply.cost_micros, reply.model.as_str()), (Some(160_000), "offline-image"));
        assert_eq!(json_body(get(server, ALICE, "/v1/budgets").await).await["data"][0]["reserved"], "0.00");
    })
    .await;
}

#[tokio::test]
async fn estimate_is_refused_as_the_create_would_be() {
    let limits = AccountLimits { models: vec!["offline-*".to_owned()], ..AccountLimits::default() };
    with_prices(limits, async |server| {
        for (path, create, body, status, param) in [
            (VIDEOS, "/v1/videos", json!({"prompt": "a boat", "seconds": 61}), 400, "seconds"),
            (VIDEOS, "/v1/videos", json!({"prompt": " "}), 400, "prompt"),
            (VIDEOS, "/v1/videos", json!({"prompt": "a boat", "model": "unknown"}), 404, "model"),
            (IMAGES, "/v1/images/generations", json!({"prompt": "a boat", "n": 11}), 400, "n"),
            (IMAGES, "/v1/images/generations", json!({"prompt": "a boat", "model": MODEL}), 404, "model"),
        ] {
            let estimated = error_body(post(server, ALICE, path, &body).await).await;
            assert_eq!((estimated.0.as_u16(), &estimated.1["param"]), (status, &json!(param)), "{body}");
            assert_eq!(estimated, error_body(post(server, ALICE, create, &body).await).await);
        }
        let missing =
            server.usage_client().await.estimate_video(with_key(pb::EstimateVideoRequest::default(), ALICE)).await;
        assert_eq!(missing.unwrap_err().code(), Code::InvalidArgument);
    })
    .await;
    let limits = AccountLimits { models: vec!["other-*".to_owned()], ..AccountLimits::default() };
    with_prices(limits, async |server| {
        for path in [VIDEOS, IMAGES] {
            let (status, error) = error_body(post(server, ALICE, path, &json!({"prompt": "a boat"})).await).await;
            assert_eq!((status.as_u16(), &error["code"]), (403, &json!("model_not_allowed")), "{path}");
        }
    })
    .await;
}

#[tokio::test]
async fn list_price_of_the_vendor_is_the_estimate_unless_a_price_is_set_or_it_is_off() {
    let video = json!({"prompt": "cat", "model": "grok-imagine-video-1.5", "seconds": 5, "resolution": "720p"});
    let image = json!({"prompt": "cat", "model": "gemini-3-pro-image", "size": "1024x1024"});
    let own = Price { model: "grok-*".to_owned(), per_second: usd("1"), ..Price::default() };
    for (is_on, prices, of_video, of_image) in [
        (true, Vec::new(), json!("0.70"), json!("0.134")),
        (true, vec![own.clone()], json!("5.00"), json!("0.134")),
        (false, vec![own], json!("5.00"), Value::Null),
        (false, Vec::new(), Value::Null, Value::Null),
    ] {
        let configure = |settings: &mut Settings, gateway: &mut rest_gateway::Settings| {
            gateway.runtime.cors_allow_origins = vec![PAGE.to_owned()];
            settings.video.xai.api_key = Some("never-used".into());
            settings.image.nano_banana.api_key = Some("never-used".into());
            (settings.shipped_prices, settings.prices) = (is_on, prices.clone());
        };
        with_local_and_remote_core_and_settings(configure, async |server| {
            for (path, body, expected) in [(VIDEOS, &video, &of_video), (IMAGES, &image, &of_image)] {
                let estimated = estimate(server, path, body).await;
                assert_eq!(estimated["cost"], *expected, "{estimated}");
            }
        })
        .await;
    }
}
