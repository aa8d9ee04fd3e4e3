//! The ledger of spent and reserved money: its verification, and reservations (holds) of videos whose outcome is unknown.

use reqwest::Method;
use serde_json::{Value, json};
use tonic::Code;
use triptych_proto::v1::{self as pb, hold::State, resolve_hold_request::Resolution};

use super::{CAROL, ROOT, configure, grpc, ok, post};
use crate::{
    rest_response::{Events, error_body},
    test_server::{TestServer, with_local_and_remote_core_and_settings, within_timeout},
};

/// Creates a video whose outcome at the provider stays unknown, waits for its end, and returns its id.
async fn video_with_unknown_outcome(server: &TestServer) -> String {
    let body =
        json!({"prompt": "a boat", "size": "64x64", "seconds": 2, "model": "offline-video-fault-outcome-unknown"});
    let video = ok(server, CAROL, Method::POST, "/v1/videos", &body).await;
    let id = video["id"].as_str().unwrap().to_owned();
    let request = server.request(Method::GET, &format!("/v1/videos/{id}/events")).bearer_auth(CAROL);
    let events = Events::new(request.send().await.unwrap()).read_all();
    within_timeout("the end of the video", events).await;
    id
}

#[tokio::test]
async fn hold_of_a_video_with_unknown_outcome_is_resolved_once() {
    with_local_and_remote_core_and_settings(configure, async |server| {
        let id = video_with_unknown_outcome(server).await;
        let holds = ok(server, ROOT, Method::GET, "/admin/v1/ledger/holds?state=outcome_unknown", &Value::Null).await;
        let hold = &holds["data"][0];
        assert_eq!((&hold["id"], &hold["video_id"], &hold["amount"]), (&json!(id), &json!(id), &json!("2.00")));
        assert_eq!((&hold["key"], &hold["state"]), (&json!("carol"), &json!("outcome_unknown")));
        let resolve = format!("/admin/v1/ledger/holds/{id}/resolve");
        let (status, error) = error_body(post(server, ROOT, &resolve, &json!({})).await).await;
        assert_eq!((status.as_u16(), &error["param"]), (400, &json!("cost_micros")), "{error}");
        let resolved = ok(server, ROOT, Method::POST, &resolve, &json!({"cost": "0.70"})).await;
        assert_eq!((&resolved["cost"], &resolved["hold"]["amount"]), (&json!("0.70"), &json!("2.00")));

        let (status, error) = error_body(post(server, ROOT, &resolve, &json!({"cost": "0.70"})).await).await;
        assert_eq!((status.as_u16(), &error["code"]), (404, &json!("hold_not_found")), "{error}");
        let video = ok(server, CAROL, Method::GET, &format!("/v1/videos/{id}"), &Value::Null).await;
        assert_eq!((&video["cost"], &video["estimated_cost"]), (&json!("0.70"), &json!("2.00")), "{video}");
        let usage = ok(server, CAROL, Method::GET, "/v1/usage", &Value::Null).await;
        assert_eq!(usage["data"][0]["cost"], "0.70", "{usage}");
        let verification = ok(server, ROOT, Method::GET, "/admin/v1/ledger/verify", &Value::Null).await;
        let consistent = json!({"object": "ledger.verification", "consistent": true, "discrepancies": []});
        assert_eq!(verification, consistent);
    })
    .await;
}

#[tokio::test]
async fn grpc_releases_a_hold_and_refuses_one_of_a_video_in_progress() {
    with_local_and_remote_core_and_settings(configure, async |server| {
        let unknown = video_with_unknown_outcome(server).await;
        let body = json!({"prompt": "a boat", "size": "64x64", "seconds": 1, "model": "offline-video-fault-stuck"});
        let stuck = ok(server, CAROL, Method::POST, "/v1/videos", &body).await;
        let mut client = server.admin_client().await;
        let list = pb::ListHoldsRequest { page_size: Some(1), ..pb::ListHoldsRequest::default() };
        let page = client.list_holds(grpc(ROOT, list.clone())).await.unwrap().into_inner();
        assert_eq!((page.holds[0].id.as_str(), page.holds[0].state()), (unknown.as_str(), State::OutcomeUnknown));
        let next = pb::ListHoldsRequest { page_token: page.next_page_token, ..list };
        let page = client.list_holds(grpc(ROOT, next)).await.unwrap().into_inner();
        assert_eq!(
            (page.holds[0].id.as_str(), page.holds[0].state()),
            (stuck["id"].as_str().unwrap(), State::InProgress)
        );
        assert_eq!(page.next_page_token, "");

        let resolve = |id: &str, resolution| pb::ResolveHoldRequest { id: id.to_owned(), resolution: Some(resolution) };
        let release = resolve(stuck["id"].as_str().unwrap(), Resolution::Release(true));
        let error = client.resolve_hold(grpc(ROOT, release)).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{error:?}");
        let negative = resolve(&unknown, Resolution::CostMicros(-1));
        let error = client.resolve_hold(grpc(ROOT, negative)).await.unwrap_err();
        assert!(error.message().starts_with("cost_micros: must not be negative"), "{error:?}");
        let released = client.resolve_hold(grpc(ROOT, resolve(&unknown, Resolution::Release(true)))).await.unwrap();
        let released = released.into_inner();
        assert_eq!((released.cost_micros, released.hold.unwrap().amount_micros), (0, 2_000_000));
        let cancel = format!("/v1/videos/{}/cancel", stuck["id"].as_str().unwrap());
        ok(server, CAROL, Method::POST, &cancel, &Value::Null).await;
    })
    .await;
}
