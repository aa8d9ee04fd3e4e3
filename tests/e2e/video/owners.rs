//! Owners: with API keys, a client reaches its own videos only, in every call of both APIs; an administrator reaches all.

use core_service::config;
use futures_util::StreamExt;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;
use triptych_proto::v1::{
    self as pb, download_video_response::Part, media_input::Source, video::State,
    video_service_client::VideoServiceClient,
};

use super::small_video;
use crate::{
    responses::{Events, error_body},
    test_server::{TestServer, with_local_and_remote_core_and_settings, within_timeout},
};

const ALICE: &str = "the-secret-of-alice";
const BOB: &str = "the-secret-of-bob-1";
const ADMIN: &str = "the-secret-of-admin";
/// An id in the form of an id that no video has.
const UNKNOWN: &str = "video_01900000000070008000000000000000";

async fn with_owners(test: impl AsyncFn(&TestServer)) {
    with_limits(1000, test).await;
}

async fn with_limits(max_queued_per_owner: u32, test: impl AsyncFn(&TestServer)) {
    with_local_and_remote_core_and_settings(
        |settings, _| {
            let key = |name: &str, secret: &str, admin| config::Key {
                name: name.to_owned(),
                secret: Some(secret.into()),
                admin,
                ..config::Key::default()
            };
            settings.keys = vec![key("alice", ALICE, false), key("bob", BOB, false), key("root", ADMIN, true)];
            settings.jobs.max_queued_per_owner = max_queued_per_owner;
        },
        test,
    )
    .await;
}

/// Sends a REST request with this key, and the body as JSON unless it is null.
async fn rest(server: &TestServer, secret: &str, method: Method, path: &str, body: &Value) -> reqwest::Response {
    let mut request = server.request(method, path).bearer_auth(secret);
    if !body.is_null() {
        request = request.header("content-type", "application/json").body(body.to_string());
    }
    within_timeout("a response", request.send()).await.unwrap()
}

async fn rest_json(server: &TestServer, secret: &str, method: Method, path: &str, body: &Value) -> Value {
    let response = rest(server, secret, method, path, body).await;
    let (status, text) = (response.status(), response.text().await.unwrap());
    assert_eq!(status, StatusCode::OK, "{path}: {text}");
    serde_json::from_str(&text).unwrap()
}

async fn create(server: &TestServer, secret: &str, body: &Value) -> String {
    let created = rest_json(server, secret, Method::POST, "/v1/videos", body).await;
    created["id"].as_str().unwrap().to_owned()
}

/// Creates a small video and waits until it is finished.
async fn finished(server: &TestServer, secret: &str) -> String {
    let id = create(server, secret, &small_video("Pan left")).await;
    let watch = rest(server, secret, Method::GET, &format!("/v1/videos/{id}/events"), &Value::Null).await;
    within_timeout("the video", Events::new(watch).read_all()).await;
    id
}

fn grpc<T>(secret: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {secret}").parse().unwrap());
    request
}

async fn listed(server: &TestServer, secret: &str, query: &str) -> Vec<String> {
    let page = rest_json(server, secret, Method::GET, &format!("/v1/videos{query}"), &Value::Null).await;
    page["data"].as_array().unwrap().iter().map(|video| video["id"].as_str().unwrap().to_owned()).collect()
}

/// What a client can tell from a response: status, headers that differ between errors, and body, without the id.
async fn observed(response: reqwest::Response, id: &str) -> Value {
    let headers: Vec<_> = response
        .headers()
        .iter()
        .filter(|(name, _)| !["x-request-id", "date"].contains(&name.as_str()))
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    let status = response.status().as_u16();
    json!([status, headers, response.text().await.unwrap().replace(id, "ID")])
}

fn observed_status(status: &Status, id: &str) -> String {
    format!("{:?} {} {:?}", status.code(), status.message(), status.get_error_details()).replace(id, "ID")
}

/// Calls every REST endpoint of a video.
async fn every_endpoint(server: &TestServer, secret: &str, id: &str) -> Vec<Value> {
    let path = |rest: &str| format!("/v1/videos/{id}{rest}");
    let prompt = json!({"prompt": "a tree"});
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

/// Calls every gRPC method on a video, all of which must fail.
async fn every_method(server: &TestServer, secret: &str, id: &str) -> Vec<String> {
    let mut client = server.video_client().await;
    let id_of = || id.to_owned();
    let remix = pb::RemixVideoRequest { id: id_of(), prompt: "a tree".to_owned(), ..pb::RemixVideoRequest::default() };
    let mut failures = vec![
        client.get_video(grpc(secret, pb::GetVideoRequest { id: id_of() })).await.unwrap_err(),
        client.watch_video(grpc(secret, pb::WatchVideoRequest { id: id_of() })).await.unwrap_err(),
        client.cancel_video(grpc(secret, pb::CancelVideoRequest { id: id_of() })).await.unwrap_err(),
        client.remix_video(grpc(secret, remix)).await.unwrap_err(),
        client.delete_video(grpc(secret, pb::DeleteVideoRequest { id: id_of() })).await.unwrap_err(),
    ];
    for variant in 0..4 {
        let request = pb::DownloadVideoRequest { id: id_of(), variant, ..pb::DownloadVideoRequest::default() };
        failures.push(client.download_video(grpc(secret, request)).await.unwrap_err());
    }
    for failure in &failures {
        assert_eq!(failure.code(), Code::NotFound, "{failure:?}");
    }
    failures.iter().map(|failure| observed_status(failure, id)).collect()
}

async fn get(client: &mut VideoServiceClient<tonic::transport::Channel>, secret: &str, id: &str) -> pb::Video {
    let request = grpc(secret, pb::GetVideoRequest { id: id.to_owned() });
    client.get_video(request).await.unwrap().into_inner().video.unwrap()
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
        // To the owner every call is open.
        let mine = every_endpoint(server, ALICE, &done).await;
        assert!(mine.iter().take(9).all(|response| response[0] == 200), "{mine:?}");
        assert_eq!(every_endpoint(server, ALICE, &done).await[0], unknown.0[0], "it was deleted");
    })
    .await;
}

#[tokio::test]
async fn list_has_the_videos_of_the_caller_and_its_page_tokens_tell_nothing() {
    with_owners(async |server| {
        let first = create(server, ALICE, &small_video("one")).await;
        let of_bob = create(server, BOB, &small_video("two")).await;
        let last = create(server, ALICE, &small_video("three")).await;
        assert_eq!(listed(server, ALICE, "").await, [last.clone(), first.clone()]);
        assert_eq!(listed(server, ALICE, "?owner=alice&order=asc").await, [first.clone(), last.clone()]);
        assert_eq!(listed(server, BOB, "").await, [of_bob.clone()]);
        let mut client = server.video_client().await;
        let list = async |client: &mut VideoServiceClient<_>, secret, request: pb::ListVideosRequest| {
            let reply = client.list_videos(grpc(secret, request)).await?.into_inner();
            Ok::<_, Status>(reply.videos.into_iter().map(|video| (video.id, video.owner)).collect::<Vec<_>>())
        };
        let all = pb::ListVideosRequest::default();
        assert_eq!(list(&mut client, BOB, all.clone()).await.unwrap(), [(of_bob.clone(), None)]);
        // A token is a position in time, whoever's id it is, and whether it exists.
        assert_eq!(listed(server, ALICE, &format!("?after={of_bob}")).await, [first.clone()]);
        assert_eq!(listed(server, BOB, &format!("?after={last}")).await, [of_bob.clone()]);
        assert_eq!(listed(server, BOB, &format!("?after={first}")).await, Vec::<String>::new());
        let page = format!("/v1/videos?limit=1&after={last}");
        let page = rest_json(server, BOB, Method::GET, &page, &Value::Null).await;
        assert_eq!((&page["last_id"], &page["has_more"]), (&json!(of_bob), &json!(false)), "{page}");

        // An administrator sees all, with their owners, and may filter.
        let everything = list(&mut client, ADMIN, all).await.unwrap();
        let owned = |id: &String, owner: &str| (id.clone(), Some(owner.to_owned()));
        assert_eq!(everything, [owned(&last, "alice"), owned(&of_bob, "bob"), owned(&first, "alice")]);
        assert_eq!(listed(server, ADMIN, "?owner=alice").await, [last.clone(), first.clone()]);
        for nobodys in ["?owner=nobody", "?owner=", "?owner=root"] {
            assert_eq!(listed(server, ADMIN, nobodys).await, Vec::<String>::new());
        }
        for owner in ["bob", "nobody", "root", ""] {
            let path = format!("/v1/videos?owner={owner}");
            let (status, error) = error_body(rest(server, ALICE, Method::GET, &path, &Value::Null).await).await;
            assert_eq!((status, &error["code"]), (StatusCode::FORBIDDEN, &json!("permission_denied")), "{owner}");
            let request = pb::ListVideosRequest { owner: Some(owner.to_owned()), ..pb::ListVideosRequest::default() };
            let refused = list(&mut client, ALICE, request).await.unwrap_err();
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

#[tokio::test]
async fn media_key_of_another_owner_is_refused_as_a_missing_one_and_its_link_stays_readable() {
    with_owners(async |server| {
        let image = json!({"prompt": "a boat", "size": "256x256", "model": "offline-image"});
        let image = rest_json(server, ALICE, Method::POST, "/v1/images/generations", &image).await;
        let url = image["data"][0]["url"].as_str().unwrap().to_owned();
        let key = url.rsplit('/').next().unwrap().to_owned();
        let of_video = {
            let id = finished(server, ALICE).await;
            let video = rest_json(server, ALICE, Method::GET, &format!("/v1/videos/{id}"), &Value::Null).await;
            let url = video["thumbnail_url"].as_str().unwrap().to_owned();
            url.rsplit('/').next().unwrap().to_owned()
        };
        let with = |file_id: &str| {
            let mut body = small_video("Pan left");
            body["input_reference"] = json!({"file_id": file_id});
            body
        };
        let missing = rest(server, BOB, Method::POST, "/v1/videos", &with("missing.png")).await;
        let missing = observed(missing, "missing.png").await;
        assert_eq!(missing[0], 400);
        for stored in [&key, &of_video] {
            let refused = rest(server, BOB, Method::POST, "/v1/videos", &with(stored)).await;
            assert_eq!(observed(refused, stored).await, missing, "{stored}");
            create(server, ALICE, &with(stored)).await;
            create(server, ADMIN, &with(stored)).await;
        }
        let mut by_link = small_video("Pan left");
        by_link["input_reference"] = json!(url);
        assert_eq!(observed(rest(server, BOB, Method::POST, "/v1/videos", &by_link).await, &key).await, missing);
        create(server, ALICE, &by_link).await;

        // The same over gRPC, also for input pictures of image requests.
        let input = || pb::MediaInput { source: Some(Source::MediaKey(key.clone())) };
        let video = pb::CreateVideoRequest {
            prompt: "a boat".to_owned(),
            input_reference: Some(input()),
            ..pb::CreateVideoRequest::default()
        };
        let refused = server.video_client().await.create_video(grpc(BOB, video)).await.unwrap_err();
        assert_eq!(refused.message(), "input_reference: media_key is not the key of a stored file");
        let picture = pb::ImageRequest { prompt: "a boat".to_owned(), pictures: vec![input()], ..Default::default() };
        let request = pb::GenerateImagesRequest { image: Some(picture), ..pb::GenerateImagesRequest::default() };
        let mut images = server.image_client().await;
        let refused = images.generate_images(grpc(BOB, request.clone())).await.unwrap_err();
        assert!(refused.message().ends_with("media_key is not the key of a stored file"), "{refused:?}");
        assert!(images.generate_images(grpc(ALICE, request)).await.is_ok());

        let path = url.strip_prefix(&server.url("")).unwrap();
        assert_eq!(server.request(Method::GET, path).send().await.unwrap().status(), StatusCode::OK);
        // The same picture, generated by the other owner, belongs to both.
        let image = json!({"prompt": "a boat", "size": "256x256", "model": "offline-image"});
        let again = rest_json(server, BOB, Method::POST, "/v1/images/generations", &image).await;
        if again["data"][0]["url"] == json!(url) {
            create(server, BOB, &with(&key)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn queued_videos_beyond_the_limit_are_refused_with_429_for_their_owner_only() {
    with_limits(2, async |server| {
        let long = json!({"prompt": "Waves", "size": "1920x1080", "seconds": 60});
        let mut client = server.video_client().await;
        // At most a few renders start; the rest fills the queue.
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
        let request = pb::CreateVideoRequest { prompt: "Waves".to_owned(), ..pb::CreateVideoRequest::default() };
        // A slot may have become free meanwhile.
        if let Err(refused) = client.create_video(grpc(ALICE, request)).await {
            assert_eq!(refused.code(), Code::ResourceExhausted);
            assert!(refused.get_error_details().retry_info().is_some());
        }
        let queued = get(&mut client, ALICE, created.last().unwrap()).await;
        assert!(matches!(queued.state(), State::Queued | State::Submitting | State::Rendering), "{queued:?}");
        create(server, BOB, &small_video("one")).await;
        for id in created {
            rest_json(server, ALICE, Method::DELETE, &format!("/v1/videos/{id}"), &Value::Null).await;
        }
        create(server, ALICE, &small_video("one")).await;
    })
    .await;
}
