//! Pictures through both doors and over both hops.

mod dashscope;
mod doubao;
mod joined;
mod midjourney;
mod nano_banana;
mod openai;
mod outcome;
mod several;

use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::StreamExt;
use reqwest::{Method, StatusCode, header::RANGE};
use serde_json::{Value, json};
use triptych_proto::v1 as pb;

use crate::{
    harness::{Events, World, data, error_of, over_both_hops, over_both_hops_with, soon},
    upstream::Reply,
};

async fn generate(world: &World, body: Value) -> Value {
    let answer = world.post("/v1/images/generations", &body).await;
    assert_eq!(answer.status(), StatusCode::OK);
    serde_json::from_str(&answer.text().await.unwrap()).unwrap()
}

fn decoded(item: &Value) -> Vec<u8> {
    STANDARD.decode(item["b64_json"].as_str().unwrap()).unwrap()
}

fn size(picture: &[u8]) -> (u32, u32) {
    let picture = image::load_from_memory(picture).unwrap();
    (picture.width(), picture.height())
}

fn image_request(prompt: &str, size: &str) -> pb::ImageRequest {
    pb::ImageRequest {
        prompt: prompt.to_owned(),
        size: size.to_owned(),
        seed: Some(7),
        delivery: pb::ImageDelivery::Bytes.into(),
        ..pb::ImageRequest::default()
    }
}

#[tokio::test]
async fn both_doors_paint_the_same_picture() {
    over_both_hops(async |world| {
        let body = json!({"prompt": "A lighthouse", "size": "320x200", "seed": 7, "response_format": "b64_json"});
        let rest = generate(world, body).await;
        assert!(rest["created"].is_i64() && rest["data"][0].get("url").is_none(), "{rest}");
        let rest = decoded(&rest["data"][0]);
        let ask = pb::GenerateImagesRequest {
            image: Some(image_request("A lighthouse", "320x200")),
            ..pb::GenerateImagesRequest::default()
        };
        let grpc = world.image_client().await.generate_images(ask).await.unwrap().into_inner();
        assert_eq!(size(&rest), (320, 200));
        assert_eq!(grpc.pictures[0].data, rest);
    })
    .await;
}

#[tokio::test]
async fn pictures_of_many_megabytes_fit_through_every_hop() {
    over_both_hops(async |world| {
        let body = json!({"prompt": "A crowd in the rain", "size": "2048x2048", "quality": "hd", "n": 2, "response_format": "b64_json"});
        let answer = generate(world, body).await;
        let pictures = [decoded(&answer["data"][0]), decoded(&answer["data"][1])];
        assert!(pictures.iter().all(|picture| size(picture) == (2048, 2048)) && pictures[0] != pictures[1]);
        // Together beyond what gRPC lets through unless it is told otherwise; else this would prove nothing.
        assert!(pictures.concat().len() > 6 << 20, "{} bytes", pictures.concat().len());
    })
    .await;
}

#[tokio::test]
async fn a_link_leads_to_the_picture_whole_in_part_and_by_its_tag() {
    over_both_hops(async |world| {
        let url = generate(world, json!({"prompt": "A pond", "size": "128x128"})).await["data"][0]["url"].clone();
        let path = url.as_str().unwrap().strip_prefix(&world.url("")).unwrap().to_owned();
        let key = path.strip_prefix("/media/").unwrap().to_owned();
        let whole = world.request(Method::GET, &path).send().await.unwrap();
        let etag = whole.headers()["etag"].clone();
        assert_eq!(whole.headers()["content-type"], "image/png");
        let whole = whole.bytes().await.unwrap();
        assert_eq!(size(&whole), (128, 128));

        let part = world.request(Method::GET, &path).header(RANGE, "bytes=10-19").send().await.unwrap();
        assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
        assert_eq!(part.headers()["content-range"], format!("bytes 10-19/{}", whole.len()));
        assert_eq!(part.bytes().await.unwrap(), whole.slice(10..20));
        let tail = world.request(Method::GET, &path).header(RANGE, "bytes=-5").send().await.unwrap();
        assert_eq!(tail.bytes().await.unwrap(), whole.slice(whole.len() - 5..));
        let beyond = world.request(Method::GET, &path).header(RANGE, "bytes=99999999-").send().await.unwrap();
        assert_eq!(beyond.headers()["content-range"], format!("bytes */{}", whole.len()));
        assert_eq!(error_of(beyond).await.0, StatusCode::RANGE_NOT_SATISFIABLE);
        let known = world.request(Method::GET, &path).header("if-none-match", etag).send().await.unwrap();
        assert_eq!(known.status(), StatusCode::NOT_MODIFIED);
        let head = world.request(Method::HEAD, &path).send().await.unwrap();
        assert_eq!(head.headers()["content-length"], whole.len().to_string());

        let ask = pb::ReadMediaRequest { key, ..pb::ReadMediaRequest::default() };
        let parts = world.media_client().await.read_media(ask).await.unwrap().into_inner();
        let bytes = parts
            .filter_map(async |part| match part.unwrap().part {
                Some(pb::read_media_response::Part::Data(data)) => Some(data),
                Some(pb::read_media_response::Part::Media(_)) | None => None,
            })
            .collect::<Vec<_>>()
            .await
            .concat();
        assert_eq!(bytes, whole);
    })
    .await;
}

#[tokio::test]
async fn links_begin_where_the_operator_says() {
    over_both_hops_with(
        |_, gateway| gateway.runtime.public_base_url = Some("https://ai.example.org".to_owned()),
        async |world| {
            let answer = generate(world, json!({"prompt": "A pond", "size": "64x64"})).await;
            assert!(
                answer["data"][0]["url"].as_str().unwrap().starts_with("https://ai.example.org/media/"),
                "{answer}"
            );
        },
    )
    .await;
}

#[tokio::test]
async fn previews_come_before_the_picture_through_both_doors() {
    over_both_hops(async |world| {
        let body = json!({"prompt": "A harbour", "size": "128x128", "seed": 7, "stream": true, "partial_images": 2});
        let events = Events::of(world.post("/v1/images/generations", &body).await).rest().await;
        let told: Vec<Value> = events.iter().map(|event| data(event.split_once('\n').unwrap().1)).collect();
        let kinds: Vec<_> = told.iter().map(|event| event["type"].as_str().unwrap()).collect();
        let (preview, completed) = ("image_generation.partial_image", "image_generation.completed");
        assert_eq!(kinds, [preview, preview, completed]);
        for (event, text) in told.iter().zip(&events) {
            assert!(text.starts_with(&format!("event: {}\n", event["type"].as_str().unwrap())), "{text:.80}");
            assert_eq!(size(&decoded(event)), (128, 128));
        }
        let ask = pb::StreamImagesRequest {
            image: Some(image_request("A harbour", "128x128")),
            partial_images: 2,
            ..pb::StreamImagesRequest::default()
        };
        let events: Vec<_> = world.image_client().await.stream_images(ask).await.unwrap().into_inner().collect().await;
        let last = events.into_iter().map(Result::unwrap).next_back().unwrap().event.unwrap();
        let pb::stream_images_response::Event::Finished(finished) = last else { panic!("{last:?}") };
        assert_eq!(finished.picture.unwrap().data, decoded(&told[2]));
    })
    .await;
}

#[tokio::test]
async fn an_edit_comes_as_a_form() {
    over_both_hops(async |world| {
        let body = json!({"prompt": "A barn", "size": "128x96", "response_format": "b64_json"});
        let barn = decoded(&generate(world, body).await["data"][0]);
        let mut form = b"--X\r\ncontent-disposition: form-data; name=\"prompt\"\r\n\r\nin the snow\r\n".to_vec();
        form.extend(b"--X\r\ncontent-disposition: form-data; name=\"response_format\"\r\n\r\nb64_json\r\n");
        form.extend(b"--X\r\ncontent-disposition: form-data; name=\"image\"; filename=\"upload\"\r\ncontent-type: application/octet-stream\r\n\r\n");
        form.extend(&barn);
        form.extend(b"\r\n--X--\r\n");
        let request = world.request(Method::POST, "/v1/images/edits").header("content-type", "multipart/form-data; boundary=X");
        let answer = soon("the edit", request.body(form).send()).await.unwrap();
        let edited: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        let edited = decoded(&edited["data"][0]);
        assert!(size(&edited) == (128, 96) && edited != barn);
    })
    .await;
}

#[tokio::test]
async fn the_faults_on_request_reach_the_caller_as_themselves() {
    over_both_hops(async |world| {
        for (fault, status, code) in [
            ("429", 429, "rate_limit_exceeded"),
            ("500", 502, "upstream_unavailable"),
            ("refused", 400, "content_policy_violation"),
        ] {
            let body = json!({"prompt": "x", "model": format!("offline-image-fault-{fault}")});
            let (got, error) = error_of(world.post("/v1/images/generations", &body).await).await;
            assert_eq!((got.as_u16(), error["code"].as_str().unwrap()), (status, code), "{error}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_edit_may_name_its_picture_by_an_address_which_is_fetched_without_anybodys_key() {
    over_both_hops_with(
        |settings, _| settings.media.fetch_private_addresses = true,
        async |world| {
            let picture = generate(world, json!({"prompt": "A barn", "size": "64x48", "response_format": "b64_json"}));
            let picture = decoded(&picture.await["data"][0]);
            world.upstream.will_at("/barn?x=1", Reply::file("image/png", &picture));
            let images = json!([{"image_url": world.upstream.url("/barn?x=1")}]);
            let body = json!({"prompt": "in the snow", "images": images, "response_format": "b64_json", "keep_original": true});
            let answer = world.post("/v1/images/edits", &body).await;
            let edited: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
            assert_eq!(size(&decoded(&edited["data"][0])), (64, 48));
            let original = edited["data"][0]["original_url"].as_str().unwrap();
            let path = original.strip_prefix(&world.url("")).unwrap();
            let kept = world.request(Method::GET, path).send().await.unwrap().bytes().await.unwrap();
            assert_eq!(kept, decoded(&edited["data"][0]), "nothing had to be done to it");
            let seen = world.upstream.saw().await;
            assert_eq!((seen.path.as_str(), seen.header("authorization")), ("/barn?x=1", None));
        },
    )
    .await;
}
