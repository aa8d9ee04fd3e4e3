//! Finished files through both doors and over both hops: who may read them, how, and for how long.

use std::time::{Duration, SystemTime};

use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::StreamExt;
use reqwest::{Method, Response, StatusCode, header::RANGE};
use rest_gateway::LinkSigner;
use serde_json::{Value, json};
use triptych_proto::v1 as pb;

use crate::harness::{Events, World, data, error_of, over_both_hops_with, soon};

const KEY: &[u8] = b"what links are signed with";

fn signing(ttl: Duration) -> impl Fn(&mut core_service::config::Settings, &mut rest_gateway::Settings) {
    move |_, gateway| gateway.link_signer = Some(LinkSigner::new(KEY, ttl))
}

async fn post(world: &World, path: &str, body: &Value) -> Value {
    let answer = world.post(path, body).await;
    let status = answer.status();
    let text = answer.text().await.unwrap();
    assert_eq!(status, StatusCode::OK, "{text}");
    serde_json::from_str(&text).unwrap()
}

async fn picture(world: &World) -> String {
    let made = post(world, "/v1/images/generations", &json!({"prompt": "A pond", "size": "64x64"})).await;
    path(world, &made["data"][0]["url"])
}

/// A link without its origin.
fn path(world: &World, link: &Value) -> String {
    link.as_str().unwrap().strip_prefix(&world.url("")).unwrap().to_owned()
}

async fn get(world: &World, path: &str) -> Response {
    world.request(Method::GET, path).send().await.unwrap()
}

async fn clip(world: &World) -> Value {
    let created = post(world, "/v1/videos", &json!({"prompt": "Pan left", "size": "160x96", "seconds": 1})).await;
    let events = get(world, &format!("/v1/videos/{}/events", created["id"].as_str().unwrap())).await;
    let events = soon("the clip", Events::of(events).rest()).await;
    data(events.last().unwrap().lines().find(|line| line.starts_with("data: ")).unwrap())
}

#[tokio::test]
async fn signed_links_of_pictures_and_clips_are_followed_and_plain_ones_are_not() {
    over_both_hops_with(signing(Duration::from_hours(1)), async |world| {
        let video = clip(world).await;
        let links = ["video_url", "thumbnail_url", "spritesheet_url"].map(|name| path(world, &video[name]));
        for link in links.into_iter().chain([picture(world).await]) {
            let whole = get(world, &link).await;
            assert_eq!(whole.status(), StatusCode::OK, "{link}");
            let disposition = whole.headers()["content-disposition"].to_str().unwrap().to_owned();
            let (plain, query) = link.split_once('?').unwrap();
            assert_eq!(disposition, format!("inline; filename=\"{}\"", plain.strip_prefix("/media/").unwrap()));
            assert!(whole.headers()["cache-control"].to_str().unwrap().starts_with("private, max-age="));
            let whole = whole.bytes().await.unwrap();
            let part = world.request(Method::GET, &link).header(RANGE, "bytes=4-7").send().await.unwrap();
            assert_eq!((part.status(), part.bytes().await.unwrap()), (StatusCode::PARTIAL_CONTENT, whole.slice(4..8)));
            let head = world.request(Method::HEAD, &link).send().await.unwrap();
            assert_eq!(head.headers()["content-length"], whole.len().to_string());

            for unsigned in
                [plain.to_owned(), format!("{plain}?{}", query.replace("&s=", "&s=A")), "/media/a.png".into()]
            {
                let (status, error) = error_of(get(world, &unsigned).await).await;
                assert_eq!((status, &error["code"]), (StatusCode::FORBIDDEN, &json!("link_not_signed")), "{unsigned}");
            }
        }
        // Whoever calls over gRPC, or asks for a clip by its id, needs no link.
        let content = get(world, &format!("/v1/videos/{}/content", video["id"].as_str().unwrap())).await;
        assert_eq!(content.status(), StatusCode::OK);
        let key = picture(world).await["/media/".len()..].split('?').next().unwrap().to_owned();
        let read = pb::ReadMediaRequest { key, ..pb::ReadMediaRequest::default() };
        let mut parts = world.media_client().await.read_media(read).await.unwrap().into_inner();
        assert!(parts.next().await.unwrap().is_ok());
    })
    .await;
}

#[tokio::test]
async fn a_link_that_has_expired_says_so_in_a_browser_and_in_a_request() {
    over_both_hops_with(signing(Duration::from_secs(1)), async |world| {
        let live = path(world, &clip(world).await["video_url"]);
        let key = live["/media/".len()..].split('?').next().unwrap();
        // As it was signed long ago: the end of 1970's first hour.
        let old = LinkSigner::new(KEY, Duration::from_hours(1)).sign_at(key, SystemTime::UNIX_EPOCH);
        let (status, error) = error_of(get(world, &format!("/media/{key}?{old}")).await).await;
        assert_eq!((status, &error["code"], &error["param"]), (StatusCode::GONE, &json!("link_expired"), &Value::Null));
    })
    .await;
}

#[tokio::test]
async fn a_signed_link_of_ours_can_be_what_an_edit_starts_from() {
    over_both_hops_with(signing(Duration::from_hours(1)), async |world| {
        let link = picture(world).await;
        let edit = |link: &str| json!({"prompt": "in snow", "images": [{"image_url": world.url(link)}]});
        let edited = post(world, "/v1/images/edits", &edit(&link)).await;
        assert!(edited["data"][0]["url"].is_string(), "{edited}");
        let plain = link.split('?').next().unwrap();
        let (status, error) = error_of(world.post("/v1/images/edits", &edit(plain)).await).await;
        assert_eq!((status, &error["param"]), (StatusCode::BAD_REQUEST, &json!("images[0]")));
        assert!(error["message"].as_str().unwrap().contains("lacks its signature"), "{error}");
    })
    .await;
}

/// A JPEG of 96 by 48 pixels whose note says that the camera was held upright.
fn upright_photo() -> Vec<u8> {
    let mut note = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    note.extend([6, 0, 0, 0, 0, 0, 0, 0]);
    let mut photo = Vec::new();
    let mut encoder = image::codecs::jpeg::JpegEncoder::new(&mut photo);
    image::ImageEncoder::set_exif_metadata(&mut encoder, note).unwrap();
    image::RgbImage::from_pixel(96, 48, image::Rgb([200, 90, 20])).write_with_encoder(encoder).unwrap();
    photo
}

#[tokio::test]
async fn a_photo_is_edited_the_way_it_was_taken() {
    over_both_hops_with(
        |_, _| (),
        async |world| {
            let photo = format!("data:image/jpeg;base64,{}", STANDARD.encode(upright_photo()));
            let body = json!({"prompt": "in snow", "images": [{"image_url": photo}], "response_format": "b64_json"});
            let edited = post(world, "/v1/images/edits", &body).await;
            let edited = STANDARD.decode(edited["data"][0]["b64_json"].as_str().unwrap()).unwrap();
            let edited = image::load_from_memory(&edited).unwrap();
            assert_eq!((edited.width(), edited.height()), (48, 96));
        },
    )
    .await;
}

#[tokio::test]
async fn addresses_in_requests_lead_nowhere_private_through_either_door() {
    over_both_hops_with(
        |_, _| (),
        async |world| {
            for address in [
                "http://127.0.0.1/a.png",
                "http://2130706433/a.png",
                "http://[::ffff:127.0.0.1]/a.png",
                "http://169.254.169.254/latest/meta-data",
                "http://localhost/a.png",
            ] {
                let edit = json!({"prompt": "in snow", "images": [{"image_url": address}]});
                let (status, error) = error_of(world.post("/v1/images/edits", &edit).await).await;
                assert_eq!((status, &error["code"]), (StatusCode::BAD_REQUEST, &json!("invalid_field")), "{address}");
                assert!(error["message"].as_str().unwrap().contains("not public"), "{address}: {error}");
                let clip = json!({"prompt": "Pan left", "input_reference": {"image_url": address}});
                let (status, error) = error_of(world.post("/v1/videos", &clip).await).await;
                assert_eq!(
                    (status, &error["param"]),
                    (StatusCode::BAD_REQUEST, &json!("input_reference")),
                    "{address}"
                );
                let source = Some(pb::media_input::Source::Url(address.to_owned()));
                let input_reference = Some(pb::MediaInput { source });
                let ask = pb::CreateVideoRequest {
                    prompt: "Pan left".to_owned(),
                    input_reference,
                    ..pb::CreateVideoRequest::default()
                };
                let status = world.video_client().await.create_video(ask).await.unwrap_err();
                assert_eq!(status.code(), tonic::Code::InvalidArgument, "{address}");
                assert!(status.message().contains("not public"), "{address}: {status:?}");
            }
        },
    )
    .await;
}

#[tokio::test]
async fn what_nobody_used_goes_and_what_is_used_or_needed_is_served() {
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
    over_both_hops_with(prepare, async |world| {
        soon("the first sweep", async {
            while world.media_dir().join("old.png").exists() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let (status, error) = error_of(get(world, "/media/old.png").await).await;
        assert_eq!((status, &error["code"]), (StatusCode::NOT_FOUND, &json!("media_not_found")));
        assert_eq!(get(world, "/media/new.png").await.bytes().await.unwrap().as_ref(), [0]);
    })
    .await;
}

#[tokio::test]
async fn the_end_of_a_long_clip_is_had_without_its_beginning() {
    const SIZE: u64 = 1 << 33;
    over_both_hops_with(
        |_, _| (),
        async |world| {
            // A hole: as long as any clip, and nothing on the disk.
            std::fs::File::create(world.media_dir().join("long.mp4")).unwrap().set_len(SIZE).unwrap();
            let head = world.request(Method::HEAD, "/media/long.mp4").send().await.unwrap();
            let tail = world.request(Method::GET, "/media/long.mp4").header(RANGE, format!("bytes={}-", SIZE - 4));
            let tail = tail.header("if-range", head.headers()["etag"].clone()).send().await.unwrap();
            assert_eq!(tail.headers()["content-range"], format!("bytes {}-{}/{SIZE}", SIZE - 4, SIZE - 1));
            assert_eq!(tail.bytes().await.unwrap().as_ref(), [0; 4]);
        },
    )
    .await;
}
