//! Lists by owner, and the rights of administrators.

use futures_util::StreamExt;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tonic::{Code, Status};
use tonic_types::StatusExt;
use triptych_proto::v1::{
    self as pb, download_video_response::Part, video::State, video_service_client::VideoServiceClient,
};

use super::{ADMIN, ALICE, BOB, create, finished, grpc, listed, rest, rest_json, with_owners};
use crate::{rest_response::error_body, test_server::within_timeout, video::small_video};

#[tokio::test]
async fn list_has_the_videos_of_the_caller_only_and_page_tokens_reveal_no_others() {
    with_owners(async |server| {
        let first = create(server, ALICE, &small_video("one")).await;
        let of_bob = create(server, BOB, &small_video("two")).await;
        let last = create(server, ALICE, &small_video("three")).await;
        assert_eq!(listed(server, ALICE, "").await, [last.clone(), first.clone()]);
        assert_eq!(listed(server, ALICE, "?owner=alice&order=asc").await, [first.clone(), last.clone()]);
        assert_eq!(listed(server, BOB, "").await, std::slice::from_ref(&of_bob));
        let mut client = server.video_client().await;
        let page_of = async |client: &mut VideoServiceClient<_>, secret, request: pb::ListVideosRequest| {
            let reply = client.list_videos(grpc(secret, request)).await?.into_inner();
            Ok::<_, Status>(reply.videos.into_iter().map(|video| (video.id, video.owner)).collect::<Vec<_>>())
        };
        let all = pb::ListVideosRequest::default();
        assert_eq!(page_of(&mut client, BOB, all.clone()).await.unwrap(), [(of_bob.clone(), None)]);
        // A token is a position in time: the id of any owner, existing or not, works and reveals nothing.
        assert_eq!(listed(server, ALICE, &format!("?after={of_bob}")).await, std::slice::from_ref(&first));
        assert_eq!(listed(server, BOB, &format!("?after={last}")).await, std::slice::from_ref(&of_bob));
        assert_eq!(listed(server, BOB, &format!("?after={first}")).await, Vec::<String>::new());
        let page = format!("/v1/videos?limit=1&after={last}");
        let page = rest_json(server, BOB, Method::GET, &page, &Value::Null).await;
        assert_eq!((&page["last_id"], &page["has_more"]), (&json!(of_bob), &json!(false)), "{page}");

        // An administrator sees all, with their owners, and may filter.
        let everything = page_of(&mut client, ADMIN, all).await.unwrap();
        let owned = |id: &String, owner: &str| (id.clone(), Some(owner.to_owned()));
        assert_eq!(everything, [owned(&last, "alice"), owned(&of_bob, "bob"), owned(&first, "alice")]);
        assert_eq!(listed(server, ADMIN, "?owner=alice").await, [last.clone(), first.clone()]);
        // An owner that does not exist, the owner of jobs without API keys, and one without jobs.
        for without_jobs in ["?owner=nobody", "?owner=", "?owner=root"] {
            assert_eq!(listed(server, ADMIN, without_jobs).await, Vec::<String>::new());
        }
        for owner in ["bob", "nobody", "root", ""] {
            let path = format!("/v1/videos?owner={owner}");
            let (status, error) = error_body(rest(server, ALICE, Method::GET, &path, &Value::Null).await).await;
            assert_eq!((status, &error["code"]), (StatusCode::FORBIDDEN, &json!("permission_denied")), "{owner}");
            let request = pb::ListVideosRequest { owner: Some(owner.to_owned()), ..pb::ListVideosRequest::default() };
            let refused = page_of(&mut client, ALICE, request).await.unwrap_err();
            assert_eq!(refused.code(), Code::PermissionDenied);
            assert_eq!(refused.get_details_error_info().unwrap().reason, "PERMISSION_DENIED");
        }
    })
    .await;
}

#[tokio::test]
async fn administrator_reads_remixes_cancels_and_deletes_videos_of_all_owners() {
    with_owners(async |server| {
        let id = finished(server, ALICE).await;
        let path = format!("/v1/videos/{id}");
        let video = rest_json(server, ADMIN, Method::GET, &path, &Value::Null).await;
        assert_eq!((&video["owner"], &video["status"]), (&json!("alice"), &json!("completed")));
        assert!(rest_json(server, ALICE, Method::GET, &path, &Value::Null).await.get("owner").is_none());
        let mut client = server.video_client().await;
        let watch = client.watch_video(grpc(ADMIN, pb::WatchVideoRequest { id: id.clone() })).await.unwrap();
        let snapshots: Vec<_> = within_timeout("the video", watch.into_inner().collect()).await;
        let last = snapshots.last().unwrap().as_ref().unwrap().video.clone().unwrap();
        assert_eq!((last.owner.as_deref(), last.state()), (Some("alice"), State::Succeeded));
        let download = pb::DownloadVideoRequest { id: id.clone(), ..pb::DownloadVideoRequest::default() };
        let mut parts = client.download_video(grpc(ADMIN, download)).await.unwrap().into_inner();
        assert!(matches!(parts.next().await.unwrap().unwrap().part, Some(Part::Media(_))));

        // A remix belongs to its creator.
        let remix = rest_json(server, ADMIN, Method::POST, &format!("{path}/remix"), &json!({"prompt": "Zoom"})).await;
        assert_eq!((&remix["owner"], &remix["remixed_from_video_id"]), (&json!("root"), &json!(id)));
        let remix = remix["id"].as_str().unwrap();
        let hidden = rest(server, ALICE, Method::GET, &format!("/v1/videos/{remix}"), &Value::Null).await;
        assert_eq!(hidden.status(), StatusCode::NOT_FOUND);
        let of_bob = create(server, BOB, &json!({"prompt": "Waves", "size": "1920x1080", "seconds": 60})).await;
        let cancel = format!("/v1/videos/{of_bob}/cancel");
        assert_eq!(rest_json(server, ADMIN, Method::POST, &cancel, &Value::Null).await["status"], "failed");
        rest_json(server, ADMIN, Method::DELETE, &path, &Value::Null).await;
        assert_eq!(rest(server, ALICE, Method::GET, &path, &Value::Null).await.status(), StatusCode::NOT_FOUND);
    })
    .await;
}
