//! Image generation over REST and gRPC. The tests in this file use the built-in engine; the modules test each connected provider,
//! several providers together, and repeated calls.

mod across_nodes;
mod dashscope;
mod doubao;
mod idempotency;
mod midjourney;
mod multiple_providers;
mod nano_banana;
mod openai;
mod provider_case;

use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::StreamExt;
use reqwest::{Method, StatusCode, header::RANGE};
use serde_json::{Value, json};
use triptych_proto::v1::{self as pb, read_media_response::Part as MediaPart};

use crate::{
    fake_upstream::Reply,
    rest_response::{Events, error_body, event_data},
    test_server::{TestServer, with_local_and_remote_core, with_local_and_remote_core_and_settings, within_timeout},
};

/// Sends a generation over REST and returns its response.
async fn generate(server: &TestServer, body: Value) -> Value {
    let response = server.post("/v1/images/generations", &body).await;
    assert_eq!(response.status(), StatusCode::OK);
    serde_json::from_str(&response.text().await.unwrap()).unwrap()
}

/// Decodes the `b64_json` of an image.
fn decoded(item: &Value) -> Vec<u8> {
    STANDARD.decode(item["b64_json"].as_str().unwrap()).unwrap()
}

/// Returns the width and height of an encoded image.
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
async fn same_seed_gives_the_same_image_over_rest_and_grpc() {
    with_local_and_remote_core(async |server| {
        let body = json!({"prompt": "A lighthouse", "size": "320x200", "seed": 7, "response_format": "b64_json"});
        let rest = generate(server, body).await;
        assert!(rest["created"].is_i64() && rest["data"][0].get("url").is_none(), "{rest}");
        let rest = decoded(&rest["data"][0]);
        let request = pb::GenerateImagesRequest {
            image: Some(image_request("A lighthouse", "320x200")),
            ..pb::GenerateImagesRequest::default()
        };
        let grpc = server.image_client().await.generate_images(request).await.unwrap().into_inner();
        assert_eq!(size(&rest), (320, 200));
        assert_eq!(grpc.pictures[0].data, rest);
    })
    .await;
}

#[tokio::test]
async fn images_larger_than_the_default_message_limit_are_delivered() {
    with_local_and_remote_core(async |server| {
        let body = json!({"prompt": "A crowd in the rain", "size": "2048x2048", "quality": "hd", "n": 2, "response_format": "b64_json"});
        let response = generate(server, body).await;
        let pictures = [decoded(&response["data"][0]), decoded(&response["data"][1])];
        assert!(pictures.iter().all(|picture| size(picture) == (2048, 2048)) && pictures[0] != pictures[1]);
        // Well above tonic's default limit of 4 MiB for a message: one message carries both images.
        assert!(pictures.concat().len() > 6 << 20, "{} bytes", pictures.concat().len());
    })
    .await;
}

#[tokio::test]
async fn image_link_serves_the_file_and_ranges_and_304_for_a_known_etag() {
    with_local_and_remote_core(async |server| {
        let url = generate(server, json!({"prompt": "A pond", "size": "128x128"})).await["data"][0]["url"].clone();
        let path = url.as_str().unwrap().strip_prefix(&server.url("")).unwrap().to_owned();
        let key = path.strip_prefix("/media/").unwrap().to_owned();
        let response = server.request(Method::GET, &path).send().await.unwrap();
        let etag = response.headers()["etag"].clone();
        assert_eq!(response.headers()["content-type"], "image/png");
        let file = response.bytes().await.unwrap();
        assert_eq!(size(&file), (128, 128));

        let part = server.request(Method::GET, &path).header(RANGE, "bytes=10-19").send().await.unwrap();
        assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
        assert_eq!(part.headers()["content-range"], format!("bytes 10-19/{}", file.len()));
        assert_eq!(part.bytes().await.unwrap(), file.slice(10..20));
        let tail = server.request(Method::GET, &path).header(RANGE, "bytes=-5").send().await.unwrap();
        assert_eq!(tail.bytes().await.unwrap(), file.slice(file.len() - 5..));
        let beyond = server.request(Method::GET, &path).header(RANGE, "bytes=99999999-").send().await.unwrap();
        assert_eq!(beyond.headers()["content-range"], format!("bytes */{}", file.len()));
        assert_eq!(error_body(beyond).await.0, StatusCode::RANGE_NOT_SATISFIABLE);
        let known = server.request(Method::GET, &path).header("if-none-match", etag).send().await.unwrap();
        assert_eq!(known.status(), StatusCode::NOT_MODIFIED);
        let head = server.request(Method::HEAD, &path).send().await.unwrap();
        assert_eq!(head.headers()["content-length"], file.len().to_string());

        let request = pb::ReadMediaRequest { key, ..pb::ReadMediaRequest::default() };
        let parts = server.media_client().await.read_media(request).await.unwrap().into_inner();
        let bytes = parts
            .filter_map(async |part| match part.unwrap().part {
                Some(MediaPart::Data(data)) => Some(data),
                Some(MediaPart::Media(_) | MediaPart::DownloadUrl(_)) | None => None,
            })
            .collect::<Vec<_>>()
            .await
            .concat();
        assert_eq!(bytes, file);
    })
    .await;
}

#[tokio::test]
async fn links_begin_with_the_public_base_url() {
    with_local_and_remote_core_and_settings(
        |_, gateway| gateway.runtime.public_base_url = Some("https://ai.example.org".to_owned()),
        async |server| {
            let response = generate(server, json!({"prompt": "A pond", "size": "64x64"})).await;
            assert!(
                response["data"][0]["url"].as_str().unwrap().starts_with("https://ai.example.org/media/"),
                "{response}"
            );
        },
    )
    .await;
}

#[tokio::test]
async fn previews_precede_the_final_image_over_rest_and_grpc() {
    with_local_and_remote_core(async |server| {
        let body = json!({"prompt": "A harbour", "size": "128x128", "seed": 7, "stream": true, "partial_images": 2});
        let events = Events::new(server.post("/v1/images/generations", &body).await).read_all().await;
        let parsed: Vec<Value> = events.iter().map(|event| event_data(event.split_once('\n').unwrap().1)).collect();
        let kinds: Vec<_> = parsed.iter().map(|event| event["type"].as_str().unwrap()).collect();
        let (preview, completed) = ("image_generation.partial_image", "image_generation.completed");
        assert_eq!(kinds, [preview, preview, completed]);
        for (event, text) in parsed.iter().zip(&events) {
            assert!(text.starts_with(&format!("event: {}\n", event["type"].as_str().unwrap())), "{text:.80}");
            assert_eq!(size(&decoded(event)), (128, 128));
        }
        let request = pb::StreamImagesRequest {
            image: Some(image_request("A harbour", "128x128")),
            partial_images: 2,
            ..pb::StreamImagesRequest::default()
        };
        let events: Vec<_> =
            server.image_client().await.stream_images(request).await.unwrap().into_inner().collect().await;
        let mut events: Vec<_> = events.into_iter().map(|event| event.unwrap().event.unwrap()).collect();
        let last = events.pop().unwrap();
        let pb::stream_images_response::Event::Finished(finished) = last else { panic!("{last:?}") };
        let is_preview = |event: &_| matches!(event, pb::stream_images_response::Event::Preview(_));
        assert!(events.len() == 2 && events.iter().all(is_preview), "{} events before the last", events.len());
        assert_eq!(finished.picture.unwrap().data, decoded(&parsed[2]));
    })
    .await;
}

#[tokio::test]
async fn edit_accepts_a_multipart_form() {
    with_local_and_remote_core(async |server| {
        let body = json!({"prompt": "A barn", "size": "128x96", "response_format": "b64_json"});
        let barn = decoded(&generate(server, body).await["data"][0]);
        let mut form = b"--X\r\ncontent-disposition: form-data; name=\"prompt\"\r\n\r\nin the snow\r\n".to_vec();
        form.extend(b"--X\r\ncontent-disposition: form-data; name=\"response_format\"\r\n\r\nb64_json\r\n");
        form.extend(b"--X\r\ncontent-disposition: form-data; name=\"image\"; filename=\"upload\"\r\ncontent-type: application/octet-stream\r\n\r\n");
        form.extend(&barn);
        form.extend(b"\r\n--X--\r\n");
        let request = server.request(Method::POST, "/v1/images/edits").header("content-type", "multipart/form-data; boundary=X");
        let response = within_timeout("the edit", request.body(form).send()).await.unwrap();
        let edited: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        let edited = decoded(&edited["data"][0]);
        assert!(size(&edited) == (128, 96) && edited != barn);
    })
    .await;
}

#[tokio::test]
async fn files_of_the_built_in_engine_name_it_in_their_metadata() {
    let names_engine =
        |file: &[u8]| file.windows(36).any(|bytes| bytes == b"Triptych offline-image (mock engine)".as_slice());
    with_local_and_remote_core(async |server| {
        for format in ["png", "jpeg", "webp"] {
            let body = json!({"prompt": "A barn", "size": "64x48", "output_format": format, "response_format": "b64_json"});
            let generated = generate(server, body).await["data"][0]["b64_json"].as_str().unwrap().to_owned();
            assert!(names_engine(&STANDARD.decode(&generated).unwrap()), "generation of {format}");
            let images = json!([{"image_url": format!("data:image/{format};base64,{generated}")}]);
            let body = json!({"prompt": "in the snow", "images": images, "output_format": format, "response_format": "b64_json"});
            let response = server.post("/v1/images/edits", &body).await;
            assert_eq!(response.status(), StatusCode::OK);
            let edited: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
            assert!(names_engine(&decoded(&edited["data"][0])), "edit of {format}");
        }
    })
    .await;
}

#[tokio::test]
async fn injected_fault_returns_its_own_status_and_code() {
    with_local_and_remote_core(async |server| {
        for (fault, status, code) in [
            ("429", 429, "rate_limit_exceeded"),
            ("500", 502, "upstream_unavailable"),
            ("refused", 400, "content_policy_violation"),
        ] {
            let body = json!({"prompt": "x", "model": format!("offline-image-fault-{fault}")});
            let (http_status, error) = error_body(server.post("/v1/images/generations", &body).await).await;
            assert_eq!((http_status.as_u16(), error["code"].as_str().unwrap()), (status, code), "{error}");
        }
    })
    .await;
}

#[tokio::test]
async fn edit_input_url_is_fetched_without_credentials() {
    with_local_and_remote_core_and_settings(
        |settings, _| settings.media.fetch_private_addresses = true,
        async |server| {
            let picture = generate(server, json!({"prompt": "A barn", "size": "64x48", "response_format": "b64_json"}));
            let picture = decoded(&picture.await["data"][0]);
            server.upstream.enqueue_at("/barn?x=1", Reply::file("image/png", &picture));
            let images = json!([{"image_url": server.upstream.url("/barn?x=1")}]);
            let body = json!({"prompt": "in the snow", "images": images, "response_format": "b64_json", "keep_original": true});
            let response = server.post("/v1/images/edits", &body).await;
            let edited: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
            assert_eq!(size(&decoded(&edited["data"][0])), (64, 48));
            let original = edited["data"][0]["original_url"].as_str().unwrap();
            let path = original.strip_prefix(&server.url("")).unwrap();
            let kept = server.request(Method::GET, path).send().await.unwrap().bytes().await.unwrap();
            assert_eq!(kept, decoded(&edited["data"][0]), "no size was requested, so the image is delivered as the engine returned it");
            let received = server.upstream.received().await;
            assert_eq!((received.path.as_str(), received.header("authorization")), ("/barn?x=1", None));
        },
    )
    .await;
}

#[tokio::test]
async fn built_in_engine_reports_model_and_usage() {
    with_local_and_remote_core(async |server| {
        let response = generate(server, json!({"prompt": "a pond", "size": "64x64", "n": 2, "quality": "low"})).await;
        let usage = json!({"input_tokens": 2, "output_tokens": 4, "total_tokens": 6,
            "input_tokens_details": {"text_tokens": 2, "image_tokens": 0}});
        assert_eq!((&response["usage"], &response["model"]), (&usage, &json!("offline-image")));
        let image = Some(image_request("a pond", "64x64"));
        let request = pb::GenerateImagesRequest { image, ..pb::GenerateImagesRequest::default() };
        let response = server.image_client().await.generate_images(request).await.unwrap().into_inner();
        let usage = response.usage.unwrap();
        assert_eq!((usage.input_tokens, usage.output_tokens, usage.total_tokens), (2, 5, 7));
        assert_eq!(response.model, "offline-image");
    })
    .await;
}
