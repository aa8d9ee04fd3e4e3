//! Tests of the endpoints for administrators in front of a [`CoreStub`], whose every key is `alice` and every hold `video_1`, whatever
//! the request. `admin_request` is the debug text of the last message that the stub received.

use serde_json::{Value, json};

use crate::testing::{CoreStub, TestResponse, get, post, send};

const KEY: &str = "/admin/v1/keys/alice";

async fn posted(core: &CoreStub, path: &str, body: &Value) -> TestResponse {
    send(core, post(path, body)).await
}

/// Returns the JSON of the stub's key.
fn key() -> Value {
    json!({
        "object": "api_key", "name": "alice", "origin": "stored", "team": "research", "admin": false,
        "on_disconnect": "10s", "priority": "high",
        "limits": {
            "models": ["gpt-*"], "requests_per_minute": 60, "tokens_per_minute": 0, "concurrent_calls": 0,
            "jobs_in_flight": 0, "budget_per_day": null, "budget_per_month": null, "budget_total": "12.50"
        },
        "expires_at": null, "previous_secret_expires_at": 1_700_000_002, "secret_hint": "abcd",
        "created_at": 1_700_000_000, "created_by": "root", "updated_at": 1_700_000_001, "updated_by": "root",
        "revoked_at": null
    })
}

/// Returns the JSON of the stub's hold.
fn hold() -> Value {
    json!({
        "object": "ledger.hold", "id": "video_1", "video_id": "video_1", "state": "outcome_unknown", "key": "alice",
        "team": null, "amount": "3.20", "amount_micros": 3_200_000, "created_at": 1_700_000_003
    })
}

#[tokio::test]
async fn created_key_has_its_members_and_its_secret_is_returned_once() {
    let core = CoreStub::default();
    let body = json!({
        "name": "alice", "team": "research", "admin": true, "on_disconnect": "10s", "priority": "low",
        "expires_at": 1_900_000_000,
        "limits": {"models": ["gpt-*"], "tokens_per_minute": 5.0, "budget_per_day": "0.50", "budget_total": 12.0}
    });
    let response = posted(&core, "/admin/v1/keys", &body).await;
    let mut created = key();
    created["secret"] = json!("sk-trp-1");
    assert_eq!((response.status.as_u16(), response.json()), (200, created));
    let expected = triptych_proto::v1::CreateKeyRequest {
        name: "alice".to_owned(),
        team: "research".to_owned(),
        admin: true,
        on_disconnect: Some("10s".to_owned()),
        priority: triptych_proto::v1::api_key::Priority::Low.into(),
        limits: Some(triptych_proto::v1::KeyLimits {
            models: vec!["gpt-*".to_owned()],
            tokens_per_minute: 5,
            budget_per_day_micros: Some(500_000),
            budget_total_micros: Some(12_000_000),
            ..triptych_proto::v1::KeyLimits::default()
        }),
        expire_time: Some(prost_types::Timestamp { seconds: 1_900_000_000, nanos: 0 }),
    };
    assert_eq!(core.admin_request(), format!("{expected:?}"));
    assert_eq!(send(&core, get(KEY)).await.json(), key());
    let listed = send(&core, get("/admin/v1/keys?limit=1&after=al&include_revoked=true")).await.json();
    let expected =
        json!({"object": "list", "first_id": "alice", "last_id": "alice", "has_more": true, "data": [key()]});
    assert_eq!(listed, expected);
    let expected = "page_size: Some(1), page_token: \"al\", include_revoked: true";
    assert!(core.admin_request().contains(expected), "{}", core.admin_request());
}

#[tokio::test]
async fn update_changes_the_members_that_are_present_and_null_removes_a_value() {
    let core = CoreStub::default();
    let body = json!({"team": null, "limits": {"budget_total": "20", "jobs_in_flight": null}});
    let response = posted(&core, KEY, &body).await;
    assert_eq!((response.status.as_u16(), response.json()), (200, key()));
    let request = core.admin_request();
    let paths = "paths: [\"team\", \"limits.jobs_in_flight\", \"limits.budget_total_micros\"]";
    assert!(request.contains(paths) && request.contains("budget_total_micros: Some(20000000)"), "{request}");
    posted(&core, KEY, &json!({"limits": null, "expires_at": null, "admin": false, "priority": null})).await;
    let request = core.admin_request();
    assert!(request.contains("paths: [\"admin\", \"priority\", \"expire_time\", \"limits\"]"), "{request}");
}

#[tokio::test]
async fn rotation_and_revocation_name_the_key() {
    let core = CoreStub::default();
    let response = posted(&core, &format!("{KEY}/rotate"), &json!({"overlap_seconds": 60.0})).await;
    assert_eq!(response.json()["secret"], "sk-trp-2");
    assert!(core.admin_request().contains("seconds: 60"), "{}", core.admin_request());
    let response = posted(&core, &format!("{KEY}/revoke"), &json!({})).await;
    assert_eq!((response.json(), core.admin_request().contains("alice")), (key(), true));
}

#[tokio::test]
async fn ledger_is_verified_and_holds_are_listed_and_resolved() {
    let core = CoreStub::default();
    let discrepancy = json!({
        "subject": "spent by key:alice", "stored": "1.00", "stored_micros": 1_000_000, "sum": "2.00",
        "sum_micros": 2_000_000
    });
    let expected = json!({"object": "ledger.verification", "consistent": false, "discrepancies": [discrepancy]});
    assert_eq!(send(&core, get("/admin/v1/ledger/verify")).await.json(), expected);
    let listed = send(&core, get("/admin/v1/ledger/holds?state=outcome_unknown")).await.json();
    assert_eq!((&listed["data"], &listed["has_more"]), (&json!([hold()]), &json!(false)));
    for (body, resolution) in [
        (json!({"cost": "0.70"}), "CostMicros(700000)"),
        (json!({"cost_micros": 1}), "CostMicros(1)"),
        (json!({"release": true}), "Release(true)"),
    ] {
        let response = posted(&core, "/admin/v1/ledger/holds/video_1/resolve", &body).await;
        // The stub replies with the same cost to every resolution.
        let expected = json!({"object": "ledger.resolution", "hold": hold(), "cost": "0.70", "cost_micros": 700_000});
        assert_eq!((response.status.as_u16(), response.json()), (200, expected));
        assert!(core.admin_request().contains(resolution), "{}", core.admin_request());
    }
}

#[tokio::test]
async fn invalid_members_and_parameters_are_refused_by_name() {
    let core = CoreStub::default();
    for (path, body, param) in [
        ("/admin/v1/keys", json!({"admin": "yes"}), "admin"),
        ("/admin/v1/keys", json!({"priority": "urgent"}), "priority"),
        (KEY, json!({"priority": 2}), "priority"),
        ("/admin/v1/keys", json!({"limits": 5}), "limits"),
        ("/admin/v1/keys", json!({"limits": {"requests_per_minute": -1}}), "limits.requests_per_minute"),
        (KEY, json!({"limits": {"budget_per_day": 0.5}}), "limits.budget_per_day"),
        (KEY, json!({"limits": {"budget_total": "-1"}}), "limits.budget_total"),
        ("/admin/v1/ledger/holds/video_1/resolve", json!({"cost": "1", "release": true}), "release"),
    ] {
        let response = posted(&core, path, &body).await;
        assert_eq!(response.error(), (400, Some(param.to_owned()), "invalid_field".to_owned()), "{path} {body}");
    }
    for (path, param) in [
        ("/admin/v1/keys?include_revoked=1", "include_revoked"),
        ("/admin/v1/keys?limit=x", "limit"),
        ("/admin/v1/ledger/holds?state=open", "state"),
    ] {
        assert_eq!(send(&core, get(path)).await.error(), (400, Some(param.to_owned()), "invalid_field".to_owned()));
    }
    for nothing in [json!({}), json!({"limits": {}}), json!({"colour": "red"})] {
        assert_eq!(posted(&core, KEY, &nothing).await.error(), (400, None, "invalid_request".to_owned()), "{nothing}");
    }
    core.fail_every_call("KEY_EXISTS", tonic::Code::AlreadyExists, None);
    let response = posted(&core, "/admin/v1/keys", &json!({"name": "alice"})).await;
    assert_eq!(response.error(), (409, None, "key_exists".to_owned()));
    assert_eq!(response.header("x-should-retry"), Some("false"));
}

#[tokio::test]
async fn misspelled_and_misplaced_limits_are_refused_by_name() {
    for (path, body, param) in [
        ("/admin/v1/keys", json!({"name": "a", "limits": {"budget_per_mounth": "5"}}), "limits.budget_per_mounth"),
        ("/admin/v1/keys", json!({"name": "a", "budget_total": "5"}), "budget_total"),
        (KEY, json!({"team": "t", "budget_total": "5"}), "budget_total"),
        ("/admin/v1/ledger/holds/video_1/resolve", json!({"cost": "1", "cost_micros": 5}), "cost_micros"),
    ] {
        let (status, found, _) = posted(&CoreStub::default(), path, &body).await.error();
        assert_eq!((status, found.as_deref()), (400, Some(param)), "{path} {body}");
    }
}
