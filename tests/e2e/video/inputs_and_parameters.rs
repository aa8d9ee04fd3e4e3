//! Frames, references and the parameters that depend on the model, from REST to the upstream's request. Tested with Seedance.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use triptych_proto::v1 as pb;

use super::{
    create, json_body,
    seedance::{configure, submitted},
    wait_until_final,
};
use crate::{
    rest_response::error_body,
    test_server::{TestServer, with_local_and_remote_core, with_local_and_remote_core_and_settings},
};

/// Starts from images and ends with them; no references.
const FRAMES: &str = "doubao-seedance-1-5-pro-251215";
/// Also accepts references.
const REFERENCES: &str = "doubao-seedance-2-0-260128";

async fn with_seedance(test: impl AsyncFn(&TestServer)) {
    with_local_and_remote_core_and_settings(configure, test).await;
}

/// Returns a data URL with an image of this size.
fn picture(width: u32, height: u32) -> String {
    let mut png = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(width, height).write_to(&mut png, image::ImageFormat::Png).unwrap();
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, png.get_ref());
    format!("data:image/png;base64,{encoded}")
}

/// Asserts that a create is refused, and returns `param` and the message.
async fn refused(server: &TestServer, body: &Value) -> (String, String) {
    let (status, error) = error_body(server.post("/v1/videos", body).await).await;
    assert_eq!((status, &error["code"]), (StatusCode::BAD_REQUEST, &json!("invalid_field")), "{body}: {error}");
    (error["param"].as_str().unwrap().to_owned(), error["message"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn first_and_last_frame_reach_the_upstream() {
    with_seedance(async |server| {
        let (first, last) = (picture(320, 180), picture(180, 320));
        let frames = json!([
            {"type": "image_url", "image_url": {"url": first}, "frame_type": "first_frame"},
            {"type": "image_url", "image_url": {"url": last}, "frame_type": "last_frame"},
        ]);
        let body = json!({"model": FRAMES, "prompt": "a boat", "duration": "5", "resolution": "720p",
            "generate_audio": false, "frame_images": frames});
        let submission = submitted(server, &body).await;
        let part = |url: &str, role: &str| json!({"type": "image_url", "image_url": {"url": url}, "role": role});
        let content =
            json!([{"type": "text", "text": "a boat"}, part(&first, "first_frame"), part(&last, "last_frame")]);
        assert_eq!(submission["content"], content);
        assert_eq!((&submission["resolution"], &submission["duration"]), (&json!("720p"), &json!(5)));
        assert_eq!(submission["generate_audio"], false);
    })
    .await;
}

#[tokio::test]
async fn references_reach_the_upstream_and_links_of_its_own_schemes_are_unchanged() {
    with_seedance(async |server| {
        let face = picture(64, 64);
        let references = json!([
            face,
            {"type": "image_url", "image_url": {"url": "asset://asset-20261127-face"}},
            {"type": "video_url", "video_url": {"url": "https://a.test/v.mp4?sig=a%2Fb"}},
            {"type": "audio_url", "audio_url": "oss://bucket/voice.mp3"},
        ]);
        let body = json!({"model": REFERENCES, "prompt": "a boat", "seconds": 5, "input_references": references});
        let submission = submitted(server, &body).await;
        let part = |kind: &str, url: &str, role: &str| json!({"type": kind, kind: {"url": url}, "role": role});
        let content = json!([
            {"type": "text", "text": "a boat"},
            part("image_url", &face, "reference_image"),
            part("image_url", "asset://asset-20261127-face", "reference_image"),
            part("video_url", "https://a.test/v.mp4?sig=a%2Fb", "reference_video"),
            part("audio_url", "oss://bucket/voice.mp3", "reference_audio"),
        ]);
        assert_eq!(submission["content"], content);
    })
    .await;
}

#[tokio::test]
async fn nearest_values_are_sent_and_listed_in_the_response() {
    with_seedance(async |server| {
        let body = json!({"model": FRAMES, "prompt": "a boat", "resolution": "1440p", "aspect_ratio": "2:3",
            "seconds": 20, "negative_prompt": "people", "fit_policy": "nearest"});
        let submission = submitted(server, &body).await;
        let sent = ["resolution", "ratio", "duration", "negative_prompt"].map(|member| &submission[member]);
        assert_eq!(sent, [&json!("1080p"), &json!("3:4"), &json!(12), &json!(null)]);

        let listed = json_body(server.request(Method::GET, "/v1/videos?limit=1").send().await.unwrap()).await;
        let video = &listed["data"][0];
        let adjusted = |field: &str, requested: &str, used: Option<&str>| {
            json!({"field": field, "requested": requested, "used": used})
        };
        let expected = json!([
            adjusted("resolution", "1440p", Some("1080p")),
            adjusted("aspect_ratio", "2:3", Some("3:4")),
            adjusted("seconds", "20", Some("12")),
            adjusted("negative_prompt", "people", None),
        ]);
        assert_eq!(video["adjustments"], expected);
        let members = ["resolution", "aspect_ratio", "seconds", "size"].map(|member| &video[member]);
        // Duration and size are those of the file.
        assert_eq!(members, [&json!("1080p"), &json!("3:4"), &json!("1"), &json!("64x64")]);

        let request = pb::GetVideoRequest { id: video["id"].as_str().unwrap().to_owned() };
        let over_grpc = server.video_client().await.get_video(request).await.unwrap().into_inner().video.unwrap();
        assert_eq!(over_grpc.adjustments[2].field, "duration_seconds");
        assert_eq!((over_grpc.resolution.as_str(), over_grpc.aspect_ratio.as_str()), ("1080p", "3:4"));
    })
    .await;
}

#[tokio::test]
async fn strict_request_is_refused_with_the_nearest_value() {
    with_seedance(async |server| {
        for (members, param, nearest) in [
            (json!({"resolution": "1440p"}), "resolution", "1080p"),
            (json!({"aspect_ratio": "2:3"}), "aspect_ratio", "3:4"),
            (json!({"seconds": 20}), "seconds", "12"),
            (json!({"negative_prompt": "people"}), "negative_prompt", "leave it out"),
        ] {
            let mut body = json!({"model": FRAMES, "prompt": "a boat", "fit_policy": "strict"});
            body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
            let (found, message) = refused(server, &body).await;
            assert!(found == param && message.contains(nearest), "{param}: {message}");
        }
        let exact = json!({"model": FRAMES, "prompt": "a boat", "resolution": "720p", "aspect_ratio": "9:16",
            "seconds": 4, "fit_policy": "strict"});
        assert_eq!(submitted(server, &exact).await["ratio"], "9:16");
    })
    .await;
}

#[tokio::test]
async fn input_that_the_model_cannot_use_is_refused_with_its_place() {
    with_seedance(async |server| {
        let image = |url: &str| json!({"type": "image_url", "image_url": {"url": url}});
        let frame = |url: &str, frame_type: &str| {
            json!({"type": "image_url", "image_url": {"url": url}, "frame_type": frame_type})
        };
        let (face, asset) = (picture(64, 64), "asset://face");
        for (members, param) in [
            (json!({"model": FRAMES, "input_references": [image(asset)]}), "input_references[0]"),
            (json!({"model": FRAMES, "frame_images": [frame(asset, "last_frame")]}), "frame_images[0]"),
            (
                json!({"model": FRAMES, "frame_images": [frame(asset, "first_frame"), image(asset)]}),
                "frame_images[1]",
            ),
            (
                json!({"model": FRAMES, "frame_images": [frame(&face, "first_frame"), frame("YQ==", "last_frame")]}),
                "frame_images[1]",
            ),
            (json!({"model": REFERENCES, "input_references": [image(&face), image("YQ==")]}), "input_references[1]"),
            (
                json!({"model": REFERENCES, "input_references": [{"video_url": {"url": face}}]}),
                "input_references[0]",
            ),
            (
                json!({"model": REFERENCES, "input_references": [image("http://127.0.0.1/private.png")]}),
                "input_references[0]",
            ),
            (
                json!({"model": REFERENCES, "input_reference": face, "input_references": [image(asset)]}),
                "input_references",
            ),
            (json!({"model": REFERENCES, "size": "1280x720", "resolution": "720p"}), "size"),
        ] {
            let mut body = json!({"prompt": "a boat"});
            body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
            assert_eq!(refused(server, &body).await.0, param, "{members}");
        }
    })
    .await;
}

#[tokio::test]
async fn stored_images_are_frames_by_link_and_by_key() {
    with_seedance(async |server| {
        let body = json!({"model": "offline-image", "prompt": "a boat", "size": "64x64"});
        let images = json_body(server.post("/v1/images/generations", &body).await).await;
        let link = images["data"][0]["url"].as_str().unwrap();
        let key = link.rsplit('/').next().unwrap();
        let mut sent = Vec::new();
        for image in [json!({"image_url": {"url": link}}), json!({"file_id": key})] {
            let body = json!({"model": FRAMES, "prompt": "a boat", "frame_images": [image]});
            let submission = submitted(server, &body).await;
            sent.push(submission["content"][1]["image_url"]["url"].as_str().unwrap().to_owned());
        }
        assert!(sent[0].starts_with("data:image/png;base64,") && sent[0] == sent[1], "{}", sent[0].len());
    })
    .await;
}

#[tokio::test]
async fn models_are_listed_with_the_values_that_they_accept() {
    with_seedance(async |server| {
        let models = json_body(server.request(Method::GET, "/v1/videos/models").send().await.unwrap()).await;
        let find = |id: &str| models["data"].as_array().unwrap().iter().find(|model| model["id"] == id).unwrap();
        let frames = find(FRAMES);
        assert_eq!(frames["supported_resolutions"], json!(["480p", "720p", "1080p"]));
        assert_eq!(frames["supported_durations"], json!([4, 5, 6, 7, 8, 9, 10, 11, 12]));
        assert_eq!(frames["supported_frame_images"], json!(["first_frame", "last_frame"]));
        assert_eq!((&frames["audio"], &frames["max_reference_images"]), (&json!("default_on"), &json!(0)));
        assert_eq!((&frames["default"], &models["data"][0]["id"]), (&json!(true), &json!(FRAMES)));
        let references = find(REFERENCES);
        let maxima = ["images", "videos", "sounds"].map(|kind| &references[format!("max_reference_{kind}")]);
        assert_eq!(maxima, [&json!(9), &json!(3), &json!(3)]);

        let model = json_body(server.request(Method::GET, &format!("/v1/models/{FRAMES}")).send().await.unwrap()).await;
        for (member, value) in model["video"].as_object().unwrap() {
            assert_eq!(value, &frames[member], "{member}");
        }
    })
    .await;
}

#[tokio::test]
async fn offline_engine_renders_ratio_and_resolution() {
    with_local_and_remote_core(async |server| {
        let body = json!({"prompt": "a boat", "resolution": "144p", "aspect_ratio": "9:16", "duration": 1, "seed": 3});
        let id = create(server, &body).await;
        let video = wait_until_final(server, &id).await;
        assert_eq!((&video["status"], &video["size"]), (&json!("completed"), &json!("144x256")), "{video}");
        assert_eq!((&video["seconds"], video.get("adjustments")), (&json!("1"), None));
    })
    .await;
}
