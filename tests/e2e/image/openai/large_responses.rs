//! Images that together exceed the limit of a gRPC message.

use base64::{Engine, engine::general_purpose::STANDARD};
use core_service::config::Settings;
use futures_util::TryStreamExt;
use serde_json::json;
use triptych_proto::v1::{self as pb, read_media_response::Part};

use super::{GENERATIONS, configure, decoded, generate_request, json_body};
use crate::{
    fake_upstream::Reply,
    test_server::{TestServer, with_local_and_remote_core_and_settings},
};

/// The configured limit, small so that a few small images exceed it.
const MAX_MESSAGE_BYTES: usize = 512 << 10;

/// Returns a PNG of about 170 kB with pseudo-random pixels, which no compression makes smaller.
fn noise(seed: u32) -> Vec<u8> {
    let mut state = seed;
    let mut byte = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    let picture = image::RgbImage::from_fn(240, 240, |_, _| image::Rgb([byte(), byte(), byte()]));
    let mut out = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut out, image::ImageFormat::Png).unwrap();
    out.into_inner()
}

/// Reads a file of the media store.
async fn read_media(server: &TestServer, key: String) -> Vec<u8> {
    let request = pb::ReadMediaRequest { key, ..pb::ReadMediaRequest::default() };
    let parts = server.media_client().await.read_media(request).await.unwrap().into_inner();
    let bytes = parts.try_filter_map(async |part| match part.part {
        Some(Part::Data(data)) => Ok(Some(data)),
        Some(Part::Media(_) | Part::DownloadUrl(_)) | None => Ok(None),
    });
    bytes.try_collect::<Vec<_>>().await.unwrap().concat()
}

#[tokio::test]
async fn images_above_the_message_limit_are_returned_by_media_key() {
    let pictures: Vec<_> = (0..4).map(noise).collect();
    assert!(pictures.concat().len() > MAX_MESSAGE_BYTES, "the images fit into one message");
    let items: Vec<_> = pictures.iter().map(|picture| json!({"b64_json": STANDARD.encode(picture)})).collect();
    let reply = Reply::new(200, &json!({"created": 7, "data": items}).to_string());
    let adjust = |settings: &mut Settings, gateway: &mut _| {
        configure(settings, gateway);
        settings.grpc.max_message_bytes = MAX_MESSAGE_BYTES;
    };
    with_local_and_remote_core_and_settings(adjust, async |server| {
        server.upstream.enqueue_at(GENERATIONS, reply.clone());
        let response = server
            .image_client()
            .await
            .generate_images(generate_request("local", 4, "auto"))
            .await
            .unwrap()
            .into_inner();
        let by_key: Vec<_> = response.pictures.iter().map(|picture| picture.data.is_empty()).collect();
        // Three quarters of the limit hold two images.
        assert_eq!(by_key, [false, false, true, true]);
        for (picture, expected) in response.pictures.into_iter().zip(&pictures) {
            let bytes =
                if picture.data.is_empty() { read_media(server, picture.media_key).await } else { picture.data.into() };
            assert!(bytes == *expected);
        }
        server.upstream.received().await;

        // REST returns all images as bytes.
        server.upstream.enqueue_at(GENERATIONS, reply.clone());
        let body = json!({"model": "local", "prompt": "x", "n": 4, "size": "auto", "response_format": "b64_json"});
        let response = json_body(server.post(GENERATIONS, &body).await).await;
        let items = response["data"].as_array().unwrap();
        assert!(items.iter().all(|item| item.get("url").is_none()));
        assert!(items.iter().map(decoded).eq(pictures.iter().cloned()));
        server.upstream.received().await;
    })
    .await;
}
