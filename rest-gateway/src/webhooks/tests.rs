//! Tests of the webhook endpoints in front of a [`CoreStub`], which has the endpoint `whe_1` and the delivery `whd_1`.

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};

use crate::testing::{CoreStub, TestResponse, get, post, send};

const ENDPOINT: &str = "/v1/webhook_endpoints/whe_1";

async fn posted(core: &CoreStub, path: &str, body: &Value) -> TestResponse {
    send(core, post(path, body)).await
}

/// Returns the JSON of the stub's endpoint.
fn endpoint() -> Value {
    json!({
        "id": "whe_1", "object": "webhook_endpoint", "created_at": 1_700_000_000, "name": "n",
        "url": "https://a.test/hook", "event_types": ["video.completed"], "signing_secret_hint": "whsec_...abcd",
        "enabled": false,
        "disabled_reason": "every attempt has failed for five days", "failing_since": 1_700_000_001,
        "previous_secret_expires_at": 1_700_000_002, "configured": false
    })
}

#[tokio::test]
async fn endpoint_is_created_with_its_members_and_its_secret_is_returned_once() {
    let core = CoreStub::default();
    let body = json!({"url": "https://a.test/hook", "event_types": ["video.failed"], "name": "d", "other": 1});
    let response = posted(&core, "/v1/webhook_endpoints", &body).await;
    let mut created = endpoint();
    created["signing_secret"] = json!("whsec_1");
    assert_eq!((response.status.as_u16(), response.json()), (200, created));
    let expected = triptych_proto::v1::CreateWebhookEndpointRequest {
        url: "https://a.test/hook".to_owned(),
        event_types: vec!["video.failed".to_owned()],
        name: "d".to_owned(),
    };
    assert_eq!(core.webhook_request(), format!("{expected:?}"));
    let listed = send(&core, get("/v1/webhook_endpoints?limit=1&after=whe_0")).await.json();
    let expected = json!({
        "object": "list", "first_id": "whe_1", "last_id": "whe_1", "has_more": true, "data": [endpoint()]
    });
    assert_eq!(listed, expected);
    assert!(core.webhook_request().contains("page_size: Some(1), page_token: \"whe_0\""));
    assert_eq!(send(&core, get(ENDPOINT)).await.json(), endpoint());
}

#[tokio::test]
async fn update_changes_only_the_members_that_are_present() {
    let core = CoreStub::default();
    assert_eq!(posted(&core, ENDPOINT, &json!({"enabled": true, "url": null})).await.status, 200);
    let unchanged = "url: None, event_types: [], name: None, enabled: Some(true)";
    assert!(core.webhook_request().contains(unchanged), "{}", core.webhook_request());
}

#[tokio::test]
async fn rotation_and_test_accept_an_empty_body_and_their_members() {
    let core = CoreStub::default();
    let empty = |path: &str| Request::post(path).header("host", "gateway.test").body(Body::empty()).unwrap();
    let rotate = format!("{ENDPOINT}/rotate_secret");
    assert_eq!(send(&core, empty(&rotate)).await.json()["signing_secret"], json!("whsec_2"));
    assert!(core.webhook_request().contains("overlap: None"));
    for (body, seconds) in
        [(json!({"overlap_seconds": 7}), 7), (json!({"keep_old_secret_active_for_24_hours": true}), 86_400)]
    {
        assert_eq!(posted(&core, &rotate, &body).await.status, 200);
        assert!(
            core.webhook_request().contains(&format!("overlap: Some(Duration {{ seconds: {seconds}, nanos: 0 }})"))
        );
    }
    posted(&core, &rotate, &json!({"keep_old_secret_active_for_24_hours": false})).await;
    assert!(core.webhook_request().contains("overlap: None"));
    let test = format!("{ENDPOINT}/test");
    assert_eq!(send(&core, empty(&test)).await.status, 200);
    let result = posted(&core, &test, &json!({"event_type": "video.failed"})).await.json();
    assert!(core.webhook_request().contains("event_type: \"video.failed\""));
    assert_eq!((&result["object"], &result["webhook_endpoint_id"]), (&json!("webhook_endpoint.test"), &json!("whe_1")));
    assert_eq!((&result["success"], &result["status_code"]), (&json!(true), &json!(500)));
    assert_eq!(result["delivery"]["id"], json!("whd_1"));
}

#[tokio::test]
async fn deliveries_are_listed_by_endpoint_and_by_video_and_sent_again() {
    let core = CoreStub::default();
    let delivery = json!({
        "id": "whd_1", "object": "webhook_delivery", "created_at": 1_700_000_002, "event_id": "evt_1",
        "event_type": "video.failed", "video_id": "video_1", "endpoint_id": "whe_1", "url": "https://a.test/hook",
        "status": "pending",
        "attempts": [{
            "started_at": 1_700_000_003, "duration_ms": 1005, "http_status": 500,
            "error": "the receiver responded with status 500"
        }],
        "next_attempt_at": 1_700_000_008, "completed_at": null, "test": false
    });
    let by_endpoint = send(&core, get(&format!("{ENDPOINT}/deliveries"))).await.json();
    assert_eq!((&by_endpoint["data"], &by_endpoint["has_more"]), (&json!([delivery]), &json!(false)));
    assert!(core.webhook_request().contains("endpoint_id: \"whe_1\", video_id: \"\""));
    assert_eq!(send(&core, get("/v1/videos/video_1/deliveries")).await.json()["data"], json!([delivery]));
    assert!(core.webhook_request().contains("endpoint_id: \"\", video_id: \"video_1\""));
    let again = posted(&core, &format!("{ENDPOINT}/deliveries/whd_1/redeliver"), &json!({})).await;
    assert_eq!(again.json(), delivery);
    assert!(core.webhook_request().contains("id: \"whd_1\", endpoint_id: \"whe_1\""));
}

#[tokio::test]
async fn event_types_are_listed() {
    let list = send(&CoreStub::default(), get("/v1/webhook_event_types")).await.json();
    assert_eq!(list, json!({"object": "list", "data": ["video.completed"]}));
}

#[tokio::test]
async fn invalid_members_are_refused_with_their_names() {
    let core = CoreStub::default();
    for (path, body, param) in [
        ("/v1/webhook_endpoints", json!({"url": 1}), Some("url")),
        ("/v1/webhook_endpoints", json!({"event_types": "video.failed"}), Some("event_types")),
        ("/v1/webhook_endpoints", json!({"event_types": [1]}), Some("event_types")),
        (ENDPOINT, json!({"enabled": "yes"}), Some("enabled")),
        (&format!("{ENDPOINT}/rotate_secret"), json!({"overlap_seconds": 1.5}), Some("overlap_seconds")),
        (ENDPOINT, json!([]), None),
    ] {
        let (status, named, _) = posted(&core, path, &body).await.error();
        assert_eq!((status, named.as_deref()), (400, param), "{path} {body}");
    }
    assert_eq!(send(&core, get("/v1/webhook_endpoints?limit=many")).await.error().1.as_deref(), Some("limit"));
    core.fail_every_call("INVALID_FIELD", tonic::Code::InvalidArgument, Some("event_types[1]"));
    let refused = posted(&core, "/v1/webhook_endpoints", &json!({})).await;
    assert_eq!(refused.error(), (400, Some("event_types[1]".to_owned()), "invalid_field".to_owned()));
}
