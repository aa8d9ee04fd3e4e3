//! Files of finished videos that are no longer in the media store.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tonic::Code;
use triptych_proto::v1 as pb;

use super::super::{create, json_body, small_video, wait_until_final};
use crate::{
    rest_response::error_body,
    test_server::{TestServer, with_local_and_remote_core},
};

async fn snapshot(server: &TestServer, id: &str) -> Value {
    json_body(server.request(Method::GET, &format!("/v1/videos/{id}")).send().await.unwrap()).await
}

#[tokio::test]
async fn video_whose_file_is_missing_has_no_link_until_the_file_is_back() {
    with_local_and_remote_core(async |server| {
        let id = create(server, &small_video("Pan left")).await;
        wait_until_final(server, &id).await;
        let before = snapshot(server, &id).await;
        let file = server.media_dir().join(format!("{id}.mp4"));
        let away = server.media_dir().join("away");
        std::fs::rename(&file, &away).unwrap();
        let content = format!("/v1/videos/{id}/content");
        // The first read notices that the file is missing, the second one knows it.
        for _ in 0..2 {
            let response = server.request(Method::GET, &content).send().await.unwrap();
            let (status, error) = error_body(response).await;
            assert_eq!((status, &error["code"]), (StatusCode::NOT_FOUND, &json!("media_not_found")));
        }
        let missing = snapshot(server, &id).await;
        assert_eq!((&missing["status"], &missing["thumbnail_url"]), (&json!("completed"), &before["thumbnail_url"]));
        assert!(before["video_url"].is_string() && missing["video_url"].is_null(), "{missing}");
        let mut client = server.video_client().await;
        let video = client.get_video(pb::GetVideoRequest { id: id.clone() }).await.unwrap().into_inner().video.unwrap();
        // The thumbnail and the sprite sheet.
        assert_eq!(video.media.len(), 2);
        let request = pb::DownloadVideoRequest { id: id.clone(), ..pb::DownloadVideoRequest::default() };
        assert_eq!(client.download_video(request).await.unwrap_err().code(), Code::NotFound);

        std::fs::rename(&away, &file).unwrap();
        assert_eq!(server.request(Method::GET, &content).send().await.unwrap().status(), StatusCode::OK);
        assert_eq!(snapshot(server, &id).await, before);
    })
    .await;
}
