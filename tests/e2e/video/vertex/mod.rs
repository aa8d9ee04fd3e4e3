//! The video provider `vertex`, Google's models on Vertex AI: access tokens, requests to the upstream, its responses over REST
//! and gRPC. Gemini Omni renders as *interactions*, Veo as *operations*: two APIs with states and errors of their own.

mod requests;
mod tokens;

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use core_service::config::{Settings, VideoServiceType};
use reqwest::Url;
use serde_json::{Value, json};

use super::{
    common_scenarios::disable_circuit_breaker,
    create,
    provider_case::{
        Call::{Cancel, Create, File, Poll},
        Exchange, MP4, ProviderCase, Scenario, request_line,
    },
    wait_until_final,
};
use crate::{
    fake_upstream::{FakeUpstream, ReceivedRequest, Reply},
    test_server::{TestServer, with_local_and_remote_core_and_settings},
};

/// The place in Cloud Storage where Vertex AI stores the results.
const BUCKET: &str = "gs://bucket-1/videos";

const OMNI: ProviderCase = ProviderCase {
    provider: "vertex",
    model: "gemini-omni-1.2-flash",
    key: "vertex-token-1",
    tasks: "/v1beta1/projects/project-1/locations/global/interactions",
    file: |id| format!("/storage/v1/b/bucket-1/o/videos%2F{id}%2Fsample_0.mp4?alt=media"),
    route: |call, id| {
        let path = || format!("/v1beta1/projects/project-1/locations/global/interactions/{id}/cancel");
        (call == Cancel).then(|| ("post", path()))
    },
    needs_frame: false,
};

/// Veo has no cancellation: cancelling a job sends no request.
const VEO: ProviderCase = ProviderCase {
    model: "veo-3.1-generate-001",
    tasks: "/v1/projects/project-1/locations/us-central1/publishers/google/models/veo-3.1-generate-001:predictLongRunning",
    route: |call, id| (call == Poll).then(|| ("post", format!("/v1/{}:fetchPredictOperation", model_path(id)))),
    ..OMNI
};

/// Returns the path of Veo's model in the names of operations. The id of the task is in place of the project, so that each
/// operation of a test has a path of its own.
fn model_path(id: &str) -> String {
    format!("projects/{id}/locations/us-central1/publishers/google/models/veo-3.1-generate-001")
}

const STARTED: Exchange = (Create, "veo-created.json");
const DONE: Exchange = (Poll, "veo-done.json");
const NOT_FOUND: Exchange = (Poll, "not-found.404.json");

/// Jobs of Veo.
const OPERATIONS: [Scenario; 20] = [
    (&[STARTED, (Poll, "veo-running.json"), DONE, (File, MP4)], Ok(())),
    (&[(Create, "rate.429.json"), STARTED, DONE, (File, MP4)], Ok(())),
    (&[(Create, "unavailable.503.json"), STARTED, DONE, (File, MP4)], Ok(())),
    (&[STARTED, (Poll, "internal.500.json"), DONE, (File, MP4)], Ok(())),
    (&[STARTED, (Poll, "denied.403.json"), DONE, (File, MP4)], Ok(())),
    (&[STARTED, NOT_FOUND, NOT_FOUND, DONE, (File, MP4)], Ok(())),
    (&[STARTED, NOT_FOUND, NOT_FOUND, NOT_FOUND], Err("upstream_lost")),
    (&[STARTED, DONE, (File, "object.404.json"), DONE, (File, MP4)], Ok(())),
    (&[STARTED, (Poll, "veo-filtered.json")], Err("content_policy_violation")),
    (&[STARTED, (Poll, "veo-filtered-without-reason.json")], Err("content_policy_violation")),
    (&[STARTED, (Poll, "veo-guidelines.json")], Err("content_policy_violation")),
    (&[STARTED, (Poll, "veo-without-videos.json")], Err("upstream_unreadable")),
    (&[STARTED, (Poll, "veo-internal.json")], Err("upstream_unavailable")),
    (&[STARTED, (Poll, "veo-quota.json")], Err("rate_limit_exceeded")),
    (&[(Create, "safety.400.json")], Err("content_policy_violation")),
    (&[(Create, "model.404.json")], Err("upstream_refused")),
    (&[(Create, "denied.403.json")], Err("provider_credentials")),
    (&[(Create, "billing.403.json")], Err("provider_credentials")),
    (&[(Create, "veo-no-name.json")], Err("upstream_unreadable")),
    (&[(Create, "internal.500.json")], Err("outcome_unknown")),
];

const CREATED: Exchange = (Create, "created.json");
const COMPLETED: Exchange = (Poll, "completed.json");

/// Jobs of Gemini Omni.
const INTERACTIONS: [Scenario; 6] = [
    (&[CREATED, (Poll, "in-progress.json"), COMPLETED, (File, MP4)], Ok(())),
    (&[(Create, "rate.429.json"), CREATED, COMPLETED, (File, MP4)], Ok(())),
    (&[CREATED, NOT_FOUND, NOT_FOUND, NOT_FOUND], Err("upstream_lost")),
    (&[CREATED, (Poll, "failed-policy.json")], Err("content_policy_violation")),
    (&[CREATED, (Poll, "completed-without-video.json")], Err("upstream_unreadable")),
    (&[(Create, "billing.403.json")], Err("provider_credentials")),
];

/// The fixtures that are in no table but in other tests.
const FURTHER: [&str; 5] =
    ["token.json", "invalid-grant.400.json", "expired-token.401.json", "cancelled.json", "cancel-too-late.400.json"];

/// Returns the file of the key of a service account.
fn service_account(token_uri: &str) -> Value {
    let path =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/keys/service-account.pkcs8.base64");
    let base64 = std::fs::read_to_string(path).unwrap();
    // The label is apart from the dashes, so that searches for keys do not find this line.
    let label = "PRIVATE KEY";
    json!({
        "type": "service_account",
        "project_id": "project-1",
        "private_key_id": "key-1",
        "private_key": format!("-----BEGIN {label}-----\n{base64}-----END {label}-----\n"),
        "client_email": "video@project-1.iam.gserviceaccount.com",
        "token_uri": token_uri,
    })
}

fn configure(settings: &mut Settings, tokens: &FakeUpstream) {
    settings.video.service_type = VideoServiceType::Vertex;
    disable_circuit_breaker(settings);
    let mut base = settings.chat.base_url.clone().unwrap();
    base.set_path("");
    let vertex = &mut settings.video.vertex;
    vertex.credentials = Some(service_account(&tokens.url("/token")).to_string().into());
    vertex.base_url = Some(base.clone());
    vertex.storage_base_url = Some(base);
    BUCKET.clone_into(&mut vertex.storage_uri);
    vertex.poll_interval = Duration::from_millis(100);
}

/// Runs a test with a fake endpoint of Google's OAuth service, which exchanges assertions for access tokens. It must receive no
/// other requests than those that the test takes.
async fn with_adjusted_core(adjust: impl Fn(&mut Settings), test: impl AsyncFn(&TestServer, &FakeUpstream)) {
    let tokens = FakeUpstream::start().await;
    let adjust = |settings: &mut Settings, _: &mut rest_gateway::Settings| {
        configure(settings, &tokens);
        adjust(settings);
    };
    with_local_and_remote_core_and_settings(adjust, async |server| {
        test(server, &tokens).await;
        tokens.assert_no_request().await;
    })
    .await;
}

async fn with_core(test: impl AsyncFn(&TestServer, &FakeUpstream)) {
    with_adjusted_core(|_| (), test).await;
}

/// Enqueues tokens: the text of each and its lifetime in seconds.
fn enqueue_tokens(tokens: &FakeUpstream, replies: &[(&str, u64)]) {
    for (text, seconds) in replies {
        let body = json!({"access_token": text, "expires_in": seconds, "token_type": "Bearer"});
        tokens.enqueue_at("/token", Reply::new(200, &body.to_string()));
    }
}

/// Asserts that a request exchanges an assertion of the service account for a token.
fn assert_exchange(request: &ReceivedRequest, audience: &str) {
    assert_eq!(request_line(request), "post /token");
    assert_eq!(request.header("content-type"), Some("application/x-www-form-urlencoded"));
    for name in ["authorization", "idempotency-key"] {
        assert_eq!(request.header(name), None, "{}", request.head);
    }
    let form = Url::parse(&format!("http://upstream.test/?{}", request.text())).unwrap();
    let form: Vec<_> = form.query_pairs().into_owned().collect();
    let [(grant, kind), (name, assertion)] = form.as_slice() else { panic!("{form:?}") };
    assert_eq!((grant.as_str(), name.as_str()), ("grant_type", "assertion"));
    assert_eq!(kind, "urn:ietf:params:oauth:grant-type:jwt-bearer");
    let claims: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(assertion.split('.').nth(1).unwrap()).unwrap()).unwrap();
    let (issuer, scope) = ("video@project-1.iam.gserviceaccount.com", "https://www.googleapis.com/auth/cloud-platform");
    assert_eq!((&claims["iss"], &claims["scope"], &claims["aud"]), (&json!(issuer), &json!(scope), &json!(audience)));
    assert_eq!(claims["exp"].as_u64(), claims["iat"].as_u64().map(|created| created + 3600));
}

async fn assert_outcomes(provider: &ProviderCase, table: &[Scenario]) {
    with_core(async |server, tokens| {
        tokens.enqueue_at("/token", provider.fixtures().reply(server, "token.json", ""));
        for (exchanges, expected) in table {
            for request in provider.assert_outcome(server, exchanges, *expected).await {
                // Cloud Storage requires the token too.
                assert_eq!(request.header("authorization"), Some("bearer vertex-token-1"), "{}", request.head);
            }
        }
        assert_exchange(&tokens.received().await, &tokens.url("/token"));
    })
    .await;
}

#[tokio::test]
async fn every_response_about_an_operation_gives_the_same_outcome_over_rest_and_grpc() {
    assert_outcomes(&VEO, &OPERATIONS).await;
}

#[tokio::test]
async fn every_response_about_an_interaction_gives_the_same_outcome_over_rest_and_grpc() {
    assert_outcomes(&OMNI, &INTERACTIONS).await;
}

#[test]
fn every_fixture_is_tested() {
    OMNI.fixtures().assert_all_used(INTERACTIONS.iter().chain(&OPERATIONS), &FURTHER);
}

/// Creates a video that succeeds, and returns the requests that the upstream receives.
async fn succeeded(
    server: &TestServer,
    provider: &ProviderCase,
    exchanges: &[Exchange],
    body: &Value,
) -> Vec<ReceivedRequest> {
    let lines: Vec<_> =
        exchanges.iter().map(|(call, fixture)| provider.enqueue(server, "task-1", *call, fixture)).collect();
    let id = create(server, body).await;
    let video = wait_until_final(server, &id).await;
    assert_eq!(video["status"], "completed", "{video}");
    let mut received = Vec::new();
    for line in lines {
        let request = server.upstream.received().await;
        assert_eq!(request_line(&request), line);
        received.push(request);
    }
    received
}
