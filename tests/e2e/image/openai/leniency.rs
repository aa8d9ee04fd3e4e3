//! Deviations of image responses that are tolerated, and upstream errors, which clients receive with all their members.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tonic_types::StatusExt;

use super::{GENERATIONS, PROVIDER, configure, generate_request, json_body, png, with_local_and_remote_core};
use crate::{
    fake_upstream::Reply,
    image::{decoded, size},
    rest_response::{Events, error_body, event_data},
    test_server::{TestServer, with_local_and_remote_core_and_settings},
};

/// Runs the test with a circuit breaker that the second failure in a row opens.
async fn with_sensitive_breaker(test: impl AsyncFn(&TestServer)) {
    let adjust = |settings: &mut core_service::config::Settings, gateway: &mut rest_gateway::Settings| {
        configure(settings, gateway);
        settings.image.routing.failure_threshold = 2;
    };
    with_local_and_remote_core_and_settings(adjust, test).await;
}

fn body(stream: bool) -> Value {
    json!({"model": "gpt-image-1", "prompt": "x", "size": "320x200", "stream": stream, "partial_images": 1})
}

#[tokio::test]
async fn unexpected_values_beside_an_image_neither_fail_it_nor_open_the_circuit_breaker() {
    let image = STANDARD.encode(png(320, 200));
    let replies = [
        r#""usage":{"input_tokens":-35},"created":"now","data":[null,{"b64_json":"?"},{"b64_json":"IMAGE","revised_prompt":7}]"#,
        r#""usage":7,"size":{},"data":[{"b64_json":"IMAGE","revised_prompt":7,"url":7,"error":"late"}]"#,
        r#""created":-Infinity,"error":{},"data":{"b64_json":"IMAGE","revised_prompt":7}"#,
    ];
    with_sensitive_breaker(async |server| {
        for reply in replies {
            let reply = Reply::new(200, &format!("\u{feff}{{{}}}", reply.replace("IMAGE", &image)));
            for _ in 0..3 {
                server.upstream.enqueue_at(GENERATIONS, reply.clone());
                let response = json_body(server.post(GENERATIONS, &body(false)).await).await;
                server.upstream.received().await;
                assert_eq!(size(&decoded(&response["data"][0])), (320, 200));
                assert_eq!(response["data"][0]["revised_prompt"], "7");
                assert_eq!((response["model"].as_str(), response.get("usage")), (Some("gpt-image-1"), None));
            }
        }
    })
    .await;
}

#[tokio::test]
async fn stray_lines_and_damaged_previews_do_not_fail_a_stream() {
    let image = STANDARD.encode(png(320, 200));
    let preview = |b64_json: &Value| {
        let event = json!({"type": "image_generation.partial_image", "b64_json": b64_json, "partial_image_index": "0"});
        format!("data: {event}\n\n")
    };
    let completed = json!({"type": "image_generation.completed", "b64_json": image, "usage": [7], "size": null});
    let stray = "data: starting\n\ndata: {\"type\": \n\n";
    let previews = [&json!(7), &json!("?"), &json!(image)].map(preview).concat();
    let text = format!("\u{feff}{stray}{previews}data: {completed}\n\n");
    with_local_and_remote_core(async |server| {
        server.upstream.enqueue_at(GENERATIONS, Reply::stream().send(&text));
        let events = Events::new(server.post(GENERATIONS, &body(true)).await).read_all().await;
        server.upstream.received().await;
        let kind = |event: &String| event_data(event.split_once('\n').unwrap().1)["type"].clone();
        let kinds: Vec<_> = events.iter().map(kind).collect();
        assert_eq!(kinds, ["image_generation.partial_image", "image_generation.completed"]);

        server.upstream.enqueue_at(GENERATIONS, Reply::stream().send(stray));
        let (status, error) = error_body(server.post(GENERATIONS, &body(true)).await).await;
        server.upstream.received().await;
        assert_eq!((status.as_u16(), error["code"].as_str()), (500, Some("upstream_unreadable")), "{error}");
    })
    .await;
}

#[tokio::test]
async fn upstream_error_reaches_the_client_with_its_members_whatever_its_status() {
    let error = json!({"error": {"message": "too many", "type": "image_generation_user_error", "param": "prompt",
        "code": "invalid_prompt", "limit": 1000}});
    with_sensitive_breaker(async |server| {
        let event = Reply::stream().send(&format!("data: {error}\n\n"));
        // A refusal is no failure of the upstream.
        let replies = [Reply::new(200, &error.to_string()), Reply::new(400, &error.to_string()), event];
        for reply in std::iter::repeat_n(replies, 3).flatten() {
            server.upstream.enqueue_at(GENERATIONS, reply);
            let (status, refused) = error_body(server.post(GENERATIONS, &body(true)).await).await;
            server.upstream.received().await;
            assert_eq!((status.as_u16(), &refused), (400, &error["error"]));
        }
        server.upstream.enqueue_at(GENERATIONS, Reply::new(400, &error.to_string()));
        let request = generate_request(PROVIDER.model, 1, "320x200");
        let failed = server.image_client().await.generate_images(request).await.unwrap_err();
        server.upstream.received().await;
        let metadata = failed.get_error_details().error_info().unwrap().metadata.clone();
        assert_eq!((&*metadata["upstream_code"], &*metadata["upstream_param"]), ("invalid_prompt", "prompt"));
        assert_eq!(metadata["upstream_type"], "image_generation_user_error");
        assert_eq!(metadata["upstream_members"], r#"{"limit":1000}"#);
    })
    .await;
}
