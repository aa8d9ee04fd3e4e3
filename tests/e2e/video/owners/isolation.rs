//! Calls on the video of another owner, which must not even reveal that it exists.

use reqwest::Method;
use serde_json::{Value, json};
use tonic::{Code, Status};
use tonic_types::StatusExt;
use triptych_proto::v1::{self as pb, video::State, video_service_client::VideoServiceClient};

use super::{ADMIN, ALICE, BOB, create, finished, get, grpc, listed, observed, rest, rest_json, with_owners};
use crate::test_server::TestServer;

/// A well-formed id that no video has.
const UNKNOWN: &str = "video_01900000000070008000000000000000";

/// Returns everything that a client can observe of a status, without the id.
fn observed_status(status: &Status, id: &str) -> String {
    format!("{:?} {} {:?}", status.code(), status.message(), status.get_error_details()).replace(id, "ID")
}

/// Calls every REST endpoint of a video, and returns everything that a client can observe of the responses.
async fn every_endpoint(server: &TestServer, secret: &str, id: &str) -> Vec<Value> {
    let path = |rest: &str| format!("/v1/videos/{id}{rest}");
    let prompt = json!({"prompt": "a tree"});
    let derived = json!({"prompt": "a tree", "video": {"id": id}});
    let nothing = Value::Null;
    let calls = [
        (Method::GET, path(""), &nothing),
        (Method::GET, path("/events"), &nothing),
        (Method::GET, path("/content"), &nothing),
        (Method::GET, path("/content?variant=thumbnail"), &nothing),
        (Method::GET, path("/content?variant=spritesheet"), &nothing),
        (Method::HEAD, path("/content"), &nothing),
        (Method::POST, path("/cancel"), &nothing),
        (Method::POST, path("/remix"), &prompt),
        (Method::POST, "/v1/videos/edits".to_owned(), &derived),
        (Method::POST, "/v1/videos/extensions".to_owned(), &derived),
        (Method::DELETE, path(""), &nothing),
    ];
    let mut responses = Vec::new();
    for (method, path, body) in calls {
        responses.push(observed(rest(server, secret, method, &path, body).await, id).await);
    }
    for (name, value) in [("if-none-match", "\"x\""), ("range", "bytes=0-1")] {
        let request = server.request(Method::GET, &path("/content")).bearer_auth(secret).header(name, value);
        responses.push(observed(request.send().await.unwrap(), id).await);
    }
    responses
}

/// Calls every gRPC method on a video, all of which must fail, and returns everything that a client can observe of the failures.
async fn every_method(server: &TestServer, secret: &str, id: &str) -> Vec<String> {
    let mut client = server.video_client().await;
    let id_of = || id.to_owned();
    let remix = pb::RemixVideoRequest { id: id_of(), prompt: "a tree".to_owned(), ..pb::RemixVideoRequest::default() };
    let video = || Some(pb::VideoSource { source: Some(pb::video_source::Source::Id(id.to_owned())) });
    let edit = pb::EditVideoRequest { video: video(), prompt: "a tree".to_owned(), ..pb::EditVideoRequest::default() };
    let extension =
        pb::ExtendVideoRequest { video: video(), prompt: "a tree".to_owned(), ..pb::ExtendVideoRequest::default() };
    let mut failures = vec![
        client.edit_video(grpc(secret, edit)).await.unwrap_err(),
        client.extend_video(grpc(secret, extension)).await.unwrap_err(),
        client.get_video(grpc(secret, pb::GetVideoRequest { id: id_of() })).await.unwrap_err(),
        client.get_video_history(grpc(secret, pb::GetVideoHistoryRequest { id: id_of() })).await.unwrap_err(),
        client.watch_video(grpc(secret, pb::WatchVideoRequest { id: id_of() })).await.unwrap_err(),
        client.cancel_video(grpc(secret, pb::CancelVideoRequest { id: id_of() })).await.unwrap_err(),
        client.remix_video(grpc(secret, remix)).await.unwrap_err(),
        client.delete_video(grpc(secret, pb::DeleteVideoRequest { id: id_of() })).await.unwrap_err(),
    ];
    // All values of `VideoVariant`.
    for variant in 0..4 {
        let request = pb::DownloadVideoRequest { id: id_of(), variant, ..pb::DownloadVideoRequest::default() };
        failures.push(client.download_video(grpc(secret, request)).await.unwrap_err());
    }
    for failure in &failures {
        assert_eq!(failure.code(), Code::NotFound, "{failure:?}");
    }
    failures.iter().map(|failure| observed_status(failure, id)).collect()
}

#[tokio::test]
async fn video_of_another_owner_is_answered_as_an_unknown_id_and_does_not_change() {
    with_owners(async |server| {
        let running = create(server, ALICE, &json!({"prompt": "Waves", "size": "1920x1080", "seconds": 60})).await;
        let done = {
            // The built-in engine may have one slot only.
            rest_json(server, ALICE, Method::POST, &format!("/v1/videos/{running}/cancel"), &Value::Null).await;
            finished(server, ALICE).await
        };
        let running = create(server, ALICE, &json!({"prompt": "Waves", "size": "1920x1080", "seconds": 60})).await;
        let mut client = server.video_client().await;
        let unknown = (every_endpoint(server, BOB, UNKNOWN).await, every_method(server, BOB, UNKNOWN).await);
        for response in &unknown.0 {
            assert_eq!(response[0], 404, "{response}");
        }
        let before = get(&mut client, ALICE, &done).await;
        for id in [&done, &running] {
            assert_eq!(every_endpoint(server, BOB, id).await, unknown.0);
            assert_eq!(every_method(server, BOB, id).await, unknown.1);
        }
        assert_eq!(get(&mut client, ALICE, &done).await, before);
        assert_ne!(get(&mut client, ALICE, &running).await.state(), State::Cancelled);
        assert!(before.owner.is_none(), "only administrators see owners");
        // The owner may make every call.
        let mine = every_endpoint(server, ALICE, &done).await;
        // The last two requests read the content of the video that the request before has deleted.
        assert!(mine.iter().take(11).all(|response| response[0] == 200), "{mine:?}");
        assert_eq!(every_endpoint(server, ALICE, &done).await[0], unknown.0[0], "it was deleted");
    })
    .await;
}

#[tokio::test]
async fn equal_idempotency_keys_of_two_owners_give_two_videos() {
    with_owners(async |server| {
        let mut client = server.video_client().await;
        let create = async |client: &mut VideoServiceClient<_>, secret| {
            let request = pb::CreateVideoRequest {
                prompt: "Pan left".to_owned(),
                size: "160x96".to_owned(),
                duration_seconds: Some(1),
                idempotency_key: "once".to_owned(),
                ..pb::CreateVideoRequest::default()
            };
            client.create_video(grpc(secret, request)).await.unwrap().into_inner().video.unwrap().id
        };
        let of_alice = create(&mut client, ALICE).await;
        let of_bob = create(&mut client, BOB).await;
        let of_admin = create(&mut client, ADMIN).await;
        assert!(of_alice != of_bob && of_alice != of_admin && of_bob != of_admin);
        assert_eq!(create(&mut client, ALICE).await, of_alice);
        assert_eq!(create(&mut client, BOB).await, of_bob);
        assert_eq!(listed(server, BOB, "").await, [of_bob]);
    })
    .await;
}
