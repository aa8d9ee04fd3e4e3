//! A reload of the settings while calls and jobs are in progress. The data of the upstream's videos are those of OpenAI's videos API.

use std::time::Duration;

use core_service::config::{RouteRule, Settings, Upstream, VideoServiceType};
use serde_json::{Value, json};

use super::{create, provider_case::CLIP, small_video, wait_until_final};
use crate::{
    chat::setup::{COMPLETION, UNAVAILABLE, attempted_targets, configure_targets},
    fake_upstream::{FakeUpstream, Latch, Reply, content_event, finish_event},
    rest_response::{Events, error_body},
    test_server::{MODEL, TestServer, chat_body, with_local_and_remote_core_and_settings},
};

const CHAT: &str = "/v1/chat/completions";

fn configure(settings: &mut Settings, _: &mut rest_gateway::Settings) {
    settings.video.service_type = VideoServiceType::Openai;
    settings.video.openai.base_url = settings.chat.base_url.clone();
    settings.video.openai.models = vec!["mine".to_owned()];
    settings.video.openai.poll_interval = Duration::from_millis(100);
    configure_targets(settings, None);
}

/// A render as the upstream describes it.
fn render(status: &str) -> String {
    json!({"id": "up-1", "object": "video", "model": "sora-2", "status": status, "progress": 0}).to_string()
}

async fn requested_path(server: &TestServer) -> String {
    server.upstream.received().await.path
}

#[tokio::test]
async fn new_upstream_and_route_serve_new_calls_while_a_stream_and_a_job_end_undisturbed() {
    let other = FakeUpstream::start().await;
    with_local_and_remote_core_and_settings(configure, async |server| {
        // A stream whose end, and a render whose state the upstream sends after the reload.
        let (stream_gate, render_gate) = (Latch::new(), Latch::new());
        let stream = Reply::stream().send(&content_event("Hel")).wait_for(&stream_gate).send(&content_event("lo!"));
        server.upstream.enqueue_at(CHAT, stream.send(&format!("{}data: [DONE]\n\n", finish_event("stop"))));
        let mut events = Events::new(server.chat(chat_body(&json!({"stream": true}))).await);
        assert!(events.next().await.unwrap().contains("Hel"));
        assert_eq!(requested_path(server).await, CHAT);
        server.upstream.enqueue_at("/v1/videos", Reply::new(200, &render("queued")));
        let polled = Reply::new(200, "").wait_for(&render_gate).send(&render("completed"));
        server.upstream.enqueue_at("/v1/videos/up-1", polled);
        let id = create(server, &small_video("a boat")).await;
        for path in ["/v1/videos", "/v1/videos/up-1"] {
            assert_eq!(requested_path(server).await, path);
        }

        server.reload(|settings| {
            settings.chat.upstreams.push(Upstream {
                name: "b".to_owned(),
                base_url: Some(other.url("/v1").parse().unwrap()),
                models: vec!["added".to_owned()],
                ..Upstream::default()
            });
            let fallbacks = vec!["added".to_owned()];
            settings.chat.routes = vec![RouteRule { model: MODEL.to_owned(), fallbacks, ..RouteRule::default() }];
            // So that the providers of videos are created again, too.
            settings.video.openai.poll_interval = Duration::from_millis(101);
        });
        other.enqueue(Reply::new(200, COMPLETION));
        assert_eq!(server.chat(chat_body(&json!({"model": "added"}))).await.status(), 200);
        assert_eq!(other.received().await.json()["model"], "added");
        server.upstream.enqueue_at(CHAT, Reply::new(503, UNAVAILABLE));
        other.enqueue(Reply::new(200, COMPLETION));
        assert_eq!(attempted_targets(server).await, "a=unavailable,b=ok");
        assert_eq!(requested_path(server).await, CHAT);
        other.received().await;

        stream_gate.open();
        let rest = events.read_all().await;
        assert!(rest[0].contains("lo!") && rest.last().unwrap() == "data: [DONE]", "{rest:?}");
        server.upstream.enqueue_at("/v1/videos/up-1/content", Reply::file("video/mp4", &CLIP));
        render_gate.open();
        let video = wait_until_final(server, &id).await;
        assert_eq!((&video["status"], &video["error"]), (&json!("completed"), &Value::Null));
        assert_eq!(requested_path(server).await, "/v1/videos/up-1/content");
    })
    .await;
}

#[tokio::test]
async fn circuit_breaker_stays_open_across_a_reload_unless_the_settings_of_its_providers_change() {
    let configure = |settings: &mut Settings, _: &mut rest_gateway::Settings| {
        configure_targets(settings, None);
        settings.chat.routing.failure_threshold = 1;
        settings.chat.routing.retries = 0;
        settings.chat.routing.cooldown = Duration::from_hours(1);
    };
    with_local_and_remote_core_and_settings(configure, async |server| {
        let refused = async || error_body(server.chat(chat_body(&json!({}))).await).await.0.as_u16();
        server.upstream.enqueue(Reply::new(503, UNAVAILABLE));
        assert_eq!(refused().await, 502);
        assert_eq!(requested_path(server).await, CHAT);
        server.reload(|settings| {
            settings.grpc.cors_allow_origins = vec!["https://a.test".to_owned()];
            // Other providers are created again, and this modality knows their models.
            settings.image.openai.base_url = Some("http://127.0.0.1:1/v1".parse().unwrap());
            settings.image.openai.models = vec!["picture-1".to_owned()];
        });
        // No request is sent: the upstream has no reply, and the test would find the request at its end.
        assert_eq!(refused().await, 502);
        let (status, error) = error_body(server.chat(chat_body(&json!({"model": "picture-1"}))).await).await;
        assert_eq!(status, 404);
        assert!(error["message"].as_str().unwrap().contains("is an image model"), "{error}");
        server.reload(|settings| settings.chat.upstreams[0].api_key = Some("another-secret".into()));
        server.upstream.enqueue(Reply::new(200, COMPLETION));
        assert_eq!(attempted_targets(server).await, "a=ok");
        assert_eq!(server.upstream.received().await.header("authorization"), Some("bearer another-secret"));
    })
    .await;
}
