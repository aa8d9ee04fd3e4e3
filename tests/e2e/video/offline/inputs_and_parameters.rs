//! Frames, references, sound and parameters of the built-in engine, and its reports of those without an effect, over REST and
//! gRPC.

use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::StreamExt;
use image::{Rgb, RgbImage};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use triptych_proto::v1::{self as pb, media_input::Source, video::State, video_frame::Position, video_reference::Kind};

use super::super::{create, json_body, provider_case::CLIP, wait_until_final};
use crate::{
    rest_response::error_body,
    test_server::{TestServer, with_local_and_remote_core, within_timeout},
};

const RED: [u8; 3] = [200, 40, 40];
const BLUE: [u8; 3] = [40, 60, 200];
/// The colour of [`CLIP`].
const CLIP_COLOUR: [u8; 3] = [40, 90, 160];

fn picture(colour: [u8; 3]) -> Vec<u8> {
    let mut png = std::io::Cursor::new(Vec::new());
    RgbImage::from_pixel(160, 96, Rgb(colour)).write_to(&mut png, image::ImageFormat::Png).unwrap();
    png.into_inner()
}

/// Returns a WAV file without samples.
fn sound() -> Vec<u8> {
    let mut wav = b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data".to_vec();
    wav.extend([0; 4]);
    wav
}

fn data_url(media_type: &str, bytes: &[u8]) -> Value {
    json!({"url": format!("data:{media_type};base64,{}", STANDARD.encode(bytes))})
}

fn medium(bytes: Vec<u8>) -> pb::MediaInput {
    pb::MediaInput { source: Some(Source::Data(bytes.into())) }
}

/// Creates a video over gRPC, waits for its end, and returns it.
async fn rendered_over_grpc(server: &TestServer, request: pb::CreateVideoRequest) -> pb::Video {
    let mut client = server.video_client().await;
    let request = pb::CreateVideoRequest {
        prompt: "still".to_owned(),
        size: "160x96".to_owned(),
        duration_seconds: Some(2),
        ..request
    };
    let id = client.create_video(request).await.unwrap().into_inner().video.unwrap().id;
    let watch = client.watch_video(pb::WatchVideoRequest { id }).await.unwrap().into_inner();
    let snapshots: Vec<_> = within_timeout("the video", watch.collect()).await;
    let last = snapshots.into_iter().next_back().unwrap().unwrap().video.unwrap();
    assert_eq!(last.state(), State::Succeeded, "{:?}", last.error);
    last
}

/// Creates a video over REST, waits for its end, and returns it.
async fn rendered_over_rest(server: &TestServer, members: &Value) -> Value {
    let mut body = json!({"prompt": "still", "size": "160x96", "seconds": 2});
    body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    let id = create(server, &body).await;
    let video = wait_until_final(server, &id).await;
    assert_eq!(video["status"], "completed", "{video}");
    video
}

/// Returns the colours in the middle of the 16 stills of a video, from its sprite sheet of 4x4 tiles of 160x96 pixels.
async fn colours(server: &TestServer, id: &str) -> Vec<[u8; 3]> {
    let path = format!("/v1/videos/{id}/content?variant=spritesheet");
    let jpeg = server.request(Method::GET, &path).send().await.unwrap().bytes().await.unwrap();
    let sheet = image::load_from_memory(&jpeg).unwrap().into_rgb8();
    assert_eq!(sheet.dimensions(), (640, 384));
    (0..16).map(|tile| sheet.get_pixel(tile % 4 * 160 + 80, tile / 4 * 96 + 48).0).collect()
}

/// Returns whether a colour is the expected one, apart from the loss of the video and JPEG codecs.
fn is_close(found: [u8; 3], expected: [u8; 3]) -> bool {
    found.iter().zip(expected).all(|(found, expected)| found.abs_diff(expected) < 14)
}

#[tokio::test]
async fn video_moves_from_the_first_frame_to_the_last() {
    with_local_and_remote_core(async |server| {
        let frame = |colour, frame_type| json!({"image_url": data_url("image/png", &picture(colour)), "frame_type": frame_type});
        let frames = json!({"frame_images": [frame(RED, "first_frame"), frame(BLUE, "last_frame")]});
        let over_rest = rendered_over_rest(server, &frames).await["id"].as_str().unwrap().to_owned();
        let frame = |colour, position: Position| pb::VideoFrame { image: Some(medium(picture(colour))), position: position.into() };
        let frame_images = vec![frame(RED, Position::First), frame(BLUE, Position::Last)];
        let request = pb::CreateVideoRequest { frame_images, ..pb::CreateVideoRequest::default() };
        let over_grpc = rendered_over_grpc(server, request).await.id;
        for id in [over_rest, over_grpc] {
            let colours = colours(server, &id).await;
            assert!(is_close(colours[0], RED) && is_close(colours[15], BLUE), "{colours:?}");
        }
        let last_alone = json!({"frame_images": [
            {"image_url": data_url("image/png", &picture(BLUE)), "frame_type": "last_frame"},
        ]});
        let id = rendered_over_rest(server, &last_alone).await["id"].as_str().unwrap().to_owned();
        assert!(is_close(colours(server, &id).await[15], BLUE));
    })
    .await;
}

#[tokio::test]
async fn references_are_shown_and_sounds_are_reported_as_unused() {
    with_local_and_remote_core(async |server| {
        let references = json!({"input_references": [
            {"image_url": data_url("image/png", &picture(RED))},
            {"audio_url": data_url("audio/wav", &sound())},
            {"video_url": data_url("video/mp4", &CLIP)},
        ]});
        let over_rest = rendered_over_rest(server, &references).await;
        let unused = json!([{"field": "input_references[1]", "requested": "sound", "used": null}]);
        assert_eq!(over_rest["adjustments"], unused);
        let reference = |bytes, kind: Kind| pb::VideoReference { media: Some(medium(bytes)), kind: kind.into() };
        let input_references = vec![
            reference(picture(RED), Kind::Image),
            reference(sound(), Kind::Audio),
            reference(CLIP.clone(), Kind::Video),
        ];
        let request = pb::CreateVideoRequest { input_references, ..pb::CreateVideoRequest::default() };
        let over_grpc = rendered_over_grpc(server, request).await;
        assert_eq!((over_grpc.adjustments.len(), over_grpc.adjustments[0].used.as_str()), (1, ""));
        for id in [over_rest["id"].as_str().unwrap(), &over_grpc.id] {
            let colours = colours(server, id).await;
            assert!(is_close(colours[7], RED) && is_close(colours[15], CLIP_COLOUR), "{colours:?}");
        }
        let mut strict = references;
        strict
            .as_object_mut()
            .unwrap()
            .extend(json!({"prompt": "a", "fit_policy": "strict"}).as_object().unwrap().clone());
        let (status, error) = error_body(server.post("/v1/videos", &strict).await).await;
        assert_eq!((status, &error["param"]), (StatusCode::BAD_REQUEST, &json!("input_references[1]")));
    })
    .await;
}

#[tokio::test]
async fn reference_video_by_url_fails_the_job() {
    with_local_and_remote_core(async |server| {
        let references = json!({"prompt": "a", "size": "160x96", "seconds": 1,
            "input_references": [{"video_url": "https://example.com/a.mp4"}]});
        let id = create(server, &references).await;
        let failed = wait_until_final(server, &id).await;
        assert_eq!(failed["error"]["code"], "not_supported", "{failed}");
        assert!(failed["error"]["message"].as_str().unwrap().contains("send it as base64"), "{failed}");
    })
    .await;
}

#[tokio::test]
async fn response_says_whether_there_is_a_sound_track() {
    with_local_and_remote_core(async |server| {
        for (members, expected) in
            [(json!({}), false), (json!({"generate_audio": false}), false), (json!({"generate_audio": true}), true)]
        {
            let video = rendered_over_rest(server, &members).await;
            assert_eq!((&video["generate_audio"], video.get("adjustments")), (&json!(expected), None), "{members}");
        }
        let request = pb::CreateVideoRequest { generate_audio: Some(true), ..pb::CreateVideoRequest::default() };
        assert_eq!(rendered_over_grpc(server, request).await.generate_audio, Some(true));
    })
    .await;
}

#[tokio::test]
async fn negative_prompt_is_reported_as_unused_and_the_seed_repeats_a_video() {
    with_local_and_remote_core(async |server| {
        let video = rendered_over_rest(server, &json!({"negative_prompt": "people"})).await;
        let unused = json!([{"field": "negative_prompt", "requested": "people", "used": null}]);
        assert_eq!(video["adjustments"], unused);
        let content = async |seed: i64| {
            let video =
                rendered_over_rest(server, &json!({"prompt": "a lighthouse", "seed": seed, "seconds": 1})).await;
            let path = format!("/v1/videos/{}/content", video["id"].as_str().unwrap());
            server.request(Method::GET, &path).send().await.unwrap().bytes().await.unwrap()
        };
        let (first, again, other) = (content(7).await, content(7).await, content(8).await);
        assert!(first == again && first != other);
    })
    .await;
}

#[tokio::test]
async fn capabilities_of_the_engine_are_listed() {
    with_local_and_remote_core(async |server| {
        let models = json_body(server.request(Method::GET, "/v1/videos/models").send().await.unwrap()).await;
        let models = models["data"].as_array().unwrap();
        let offline = models.iter().find(|model| model["id"] == "offline-video").unwrap();
        for (member, expected) in [
            ("supported_frame_images", json!(["first_frame", "last_frame"])),
            ("max_reference_images", json!(8)),
            ("max_reference_videos", json!(3)),
            ("max_reference_sounds", json!(3)),
            ("audio", json!("default_off")),
            ("generate_audio", json!(true)),
            ("seed", json!(true)),
            ("negative_prompt", json!(false)),
            ("supported_sizes", json!(null)),
            ("frames_per_second", json!(30)),
            ("input_required", json!(false)),
        ] {
            assert_eq!(offline[member], expected, "{member}");
        }
    })
    .await;
}
