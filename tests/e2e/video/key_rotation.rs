//! A provider's API key that is replaced while renders are in progress.

use core_service::config::{Settings, VideoServiceType};
use http_server::ThreadCount;

use super::{
    create,
    provider_case::{CLIP, Fixtures},
    small_video, wait_until_final,
};
use crate::{
    fake_upstream::Reply,
    test_server::{CoreLocation, TestServer},
};

/// Returns an adjustment of the settings: the provider's key, and the keys that it replaces.
fn configure(key: &'static str, previous: &'static [&str]) -> impl Fn(&mut Settings, &mut rest_gateway::Settings) {
    |settings, _| {
        settings.video.service_type = VideoServiceType::Openai;
        let openai = &mut settings.video.openai;
        openai.base_url.clone_from(&settings.chat.base_url);
        openai.models = vec!["sora-2".to_owned()];
        openai.poll_interval = std::time::Duration::from_millis(100);
        openai.api_key = Some(key.into());
        openai.previous_api_keys = previous.iter().map(|&key| key.into()).collect();
    }
}

/// Takes the next request, and asserts its path and key.
async fn assert_received(server: &TestServer, path: &str, key: &str) {
    let request = server.upstream.received().await;
    assert_eq!(request.path, path);
    assert_eq!(request.header("authorization"), Some(format!("bearer {key}").as_str()), "{path}");
}

#[tokio::test]
async fn render_continues_with_the_key_that_started_it_after_a_restart() {
    let fixtures = Fixtures::new("openai");
    let (location, threads) = (CoreLocation::InProcess, ThreadCount::Shared);
    let server = TestServer::start(location, threads, &configure("first-key", &[])).await;
    let enqueue = |server: &TestServer, path: &str, fixture: &str, task: &str| {
        server.upstream.enqueue_at(path, fixtures.reply(server, fixture, task));
    };
    enqueue(&server, "/v1/videos", "queued.json", "task-1");
    server.upstream.enqueue_at("/v1/videos/task-1", Reply::no_response());
    let first = create(&server, &small_video("a boat")).await;
    assert_received(&server, "/v1/videos", "first-key").await;
    assert_received(&server, "/v1/videos/task-1", "first-key").await;

    let mut server = server.restart(location, threads, &configure("second-key", &["first-key"])).await;
    for (task, key) in [("task-1", "first-key"), ("task-2", "second-key")] {
        let path = format!("/v1/videos/{task}");
        enqueue(&server, &path, "completed.json", task);
        server.upstream.enqueue_at(&format!("{path}/content"), Reply::file("video/mp4", &CLIP));
        let id = if task == "task-1" {
            first.clone()
        } else {
            enqueue(&server, "/v1/videos", "queued.json", task);
            let id = create(&server, &small_video("a boat")).await;
            assert_received(&server, "/v1/videos", key).await;
            id
        };
        assert_eq!(wait_until_final(&server, &id).await["status"], "completed");
        assert_received(&server, &path, key).await;
        assert_received(&server, &format!("{path}/content"), key).await;
    }
    server.upstream.assert_no_request().await;
    server.shut_down().await;
}
