//! API keys that are created at run time: limits, rotation, expiry, revocation.

use http_server::ThreadCount;
use prost_types::FieldMask;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tonic::Code;
use triptych_proto::v1::{self as pb, api_key::Origin};

use super::{CAROL, ROOT, configure, create, grpc, models_status, ok, post, post_chat, rest};
use crate::{
    chat::setup::completion_of_tokens,
    log_capture::LogCapture,
    postgres::two_nodes,
    rest_response::error_body,
    test_server::{
        CoreLocation, MODEL, TestServer, with_local_and_remote_core, with_local_and_remote_core_and_settings,
        with_local_and_remote_core_on_this_thread, within_timeout,
    },
};

const KEYS: &str = "/admin/v1/keys";
const ALICE: &str = "/admin/v1/keys/alice";

/// Makes a chat call that succeeds.
async fn chat(server: &TestServer, secret: &str, max_tokens: u32) {
    server.upstream.enqueue(completion_of_tokens(max_tokens));
    assert_eq!(post_chat(server, secret, max_tokens).await.status(), StatusCode::OK);
    server.upstream.received().await;
}

#[tokio::test]
async fn key_is_used_within_its_budget_rotated_and_revoked_and_survives_restarts() {
    for location in [CoreLocation::InProcess, CoreLocation::Remote] {
        let server = TestServer::start(location, ThreadCount::Shared, &configure).await;
        let limits = json!({"budget_total": "0.001", "models": [MODEL]});
        let first = create(&server, &json!({"name": "alice", "team": "research", "limits": limits})).await;
        chat(&server, &first, 400).await;
        let (status, error) = error_body(post_chat(&server, &first, 601).await).await;
        assert_eq!((status.as_u16(), &error["code"]), (429, &json!("budget_exceeded")), "{error}");
        // It is an ordinary key: it sees its own budget, and may not administer.
        let budgets = ok(&server, &first, Method::GET, "/v1/budgets", &Value::Null).await;
        assert_eq!((&budgets["data"][0]["name"], &budgets["data"][0]["limit"]), (&json!("alice"), &json!("0.001")));
        assert_eq!(post(&server, &first, KEYS, &json!({"name": "bob"})).await.status(), 403);

        let raised = ok(&server, ROOT, Method::POST, ALICE, &json!({"limits": {"budget_total": "0.002"}})).await;
        assert_eq!(
            (&raised["limits"]["budget_total"], &raised["limits"]["models"]),
            (&json!("0.002"), &json!([MODEL]))
        );
        chat(&server, &first, 601).await;

        let rotate = format!("{ALICE}/rotate");
        let rotated = ok(&server, ROOT, Method::POST, &rotate, &json!({"overlap_seconds": 3600})).await;
        let second = rotated["secret"].as_str().unwrap().to_owned();
        assert!(rotated["previous_secret_expires_at"].is_i64(), "{rotated}");
        for secret in [&first, &second] {
            assert_eq!(models_status(&server, secret).await, StatusCode::OK);
        }
        let server = server.restart(location, ThreadCount::Shared, &configure).await;
        for secret in [&first, &second] {
            assert_eq!(models_status(&server, secret).await, StatusCode::OK);
        }
        let rotated = ok(&server, ROOT, Method::POST, &rotate, &Value::Null).await;
        let third = rotated["secret"].as_str().unwrap().to_owned();
        for secret in [&first, &second] {
            assert_eq!(models_status(&server, secret).await, StatusCode::UNAUTHORIZED);
        }
        // The spent money and the raised budget have survived the restart.
        let budgets = ok(&server, &third, Method::GET, "/v1/budgets", &Value::Null).await;
        assert_eq!((&budgets["data"][0]["spent"], &budgets["data"][0]["limit"]), (&json!("0.001001"), &json!("0.002")));

        let revoked = ok(&server, ROOT, Method::POST, &format!("{ALICE}/revoke"), &Value::Null).await;
        assert!(revoked["revoked_at"].is_i64() && revoked["secret_hint"].is_null(), "{revoked}");
        assert_eq!(models_status(&server, &third).await, StatusCode::UNAUTHORIZED);
        let mut server = server.restart(location, ThreadCount::Shared, &configure).await;
        assert_eq!(models_status(&server, &third).await, StatusCode::UNAUTHORIZED);
        let (status, error) = error_body(post(&server, ROOT, KEYS, &json!({"name": "alice"})).await).await;
        assert_eq!((status.as_u16(), &error["code"]), (409, &json!("key_exists")), "{error}");
        assert!(error["message"].as_str().unwrap().contains("revoked"), "{error}");
        server.upstream.assert_no_request().await;
        server.shut_down().await;
    }
}

#[tokio::test]
async fn grpc_methods_change_keys_and_name_invalid_fields() {
    with_local_and_remote_core_and_settings(configure, async |server| {
        let mut client = server.admin_client().await;
        let request = pb::CreateKeyRequest {
            name: "alice".to_owned(),
            admin: true,
            on_disconnect: Some("90s".to_owned()),
            ..pb::CreateKeyRequest::default()
        };
        let pb::CreateKeyResponse { key, secret } =
            client.create_key(grpc(ROOT, request.clone())).await.unwrap().into_inner();
        let key = key.unwrap();
        assert_eq!((key.origin(), key.admin, key.created_by.as_str()), (Origin::Stored, true, "root"));
        assert_eq!((key.on_disconnect.as_deref(), secret.ends_with(&key.secret_hint)), (Some("1m 30s"), true));
        // The new key may administer at once; `updated_by` is then its name.
        let update = pb::UpdateKeyRequest {
            name: "alice".to_owned(),
            team: "research".to_owned(),
            limits: Some(pb::KeyLimits { jobs_in_flight: 3, ..pb::KeyLimits::default() }),
            update_mask: Some(FieldMask { paths: vec!["team".to_owned(), "limits.jobs_in_flight".to_owned()] }),
            ..pb::UpdateKeyRequest::default()
        };
        let updated = client.update_key(grpc(&secret, update.clone())).await.unwrap().into_inner().key.unwrap();
        assert_eq!((updated.team.as_str(), updated.admin, updated.updated_by.as_str()), ("research", true, "alice"));
        assert_eq!(updated.limits.as_ref().unwrap().jobs_in_flight, 3);
        let get = pb::GetKeyRequest { name: "alice".to_owned() };
        assert_eq!(client.get_key(grpc(ROOT, get)).await.unwrap().into_inner().key, Some(updated));

        let list = pb::ListKeysRequest { page_size: Some(2), ..pb::ListKeysRequest::default() };
        let page = client.list_keys(grpc(ROOT, list.clone())).await.unwrap().into_inner();
        let names = |page: &pb::ListKeysResponse| {
            page.keys.iter().map(|key| (key.name.clone(), key.origin())).collect::<Vec<_>>()
        };
        let expected = [("alice".to_owned(), Origin::Stored), ("carol".to_owned(), Origin::Configuration)];
        assert_eq!((names(&page), page.next_page_token.as_str()), (expected.to_vec(), "carol"));
        let page = client.list_keys(grpc(ROOT, pb::ListKeysRequest { page_token: page.next_page_token, ..list })).await;
        let page = page.unwrap().into_inner();
        assert_eq!(names(&page), [("root".to_owned(), Origin::Configuration)]);
        assert_eq!(page.next_page_token, "");

        let revoke = pb::RevokeKeyRequest { name: "alice".to_owned() };
        client.revoke_key(grpc(ROOT, revoke)).await.unwrap();
        let refused = client.list_keys(grpc(&secret, pb::ListKeysRequest::default())).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated);
        let listed = client.list_keys(grpc(ROOT, pb::ListKeysRequest::default())).await.unwrap().into_inner();
        assert_eq!(listed.keys.len(), 2);
        let all = pb::ListKeysRequest { include_revoked: true, ..pb::ListKeysRequest::default() };
        assert_eq!(client.list_keys(grpc(ROOT, all)).await.unwrap().into_inner().keys.len(), 3);

        let past = prost_types::Timestamp { seconds: 1, nanos: 0 };
        for (request, message) in [
            (pb::CreateKeyRequest { name: "a b".to_owned(), ..request.clone() }, "name: must have 1 to 64"),
            (pb::CreateKeyRequest { team: "other".to_owned(), ..request.clone() }, "team: must be a team"),
            (pb::CreateKeyRequest { on_disconnect: Some("x".to_owned()), ..request.clone() }, "on_disconnect: must be"),
            (pb::CreateKeyRequest { expire_time: Some(past), ..request }, "expire_time: must be in the future"),
        ] {
            let error = client.create_key(grpc(ROOT, request)).await.unwrap_err();
            assert_eq!(error.code(), Code::InvalidArgument, "{error:?}");
            assert!(error.message().starts_with(message), "{error:?}");
        }
        let configured = pb::UpdateKeyRequest { name: "carol".to_owned(), ..update };
        let error = client.update_key(grpc(ROOT, configured)).await.unwrap_err();
        assert!(error.message().contains("setting `keys`"), "{error:?}");
        let unknown = pb::RotateKeyRequest { name: "nobody".to_owned(), ..pb::RotateKeyRequest::default() };
        assert_eq!(client.rotate_key(grpc(ROOT, unknown)).await.unwrap_err().code(), Code::NotFound);
    })
    .await;
}

#[tokio::test]
async fn expired_key_is_refused_until_its_time_is_removed() {
    with_local_and_remote_core_and_settings(configure, async |server| {
        let secret = create(server, &json!({"name": "alice", "expires_at": 32_503_680_000_u64})).await;
        assert_eq!(models_status(server, &secret).await, StatusCode::OK);
        // An update may set a time in the past, which is a revocation that can be undone.
        ok(server, ROOT, Method::POST, ALICE, &json!({"expires_at": 1_700_000_000})).await;
        assert_eq!(models_status(server, &secret).await, StatusCode::UNAUTHORIZED);
        ok(server, ROOT, Method::POST, ALICE, &json!({"expires_at": null})).await;
        assert_eq!(models_status(server, &secret).await, StatusCode::OK);
    })
    .await;
}

#[tokio::test]
async fn admin_endpoints_return_403_to_other_keys_and_without_configured_keys() {
    let routes: Vec<_> = rest_gateway::ROUTES.iter().filter(|route| route.path.starts_with("/admin/")).collect();
    assert!(routes.len() >= 9, "{routes:?}");
    let call = async |server: &TestServer, secret: &str, route: &rest_gateway::Route| {
        let path = route.path.replace("{name}", "carol").replace("{id}", "video_1");
        let body = if route.method == "POST" { json!({"team": null, "release": true}) } else { Value::Null };
        error_body(rest(server, secret, route.method.parse().unwrap(), &path, &body).await).await
    };
    with_local_and_remote_core_and_settings(configure, async |server| {
        for route in &routes {
            let (status, error) = call(server, CAROL, route).await;
            assert_eq!((status.as_u16(), &error["code"]), (403, &json!("permission_denied")), "{route:?} {error}");
            assert!(error["message"].as_str().unwrap().contains("`carol`"), "{error}");
        }
        let error =
            server.admin_client().await.verify_ledger(grpc(CAROL, pb::VerifyLedgerRequest {})).await.unwrap_err();
        assert_eq!(error.code(), Code::PermissionDenied);
    })
    .await;
    with_local_and_remote_core(async |server| {
        for route in &routes {
            let (status, error) = call(server, "any", route).await;
            assert_eq!((status.as_u16(), &error["code"]), (403, &json!("permission_denied")), "{route:?} {error}");
            assert!(error["message"].as_str().unwrap().contains("TRIPTYCH_KEYS"), "{error}");
        }
        // Nothing was created, so that calls still need no key.
        assert_eq!(models_status(server, "any").await, StatusCode::OK);
    })
    .await;
}

#[tokio::test]
async fn concurrent_creates_with_one_name_return_200_and_409() {
    with_local_and_remote_core_and_settings(configure, async |server| {
        let create = async || post(server, ROOT, KEYS, &json!({"name": "alice"})).await;
        let (first, second) = tokio::join!(create(), create());
        let mut statuses = [first.status().as_u16(), second.status().as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409]);
        for response in [first, second] {
            if response.status() == StatusCode::OK {
                let key: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
                assert_eq!(models_status(server, key["secret"].as_str().unwrap()).await, StatusCode::OK);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn secrets_are_in_the_responses_that_create_them_and_nowhere_else() {
    with_local_and_remote_core_on_this_thread(configure, async |server| {
        let log = LogCapture::start();
        let first = create(server, &json!({"name": "alice"})).await;
        // The prefix and 64 hexadecimal digits.
        assert_eq!((first.len(), first.starts_with("sk-trp-")), (7 + 64, true));
        let rotated = ok(server, ROOT, Method::POST, &format!("{ALICE}/rotate"), &json!({"overlap_seconds": 60})).await;
        let second = rotated["secret"].as_str().unwrap().to_owned();
        let mut texts = vec![
            ok(server, ROOT, Method::GET, KEYS, &Value::Null).await.to_string(),
            ok(server, ROOT, Method::GET, ALICE, &Value::Null).await.to_string(),
            ok(server, ROOT, Method::POST, ALICE, &json!({"team": "research"})).await.to_string(),
        ];
        for secret in [&first, &second] {
            assert_eq!(models_status(server, secret).await, StatusCode::OK);
        }
        texts.push(ok(server, ROOT, Method::POST, &format!("{ALICE}/revoke"), &Value::Null).await.to_string());
        assert_eq!(models_status(server, &second).await, StatusCode::UNAUTHORIZED);
        let log = log.take();
        assert!(log.contains("created an API key") && log.contains("revoked an API key"), "{log}");
        texts.push(log);
        for (secret, text) in
            [&first, &second].into_iter().flat_map(|secret| texts.iter().map(move |text| (secret, text)))
        {
            // Neither half of the secret may appear.
            assert!(!text.contains(&secret[7..39]) && !text.contains(&secret[39..]), "{text}");
        }
    })
    .await;
}

#[tokio::test]
async fn key_is_created_and_revoked_for_all_nodes() {
    // Without PostgreSQL there are no nodes with a common database, and nothing to test.
    let Some((mut nodes, _media)) = two_nodes("keys", configure).await else { return };
    let secret = create(&nodes[0], &json!({"name": "alice"})).await;
    let has_status = async |node: &TestServer, expected: StatusCode| {
        while models_status(node, &secret).await != expected {
            tokio::task::yield_now().await;
        }
    };
    has_status(&nodes[0], StatusCode::OK).await;
    within_timeout("the other node to know the key", has_status(&nodes[1], StatusCode::OK)).await;
    // Changed on the node that has not created it.
    ok(&nodes[1], ROOT, Method::POST, &format!("{ALICE}/revoke"), &Value::Null).await;
    has_status(&nodes[1], StatusCode::UNAUTHORIZED).await;
    within_timeout("the other node to refuse it", has_status(&nodes[0], StatusCode::UNAUTHORIZED)).await;
    for node in &mut nodes {
        node.shut_down().await;
    }
}
