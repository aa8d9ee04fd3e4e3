//! Lists of videos by status and model, over REST and gRPC.

use reqwest::Method;
use serde_json::{Value, json};
use tonic::Code;
use tonic_types::StatusExt;
use triptych_proto::v1::{self as pb, video::State};

use super::{create, json_body, small_video, wait_until_final};
use crate::{
    rest_response::error_body,
    test_server::{TestServer, with_local_and_remote_core},
};

/// Creates a video of a model, and returns its id.
async fn create_with(server: &TestServer, model: &str) -> String {
    let mut body = small_video("Pan left");
    body["model"] = json!(model);
    create(server, &body).await
}

/// Returns the ids of a page, and whether there is another one.
async fn page(server: &TestServer, query: &str) -> (Vec<String>, bool) {
    let path = format!("/v1/videos?{query}");
    let page = json_body(server.request(Method::GET, &path).send().await.unwrap()).await;
    let ids = page["data"].as_array().unwrap().iter().map(|video| video["id"].as_str().unwrap().to_owned());
    (ids.collect(), page["has_more"] == Value::Bool(true))
}

#[tokio::test]
async fn pages_of_a_status_or_model_are_full() {
    with_local_and_remote_core(async |server| {
        let (mut completed, mut failed, mut cancelled) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..3 {
            completed.push(create_with(server, "sora-2").await);
            failed.push(create_with(server, "offline-video-fault-refused").await);
            let stuck = create_with(server, "offline-video-fault-stuck").await;
            json_body(server.post(&format!("/v1/videos/{stuck}/cancel"), &Value::Null).await).await;
            cancelled.push(stuck);
        }
        let running = create_with(server, "offline-video-fault-stuck").await;
        for id in completed.iter().chain(&failed) {
            wait_until_final(server, id).await;
        }
        for (filter, ids) in [
            ("status=completed", &completed),
            ("status=cancelled", &cancelled),
            // The name in the videos, of which `sora-2` is an alias.
            ("model=offline-video", &completed),
            ("status=failed&model=offline-video-fault-refused", &failed),
            ("status=failed&model=offline-video-fault-stuck", &cancelled),
        ] {
            assert_eq!(
                page(server, &format!("{filter}&limit=2&order=asc")).await,
                (ids[..2].to_vec(), true),
                "{filter}"
            );
            let next = format!("{filter}&limit=2&order=asc&after={}", ids[1]);
            assert_eq!(page(server, &next).await, (ids[2..].to_vec(), false), "{filter}");
            let newest = vec![ids[2].clone(), ids[1].clone()];
            assert_eq!(page(server, &format!("{filter}&limit=2")).await, (newest, true), "{filter}");
        }
        assert_eq!(page(server, "status=failed").await.0.len(), 6);
        assert_eq!(page(server, "status=queued&model=offline-video").await, (Vec::new(), false));
        let unfinished = [page(server, "status=queued").await.0, page(server, "status=in_progress").await.0].concat();
        assert_eq!(unfinished, std::slice::from_ref(&running));

        let mut client = server.video_client().await;
        let request = pb::ListVideosRequest {
            states: vec![State::Failed.into(), State::Succeeded.into()],
            page_size: Some(4),
            ..pb::ListVideosRequest::default()
        };
        let reply = client.list_videos(request.clone()).await.unwrap().into_inner();
        let ids: Vec<_> = reply.videos.iter().map(|video| &video.id).collect();
        assert_eq!(ids, [&failed[2], &completed[2], &failed[1], &completed[1]]);
        let request = pb::ListVideosRequest { page_token: reply.next_page_token, ..request };
        let reply = client.list_videos(request).await.unwrap().into_inner();
        assert_eq!((reply.videos.len(), reply.next_page_token.as_str()), (2, ""));
        json_body(server.post(&format!("/v1/videos/{running}/cancel"), &Value::Null).await).await;
    })
    .await;
}

#[tokio::test]
async fn unknown_status_is_refused_with_the_accepted_ones() {
    with_local_and_remote_core(async |server| {
        let response = server.request(Method::GET, "/v1/videos?status=done").send().await.unwrap();
        let (status, error) = error_body(response).await;
        assert_eq!((status.as_u16(), &error["param"]), (400, &json!("status")));
        let message = error["message"].as_str().unwrap();
        let accepted = ["queued", "in_progress", "completed", "failed", "cancelled"];
        assert!(accepted.iter().all(|status| message.contains(&format!("`{status}`"))), "{message}");
        // The state UNSPECIFIED.
        let request = pb::ListVideosRequest { states: vec![0], ..pb::ListVideosRequest::default() };
        let refused = server.video_client().await.list_videos(request).await.unwrap_err();
        let details = refused.get_error_details();
        let field = &details.bad_request().unwrap().field_violations[0].field;
        assert_eq!((refused.code(), field.as_str()), (Code::InvalidArgument, "states"));
    })
    .await;
}
