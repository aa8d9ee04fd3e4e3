//! Stored media over REST and gRPC: signed links, ranges, retention, and URLs in requests.

use std::time::{Duration, SystemTime};

use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::StreamExt;
use reqwest::{Method, Response, StatusCode, header::RANGE};
use rest_gateway::LinkSigner;
use serde_json::{Value, json};
use triptych_proto::v1 as pb;

use crate::{
    rest_response::{Events, error_body, event_data},
    test_server::{TestServer, with_local_and_remote_core_and_settings, within_timeout},
};

/// The key that signs links.
const KEY: &[u8] = b"the key of signed links";

/// Returns an adjustment of the settings: links are signed, and valid for this long.
fn signed_links(ttl: Duration) -> impl Fn(&mut core_service::config::Settings, &mut rest_gateway::Settings) {
    move |_, gateway| gateway.runtime.link_signer = Some(LinkSigner::new(KEY, ttl))
}

/// Posts a request that must succeed, and returns the body of the response.
async fn post(server: &TestServer, path: &str, body: &Value) -> Value {
    let response = server.post(path, body).await;
    let status = response.status();
    let text = response.text().await.unwrap();
    assert_eq!(status, StatusCode::OK, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// Generates an image and returns the path of its link.
async fn generate_image(server: &TestServer) -> String {
    let generated = post(server, "/v1/images/generations", &json!({"prompt": "A pond", "size": "64x64"})).await;
    path(server, &generated["data"][0]["url"])
}

/// Returns a link without its origin.
fn path(server: &TestServer, link: &Value) -> String {
    link.as_str().unwrap().strip_prefix(&server.url("")).unwrap().to_owned()
}

async fn get(server: &TestServer, path: &str) -> Response {
    server.request(Method::GET, path).send().await.unwrap()
}

/// Generates a video and returns its final snapshot.
async fn generate_video(server: &TestServer) -> Value {
    let created = post(server, "/v1/videos", &json!({"prompt": "Pan left", "size": "160x96", "seconds": 1})).await;
    let events = get(server, &format!("/v1/videos/{}/events", created["id"].as_str().unwrap())).await;
    let events = within_timeout("the video", Events::new(events).read_all()).await;
    event_data(events.last().unwrap().lines().find(|line| line.starts_with("data: ")).unwrap())
}

#[tokio::test]
async fn signed_links_are_served_and_unsigned_ones_return_403() {
    with_local_and_remote_core_and_settings(signed_links(Duration::from_hours(1)), async |server| {
        let video = generate_video(server).await;
        let links = ["video_url", "thumbnail_url", "spritesheet_url"].map(|name| path(server, &video[name]));
        for link in links.into_iter().chain([generate_image(server).await]) {
            let response = get(server, &link).await;
            assert_eq!(response.status(), StatusCode::OK, "{link}");
            let disposition = response.headers()["content-disposition"].to_str().unwrap().to_owned();
            let (plain, query) = link.split_once('?').unwrap();
            assert_eq!(disposition, format!("inline; filename=\"{}\"", plain.strip_prefix("/media/").unwrap()));
            assert!(response.headers()["cache-control"].to_str().unwrap().starts_with("private, max-age="));
            let content = response.bytes().await.unwrap();
            let part = server.request(Method::GET, &link).header(RANGE, "bytes=4-7").send().await.unwrap();
            assert_eq!(
                (part.status(), part.bytes().await.unwrap()),
                (StatusCode::PARTIAL_CONTENT, content.slice(4..8))
            );
            let head = server.request(Method::HEAD, &link).send().await.unwrap();
            assert_eq!(head.headers()["content-length"], content.len().to_string());

            for unsigned in
                [plain.to_owned(), format!("{plain}?{}", query.replace("&s=", "&s=A")), "/media/a.png".into()]
            {
                let (status, error) = error_body(get(server, &unsigned).await).await;
                assert_eq!((status, &error["code"]), (StatusCode::FORBIDDEN, &json!("link_not_signed")), "{unsigned}");
            }
        }
        // Neither the content of a video by its id nor gRPC needs a link.
        let response = get(server, &format!("/v1/videos/{}/content", video["id"].as_str().unwrap())).await;
        assert_eq!(response.status(), StatusCode::OK);
        let key = generate_image(server).await["/media/".len()..].split('?').next().unwrap().to_owned();
        let read = pb::ReadMediaRequest { key, ..pb::ReadMediaRequest::default() };
        let mut parts = server.media_client().await.read_media(read).await.unwrap().into_inner();
        assert!(parts.next().await.unwrap().is_ok());
    })
    .await;
}

#[tokio::test]
async fn expired_link_returns_410() {
    with_local_and_remote_core_and_settings(signed_links(Duration::from_secs(1)), async |server| {
        let live = path(server, &generate_video(server).await["video_url"]);
        let key = live["/media/".len()..].split('?').next().unwrap();
        // Signed for the first hour of 1970.
        let old = LinkSigner::new(KEY, Duration::from_hours(1)).sign_at(key, SystemTime::UNIX_EPOCH);
        let (status, error) = error_body(get(server, &format!("/media/{key}?{old}")).await).await;
        assert_eq!((status, &error["code"], &error["param"]), (StatusCode::GONE, &json!("link_expired"), &Value::Null));
    })
    .await;
}

#[tokio::test]
async fn own_signed_link_is_accepted_as_an_edit_input() {
    with_local_and_remote_core_and_settings(signed_links(Duration::from_hours(1)), async |server| {
        let link = generate_image(server).await;
        let edit = |link: &str| json!({"prompt": "in snow", "images": [{"image_url": server.url(link)}]});
        let edited = post(server, "/v1/images/edits", &edit(&link)).await;
        assert!(edited["data"][0]["url"].is_string(), "{edited}");
        let plain = link.split('?').next().unwrap();
        let (status, error) = error_body(server.post("/v1/images/edits", &edit(plain)).await).await;
        assert_eq!((status, &error["param"]), (StatusCode::BAD_REQUEST, &json!("images[0]")));
        assert!(error["message"].as_str().unwrap().contains("the link has no signature"), "{error}");
    })
    .await;
}

/// Returns a JPEG of 96x48 pixels with the EXIF orientation 6: rotated by 90 degrees.
fn rotated_jpeg() -> Vec<u8> {
    let mut exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend([6, 0, 0, 0, 0, 0, 0, 0]);
    let mut photo = Vec::new();
    let mut encoder = image::codecs::jpeg::JpegEncoder::new(&mut photo);
    image::ImageEncoder::set_exif_metadata(&mut encoder, exif).unwrap();
    image::RgbImage::from_pixel(96, 48, image::Rgb([200, 90, 20])).write_with_encoder(encoder).unwrap();
    photo
}

#[tokio::test]
async fn exif_orientation_is_applied_before_an_edit() {
    with_local_and_remote_core_and_settings(
        |_, _| (),
        async |server| {
            let photo = format!("data:image/jpeg;base64,{}", STANDARD.encode(rotated_jpeg()));
            let body = json!({"prompt": "in snow", "images": [{"image_url": photo}], "response_format": "b64_json"});
            let edited = post(server, "/v1/images/edits", &body).await;
            let edited = STANDARD.decode(edited["data"][0]["b64_json"].as_str().unwrap()).unwrap();
            let edited = image::load_from_memory(&edited).unwrap();
            assert_eq!((edited.width(), edited.height()), (48, 96));
        },
    )
    .await;
}

#[tokio::test]
async fn url_with_a_private_address_is_rejected_over_rest_and_grpc() {
    with_local_and_remote_core_and_settings(
        |_, _| (),
        async |server| {
            for address in [
                "http://127.0.0.1/a.png",
                "http://2130706433/a.png",
                "http://[::ffff:127.0.0.1]/a.png",
                "http://169.254.169.254/latest/meta-data",
                "http://localhost/a.png",
            ] {
                let edit = json!({"prompt": "in snow", "images": [{"image_url": address}]});
                let (status, error) = error_body(server.post("/v1/images/edits", &edit).await).await;
                assert_eq!((status, &error["code"]), (StatusCode::BAD_REQUEST, &json!("invalid_field")), "{address}");
                assert!(error["message"].as_str().unwrap().contains("not public"), "{address}: {error}");
                let video = json!({"prompt": "Pan left", "input_reference": {"image_url": address}});
                let (status, error) = error_body(server.post("/v1/videos", &video).await).await;
                assert_eq!(
                    (status, &error["param"]),
                    (StatusCode::BAD_REQUEST, &json!("input_reference")),
                    "{address}"
                );
                let source = Some(pb::media_input::Source::Url(address.to_owned()));
                let input_reference = Some(pb::MediaInput { source });
                let request = pb::CreateVideoRequest {
                    prompt: "Pan left".to_owned(),
                    input_reference,
                    ..pb::CreateVideoRequest::default()
                };
                let status = server.video_client().await.create_video(request).await.unwrap_err();
                assert_eq!(status.code(), tonic::Code::InvalidArgument, "{address}");
                assert!(status.message().contains("not public"), "{address}: {status:?}");
            }
        },
    )
    .await;
}

#[tokio::test]
async fn unused_file_is_deleted_after_the_retention_period() {
    const HOUR: Duration = Duration::from_hours(1);
    let prepare = |settings: &mut core_service::config::Settings, _: &mut rest_gateway::Settings| {
        settings.media.retention = HOUR;
        let media = settings.data_dir.join("media");
        std::fs::create_dir_all(&media).unwrap();
        for (name, idle) in [("old.png", 2 * HOUR), ("new.png", HOUR / 2)] {
            let file = std::fs::File::create(media.join(name)).unwrap();
            file.set_len(1).unwrap();
            file.set_modified(SystemTime::now() - idle).unwrap();
        }
    };
    with_local_and_remote_core_and_settings(prepare, async |server| {
        within_timeout("the first sweep", async {
            while server.media_dir().join("old.png").exists() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let (status, error) = error_body(get(server, "/media/old.png").await).await;
        assert_eq!((status, &error["code"]), (StatusCode::NOT_FOUND, &json!("media_not_found")));
        assert_eq!(get(server, "/media/new.png").await.bytes().await.unwrap().as_ref(), [0]);
    })
    .await;
}

#[tokio::test]
async fn range_at_the_end_of_a_large_file_is_served() {
    // 8 GiB: more than 32 bits can count.
    const SIZE: u64 = 1 << 33;
    with_local_and_remote_core_and_settings(
        |_, _| (),
        async |server| {
            // A sparse file, which takes no space on the disk.
            std::fs::File::create(server.media_dir().join("long.mp4")).unwrap().set_len(SIZE).unwrap();
            let head = server.request(Method::HEAD, "/media/long.mp4").send().await.unwrap();
            let tail = server.request(Method::GET, "/media/long.mp4").header(RANGE, format!("bytes={}-", SIZE - 4));
            let tail = tail.header("if-range", head.headers()["etag"].clone()).send().await.unwrap();
            assert_eq!(tail.headers()["content-range"], format!("bytes {}-{}/{SIZE}", SIZE - 4, SIZE - 1));
            assert_eq!(tail.bytes().await.unwrap().as_ref(), [0; 4]);
        },
    )
    .await;
}
