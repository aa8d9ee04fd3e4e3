//! The limit of queued videos for each owner, `jobs.max_queued_per_owner`.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tonic::Code;
use tonic_types::StatusExt;
use triptych_proto::v1 as pb;

use super::{ALICE, BOB, create, grpc, rest, rest_json, with_limits};
use crate::{rest_response::error_body, video::small_video};

#[tokio::test]
async fn queued_videos_beyond_the_limit_are_refused_with_429_for_their_owner_only() {
    with_limits(2, async |server| {
        let long = json!({"prompt": "Waves", "size": "1920x1080", "seconds": 60});
        let mut client = server.video_client().await;
        // One render for every two CPUs starts; the others fill the queue.
        let mut created = Vec::new();
        let refused = loop {
            assert!(created.len() < 200, "nothing was refused");
            let response = rest(server, ALICE, Method::POST, "/v1/videos", &long).await;
            if response.status() != StatusCode::OK {
                break response;
            }
            let video: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
            created.push(video["id"].as_str().unwrap().to_owned());
        };
        assert!(refused.headers().contains_key("retry-after"));
        let (status, error) = error_body(refused).await;
        assert_eq!((status, &error["code"]), (StatusCode::TOO_MANY_REQUESTS, &json!("overloaded")));
        assert!(error["message"].as_str().unwrap().contains("jobs.max_queued_per_owner"), "{error}");
        let request = pb::CreateVideoRequest {
            prompt: "Waves".to_owned(),
            duration_seconds: Some(60),
            ..pb::CreateVideoRequest::default()
        };
        // A slot may have become free meanwhile.
        let refused = loop {
            assert!(created.len() < 200, "nothing was refused");
            match client.create_video(grpc(ALICE, request.clone())).await {
                Ok(response) => created.push(response.into_inner().video.unwrap().id),
                Err(refused) => break refused,
            }
        };
        assert_eq!(refused.code(), Code::ResourceExhausted);
        assert!(refused.get_error_details().retry_info().is_some());
        create(server, BOB, &small_video("one")).await;
        for id in created {
            rest_json(server, ALICE, Method::DELETE, &format!("/v1/videos/{id}"), &Value::Null).await;
        }
        create(server, ALICE, &small_video("one")).await;
    })
    .await;
}
