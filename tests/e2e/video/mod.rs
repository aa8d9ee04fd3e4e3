//! Video jobs over REST and gRPC. Here with the built-in engine: the life cycle, events, idempotency, cancellation, remix; and
//! one module for each connected provider.

mod common_scenarios;
mod derive;
mod fal;
mod gemini;
mod inputs_and_parameters;
mod key_rotation;
mod kling;
mod lists;
mod midjourney;
mod minimax;
mod multiple_providers;
mod offline;
mod openai;
mod openrouter;
mod owners;
mod provider_case;
mod provider_faults;
mod provider_links;
mod reload;
mod repetition;
mod runway;
mod seedance;
mod vertex;
mod vidu;
mod wan;
mod webhooks;
mod xai;

use std::time::Duration;

use futures_util::StreamExt;
use reqwest::{Method, StatusCode, header::RANGE};
use serde_json::{Value, json};
use tonic::Code;
use tonic_types::StatusExt;
use triptych_proto::v1::{self as pb, download_video_response::Part, video::State};

use crate::{
    rest_response::{Events, error_body, event_data},
    test_server::{TestServer, with_local_and_remote_core, within_timeout},
};

async fn json_body(response: reqwest::Response) -> Value {
    let status = response.status();
    let text = response.text().await.unwrap();
    assert_eq!(status, StatusCode::OK, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// Returns a request for a video that renders quickly.
pub(crate) fn small_video(prompt: &str) -> Value {
    json!({"prompt": prompt, "size": "160x96", "seconds": 1})
}

/// Creates a video and returns its id.
async fn create(server: &TestServer, body: &Value) -> String {
    json_body(server.post("/v1/videos", body).await).await["id"].as_str().unwrap().to_owned()
}

/// Reads the events of a video to their end, and returns the final snapshot.
async fn wait_until_final(server: &TestServer, id: &str) -> Value {
    let watch = server.request(Method::GET, &format!("/v1/videos/{id}/events")).send().await.unwrap();
    let events = within_timeout("the video", Events::new(watch).read_all()).await;
    snapshot(events.last().unwrap())
}

/// Returns the video that an event of its stream has as its data.
fn snapshot(event: &str) -> Value {
    event_data(event.lines().find(|line| line.starts_with("data: ")).unwrap())
}

#[tokio::test]
async fn video_is_the_same_over_rest_grpc_events_and_downloads() {
    with_local_and_remote_core(async |server| {
        let created = json_body(server.post("/v1/videos", &small_video("Pan left")).await).await;
        let id = created["id"].as_str().unwrap();
        for member in [
            "id",
            "object",
            "model",
            "status",
            "progress",
            "created_at",
            "completed_at",
            "expires_at",
            "prompt",
            "size",
            "seconds",
            "remixed_from_video_id",
            "error",
        ] {
            assert!(created.get(member).is_some(), "{created} has no `{member}`");
        }
        assert_eq!(
            (&created["object"], &created["seconds"], &created["size"]),
            (&json!("video"), &json!("1"), &json!("160x96"))
        );

        let mut client = server.video_client().await;
        let watched = client.watch_video(pb::WatchVideoRequest { id: id.to_owned() }).await.unwrap().into_inner();
        let watched: Vec<_> = within_timeout("the video", watched.collect()).await;
        let snapshots: Vec<pb::Video> = watched.into_iter().map(|response| response.unwrap().video.unwrap()).collect();
        assert!(snapshots.iter().map(|video| video.progress_percent).is_sorted());
        assert!(snapshots.iter().map(|video| video.revision).is_sorted_by(|a, b| a < b));
        let last = snapshots.last().unwrap();
        assert_eq!((last.state(), last.progress_percent), (State::Succeeded, 100));

        let done = wait_until_final(server, id).await;
        let mut read = json_body(server.request(Method::GET, &format!("/v1/videos/{id}")).send().await.unwrap()).await;
        // The videos in events do not have this member.
        assert_eq!(read.as_object_mut().unwrap().remove("request").unwrap()["path"], "/v1/videos");
        assert_eq!(done, read);
        assert_eq!((&done["status"], &done["progress"]), (&json!("completed"), &json!(100)));

        let history = format!("/v1/videos/{id}/history");
        let history = json_body(server.request(Method::GET, &history).send().await.unwrap()).await;
        let expected = ["queued", "submitting", "rendering", "storing", "completed"];
        let transitions = history["transitions"].as_array().unwrap();
        assert_eq!(transitions.iter().map(|transition| &transition["state"]).collect::<Vec<_>>(), expected);
        assert!(transitions.is_sorted_by_key(|transition| transition["at"].as_f64()), "{history}");
        let work = (&history["provider"], &history["provider_task_id"], &history["submissions"], &history["failures"]);
        assert_eq!(work, (&json!("offline"), &json!(id), &json!(1), &json!(0)));
        let unknown = server.request(Method::GET, "/v1/videos/video_1/history").send().await.unwrap();
        assert_eq!(unknown.status(), StatusCode::NOT_FOUND);

        let content = format!("/v1/videos/{id}/content");
        let content_bytes = server.request(Method::GET, &content).send().await.unwrap();
        assert_eq!(content_bytes.headers()["content-type"], "video/mp4");
        let content_bytes = content_bytes.bytes().await.unwrap();
        assert_eq!(&content_bytes[4..8], b"ftyp");
        let link = done["video_url"].as_str().unwrap().strip_prefix(&server.url("")).unwrap();
        assert_eq!(server.request(Method::GET, link).send().await.unwrap().bytes().await.unwrap(), content_bytes);
        let part = server.request(Method::GET, &content).header(RANGE, "bytes=4-7").send().await.unwrap();
        assert_eq!(
            (part.status(), part.bytes().await.unwrap().as_ref()),
            (StatusCode::PARTIAL_CONTENT, b"ftyp".as_slice())
        );
        let request = pb::DownloadVideoRequest {
            id: id.to_owned(),
            offset: 4,
            length: Some(1000),
            ..pb::DownloadVideoRequest::default()
        };
        let parts = client.download_video(request).await.unwrap().into_inner();
        let bytes = parts
            .filter_map(async |part| match part.unwrap().part {
                Some(Part::Data(data)) => Some(data),
                Some(Part::Media(_) | Part::DownloadUrl(_)) | None => None,
            })
            .collect::<Vec<_>>()
            .await
            .concat();
        assert_eq!(bytes, content_bytes[4..1004]);

        let deleted =
            json_body(server.request(Method::DELETE, &format!("/v1/videos/{id}")).send().await.unwrap()).await;
        assert_eq!(deleted, json!({"id": id, "object": "video.deleted", "deleted": true}));
        for path in [format!("/v1/videos/{id}"), content, link.to_owned()] {
            assert_eq!(
                error_body(server.request(Method::GET, &path).send().await.unwrap()).await.0,
                StatusCode::NOT_FOUND
            );
        }
        let status = client.get_video(pb::GetVideoRequest { id: id.to_owned() }).await.unwrap_err();
        assert_eq!(
            (status.code(), status.get_error_details().error_info().unwrap().reason.as_str()),
            (Code::NotFound, "VIDEO_NOT_FOUND")
        );
    })
    .await;
}

#[tokio::test]
async fn create_with_reused_key_returns_the_same_video_and_with_another_body_409() {
    with_local_and_remote_core(async |server| {
        let post = |body: Value| {
            let request = server.request(Method::POST, "/v1/videos").header("content-type", "application/json");
            request.header("idempotency-key", "once").body(body.to_string()).send()
        };
        let first = json_body(post(small_video("Pan left")).await.unwrap()).await;
        let again = json_body(post(small_video("Pan left")).await.unwrap()).await;
        assert_eq!(first["id"], again["id"]);
        let request = pb::CreateVideoRequest {
            prompt: "Pan left".to_owned(),
            size: "160x96".to_owned(),
            duration_seconds: Some(1),
            idempotency_key: "once".to_owned(),
            ..pb::CreateVideoRequest::default()
        };
        let grpc = server.video_client().await.create_video(request).await.unwrap().into_inner().video.unwrap();
        assert_eq!(first["id"], grpc.id);
        let other = post(small_video("Pan right")).await.unwrap();
        assert_eq!(other.headers()["x-should-retry"], "false");
        let (status, error) = error_body(other).await;
        assert_eq!((status, &error["code"]), (StatusCode::CONFLICT, &json!("idempotency_conflict")));
    })
    .await;
}

#[tokio::test]
async fn cancelled_video_is_final_over_rest_grpc_and_events() {
    with_local_and_remote_core(async |server| {
        let id = create(server, &json!({"prompt": "Waves", "size": "1920x1080", "seconds": 60})).await;
        let path = format!("/v1/videos/{id}");
        let before_completion = server.request(Method::GET, &format!("{path}/content")).send().await.unwrap();
        let (status, error) = error_body(before_completion).await;
        assert_eq!((status, &error["code"]), (StatusCode::BAD_REQUEST, &json!("video_not_ready")));
        let poll = server.request(Method::GET, &path).send().await.unwrap();
        let poll_after_ms: u64 = poll.headers()["openai-poll-after-ms"].to_str().unwrap().parse().unwrap();
        assert!((1..=60_000).contains(&poll_after_ms), "{poll_after_ms}");

        let watch = Events::new(server.request(Method::GET, &format!("{path}/events")).send().await.unwrap());
        let cancelled = json_body(server.request(Method::POST, &format!("{path}/cancel")).send().await.unwrap()).await;
        assert_eq!((&cancelled["status"], &cancelled["error"]["code"]), (&json!("failed"), &json!("cancelled")));
        let last = within_timeout("the end of the events", watch.read_all()).await;
        assert_eq!(snapshot(last.last().unwrap())["status"], "failed");
        let again = server.video_client().await.cancel_video(pb::CancelVideoRequest { id }).await.unwrap().into_inner();
        assert_eq!(again.video.unwrap().state(), State::Cancelled);
        let polled = server.request(Method::GET, &path).send().await.unwrap();
        assert!(!polled.headers().contains_key("openai-poll-after-ms"));
    })
    .await;
}

#[tokio::test]
async fn last_event_id_skips_events_that_were_received() {
    with_local_and_remote_core(async |server| {
        let id = create(server, &small_video("Clouds")).await;
        wait_until_final(server, &id).await;
        // 204 tells a client's `EventSource` not to connect again.
        let watch = |last_event_id: &str| {
            let request = server.request(Method::GET, &format!("/v1/videos/{id}/events"));
            request.header("last-event-id", last_event_id).send()
        };
        let events = Events::new(watch("0").await.unwrap()).read_all().await;
        assert_eq!(events.len(), 1);
        let last_event_id = events[0].lines().find_map(|line| line.strip_prefix("id: ")).unwrap();
        assert_eq!(watch(last_event_id).await.unwrap().status(), StatusCode::NO_CONTENT);
    })
    .await;
}

#[tokio::test]
async fn remix_inherits_the_settings_of_its_source() {
    with_local_and_remote_core(async |server| {
        let id = create(server, &small_video("Pan left")).await;
        wait_until_final(server, &id).await;
        let remix =
            json_body(server.post(&format!("/v1/videos/{id}/remix"), &json!({"prompt": "Zoom in"})).await).await;
        assert_eq!((&remix["remixed_from_video_id"], &remix["prompt"]), (&json!(id), &json!("Zoom in")));
        assert_eq!((&remix["size"], &remix["seconds"]), (&json!("160x96"), &json!("1")));
        let done = wait_until_final(server, remix["id"].as_str().unwrap()).await;
        assert_eq!(done["status"], "completed");
        let listed = json_body(server.request(Method::GET, "/v1/videos?limit=1").send().await.unwrap()).await;
        assert_eq!((&listed["data"][0]["id"], &listed["has_more"]), (&remix["id"], &json!(true)));
        let next = format!("/v1/videos?limit=1&after={}", listed["last_id"].as_str().unwrap());
        let listed = json_body(server.request(Method::GET, &next).send().await.unwrap()).await;
        assert_eq!((&listed["data"][0]["id"], &listed["has_more"]), (&json!(id), &json!(false)));
    })
    .await;
}

#[tokio::test]
async fn video_without_a_free_slot_of_the_engine_is_queued() {
    with_local_and_remote_core(async |server| {
        // The engine renders one video for every two CPUs at a time.
        let slots = std::thread::available_parallelism().map_or(1, usize::from).div_euclid(2).max(1);
        let long = json!({"prompt": "Waves", "size": "1920x1080", "seconds": 60});
        let mut running = Vec::new();
        for _ in 0..slots {
            running.push(create(server, &long).await);
        }
        let waiting = create(server, &small_video("Pan left")).await;
        for id in &running {
            wait_until_rendering(server, id).await;
        }
        let path = format!("/v1/videos/{waiting}");
        let snapshot = json_body(server.request(Method::GET, &path).send().await.unwrap()).await;
        assert_eq!((&snapshot["status"], &snapshot["queue_position"]), (&json!("queued"), &json!(0)));
        for id in running {
            server.request(Method::POST, &format!("/v1/videos/{id}/cancel")).send().await.unwrap();
        }
        assert_eq!(wait_until_final(server, &waiting).await["status"], "completed");
    })
    .await;
}

/// Waits until the provider renders the video.
async fn wait_until_rendering(server: &TestServer, id: &str) {
    let request = pb::WatchVideoRequest { id: id.to_owned() };
    let mut watch = server.video_client().await.watch_video(request).await.unwrap().into_inner();
    loop {
        let snapshot = within_timeout("a snapshot", watch.next()).await.unwrap().unwrap();
        if snapshot.video.unwrap().state() == State::Rendering {
            return;
        }
    }
}

#[tokio::test]
async fn failed_video_returns_200_with_its_error() {
    with_local_and_remote_core(async |server| {
        let mut body = small_video("Pan left");
        body["model"] = json!("offline-video-fault-fails");
        let id = create(server, &body).await;
        let failed = wait_until_final(server, &id).await;
        assert_eq!(failed["status"], "failed");
        assert!(failed["error"]["code"].is_string() && failed["error"]["message"].is_string(), "{failed}");
        let progress = failed["progress"].as_u64().unwrap();
        assert!(progress < 100, "{failed}");
    })
    .await;
}

#[tokio::test]
async fn client_disconnect_from_a_watch_does_not_cancel_the_video() {
    with_local_and_remote_core(async |server| {
        let id = create(server, &small_video("Pan left")).await;
        let mut client = server.video_client().await;
        let mut watch = client.watch_video(pb::WatchVideoRequest { id: id.clone() }).await.unwrap().into_inner();
        within_timeout("the first snapshot", watch.next()).await.unwrap().unwrap();
        drop(watch);
        let mut short = tonic::Request::new(pb::WatchVideoRequest { id: id.clone() });
        short.set_timeout(Duration::from_millis(1));
        drop(client.watch_video(short).await);
        assert_eq!(wait_until_final(server, &id).await["status"], "completed");
    })
    .await;
}
