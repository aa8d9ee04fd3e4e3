//! Google's video models on Vertex AI: access tokens, requests to the upstream, its responses over REST and gRPC.

use std::time::Duration;

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use core_service::config::{Settings, VideoServiceType};
use reqwest::{Method, Url};
use serde_json::{Value, json};

use super::{
    create, json_body,
    provider_case::{
        CLIP,
        Call::{self, Cancel, Create, File, Poll},
        FRAME, MP4, ProviderCase, request_line,
    },
    wait_until_final, wait_until_rendering,
};
use crate::{
    fake_upstream::{FakeUpstream, ReceivedRequest, Reply},
    test_server::{TestServer, with_local_and_remote_core_and_settings},
};

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

/// Without cancellation: it sends no request.
const VEO: ProviderCase = ProviderCase {
    model: "veo-3.1-generate-001",
    tasks: "/v1/projects/project-1/locations/us-central1/publishers/google/models/veo-3.1-generate-001:predictLongRunning",
    route: |call, id| (call == Poll).then(|| ("post", format!("/v1/{}:fetchPredictOperation", model_path(id)))),
    ..OMNI
};

/// Returns the path of Veo's model in the names of operations.
fn model_path(id: &str) -> String {
    format!("projects/{id}/locations/us-central1/publishers/google/models/veo-3.1-generate-001")
}

/// Calls of one job with the responses to them, and the end of the job.
type Row = (&'static [(Call, &'static str)], Result<(), &'static str>);

const STARTED: (Call, &str) = (Create, "veo-created.json");
const DONE: (Call, &str) = (Poll, "veo-done.json");
const LOST: (Call, &str) = (Poll, "not-found.404.json");

const OPERATIONS: [Row; 20] = [
    (&[STARTED, (Poll, "veo-running.json"), DONE, (File, MP4)], Ok(())),
    (&[(Create, "rate.429.json"), STARTED, DONE, (File, MP4)], Ok(())),
    (&[(Create, "unavailable.503.json"), STARTED, DONE, (File, MP4)], Ok(())),
    (&[STARTED, (Poll, "internal.500.json"), DONE, (File, MP4)], Ok(())),
    (&[STARTED, (Poll, "denied.403.json"), DONE, (File, MP4)], Ok(())),
    (&[STARTED, LOST, LOST, DONE, (File, MP4)], Ok(())),
    (&[STARTED, LOST, LOST, LOST], Err("upstream_lost")),
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

const CREATED: (Call, &str) = (Create, "created.json");
const COMPLETED: (Call, &str) = (Poll, "completed.json");

const INTERACTIONS: [Row; 6] = [
    (&[CREATED, (Poll, "in-progress.json"), COMPLETED, (File, MP4)], Ok(())),
    (&[(Create, "rate.429.json"), CREATED, COMPLETED, (File, MP4)], Ok(())),
    (&[CREATED, LOST, LOST, LOST], Err("upstream_lost")),
    (&[CREATED, (Poll, "failed-policy.json")], Err("content_policy_violation")),
    (&[CREATED, (Poll, "completed-without-video.json")], Err("upstream_unreadable")),
    (&[(Create, "billing.403.json")], Err("provider_credentials")),
];

/// The fixtures of the tests below the tables.
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
    settings.video.routing.failures = u32::MAX;
    let mut base = settings.chat.base_url.clone().unwrap();
    base.set_path("");
    let vertex = &mut settings.video.vertex;
    vertex.credentials = Some(service_account(&tokens.url("/token")).to_string().into());
    vertex.base_url = Some(base.clone());
    vertex.storage_base_url = Some(base);
    vertex.storage_uri = BUCKET.to_owned();
    vertex.poll_interval = Duration::from_millis(100);
}

/// Runs a test with a token endpoint, which must receive no other requests than the test takes.
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

async fn assert_outcomes(provider: &ProviderCase, table: &[Row]) {
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
    let rows = INTERACTIONS.iter().chain(&OPERATIONS);
    let table = rows.flat_map(|(exchanges, _)| exchanges.iter().map(|(_, fixture)| *fixture));
    OMNI.fixtures().assert_all_used(table.chain(FURTHER));
}

/// Creates a video that succeeds, and returns the requests that the upstream receives.
async fn succeeded(
    server: &TestServer,
    provider: &ProviderCase,
    exchanges: &[(Call, &str)],
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

/// Returns the tokens of requests, in lower case.
fn tokens_of(requests: &[ReceivedRequest]) -> Vec<&str> {
    let headers = requests.iter().map(|request| request.header("authorization").unwrap());
    headers.map(|header| header.strip_prefix("bearer ").unwrap()).collect()
}

#[tokio::test]
async fn requests_have_the_parameters_of_vertex_ai_and_name_the_bucket() {
    with_core(async |server, tokens| {
        enqueue_tokens(tokens, &[("t-1", 3600)]);
        let body = json!({"model": VEO.model, "prompt": "a boat", "size": "1920x1080", "seconds": 5, "seed": 7,
            "generate_audio": false, "input_reference": STANDARD.encode(&*FRAME), "personGeneration": "allow_adult",
            "storageUri": "gs://other", "sampleCount": 4});
        let image = json!({"bytesBase64Encoded": STANDARD.encode(&*FRAME), "mimeType": "image/png"});
        let expected = json!({"instances": [{"prompt": "a boat", "image": image}],
            "parameters": {"aspectRatio": "16:9", "resolution": "1080p", "durationSeconds": 6, "sampleCount": 1,
                "generateAudio": false, "storageUri": BUCKET, "seed": 7, "personGeneration": "allow_adult"}});
        let received = succeeded(server, &VEO, &[STARTED, DONE, (File, MP4)], &body).await;
        assert_eq!(received[0].json(), expected);
        let name = format!("{}/operations/17", model_path("task-1"));
        assert_eq!(received[1].json(), json!({"operationName": name}));
        let received = succeeded(server, &OMNI, &[CREATED, COMPLETED, (File, MP4)], &OMNI.body()).await;
        let format = json!({"type": "video", "aspect_ratio": "16:9", "resolution": "720p", "duration": "4s",
            "delivery": "uri", "gcs_uri": BUCKET});
        assert_eq!(received[0].json()["response_format"], format);
        tokens.received().await;
    })
    .await;
}

#[tokio::test]
async fn without_a_bucket_the_video_is_read_from_another_response() {
    with_adjusted_core(
        |settings| settings.video.vertex.storage_uri.clear(),
        async |server, tokens| {
            enqueue_tokens(tokens, &[("t-1", 3600)]);
            let data = STANDARD.encode(&*CLIP);
            let video = json!({"bytesBase64Encoded": data, "mimeType": "video/mp4"});
            let operation = json!({"name": "o", "done": true, "response": {"videos": [video]}});
            let step = json!({"type": "model_output", "content": [{"type": "video", "data": data}]});
            let interaction = json!({"id": "task-1", "status": "completed", "steps": [step]});
            for (provider, created, done) in [(VEO, "veo-created.json", operation), (OMNI, "created.json", interaction)]
            {
                provider.enqueue(server, "task-1", Create, created);
                for _ in 0..2 {
                    server.upstream.enqueue_at(&provider.line(Poll, "task-1").1, Reply::new(200, &done.to_string()));
                }
                let id = create(server, &provider.body()).await;
                assert_eq!(wait_until_final(server, &id).await["status"], "completed");
                let content = server.request(Method::GET, &format!("/v1/videos/{id}/content")).send().await.unwrap();
                assert!(content.bytes().await.unwrap() == *CLIP, "not the file of the upstream");
                let body = server.upstream.received().await.json();
                assert_eq!(body["parameters"]["storageUri"], Value::Null);
                assert_ne!(body["response_format"]["delivery"], "uri");
                for _ in 0..2 {
                    server.upstream.received().await;
                }
            }
            tokens.received().await;
        },
    )
    .await;
}

#[tokio::test]
async fn extension_sends_the_file_of_its_source() {
    with_core(async |server, tokens| {
        enqueue_tokens(tokens, &[("t-1", 3600)]);
        for (call, fixture) in [STARTED, DONE, (File, MP4)] {
            VEO.enqueue(server, "task-1", call, fixture);
        }
        let source = create(server, &VEO.body()).await;
        assert_eq!(wait_until_final(server, &source).await["status"], "completed");
        for _ in 0..3 {
            server.upstream.received().await;
        }
        for (call, fixture) in [STARTED, DONE, (File, MP4)] {
            VEO.enqueue(server, "task-1", call, fixture);
        }
        let body = json!({"prompt": "it sails on", "video": {"id": source}, "seconds": 7});
        let extension = json_body(server.post("/v1/videos/extensions", &body).await).await;
        let video = wait_until_final(server, extension["id"].as_str().unwrap()).await;
        assert_eq!(video["status"], "completed", "{video}");
        let video = json!({"bytesBase64Encoded": STANDARD.encode(&*CLIP), "mimeType": "video/mp4"});
        let expected = json!({"instances": [{"prompt": "it sails on", "video": video}],
            "parameters": {"resolution": "720p", "sampleCount": 1, "generateAudio": true, "storageUri": BUCKET}});
        assert_eq!(server.upstream.received().await.json(), expected);
        for _ in 0..2 {
            server.upstream.received().await;
        }
        tokens.received().await;
    })
    .await;
}

#[tokio::test]
async fn token_is_renewed_before_it_expires() {
    with_core(async |server, tokens| {
        // Less than the margin before the expiry: each is valid for one call.
        enqueue_tokens(tokens, &[("t-1", 30), ("t-2", 30), ("t-3", 30)]);
        let received = succeeded(server, &VEO, &[STARTED, DONE, (File, MP4)], &VEO.body()).await;
        assert_eq!(tokens_of(&received), ["t-1", "t-2", "t-3"]);
        for _ in 0..3 {
            assert_exchange(&tokens.received().await, &tokens.url("/token"));
        }
    })
    .await;
}

#[tokio::test]
async fn token_that_is_refused_with_401_is_renewed_once() {
    with_core(async |server, tokens| {
        let refused = |call| (call, "expired-token.401.json");
        enqueue_tokens(tokens, &[("t-1", 3600), ("t-2", 3600), ("t-3", 3600), ("t-4", 3600)]);
        let exchanges = [refused(Create), STARTED, refused(Poll), DONE, refused(File), (File, MP4)];
        let received = succeeded(server, &VEO, &exchanges, &VEO.body()).await;
        assert_eq!(tokens_of(&received), ["t-1", "t-2", "t-2", "t-3", "t-3", "t-4"]);
        for _ in 0..4 {
            tokens.received().await;
        }
        enqueue_tokens(tokens, &[("t-5", 3600)]);
        for _ in 0..2 {
            VEO.enqueue(server, "task-1", Create, "expired-token.401.json");
        }
        let id = create(server, &VEO.body()).await;
        assert_eq!(wait_until_final(server, &id).await["error"]["code"], "provider_credentials");
        let received = [server.upstream.received().await, server.upstream.received().await];
        assert_eq!(tokens_of(&received), ["t-4", "t-5"]);
        tokens.received().await;
    })
    .await;
}

#[tokio::test]
async fn nothing_is_submitted_without_a_token() {
    with_core(async |server, tokens| {
        // The account is refused.
        tokens.enqueue_at("/token", VEO.fixtures().reply(server, "invalid-grant.400.json", ""));
        let id = create(server, &VEO.body()).await;
        let error = &wait_until_final(server, &id).await["error"];
        assert_eq!(error["code"], "provider_credentials", "{error}");
        tokens.received().await;
        server.upstream.assert_no_request().await;
        // The endpoint is down: the submission waits, whether or not the connection was lost within the response.
        for reply in [Reply::new(503, "{}"), Reply::new(200, "{\"access_token\":").abort()] {
            tokens.enqueue_at("/token", reply);
            // Expired for the next job.
            enqueue_tokens(tokens, &[("t-1", 0), ("t-2", 0), ("t-3", 0)]);
            let received = succeeded(server, &VEO, &[STARTED, DONE, (File, MP4)], &VEO.body()).await;
            assert_eq!(tokens_of(&received), ["t-1", "t-2", "t-3"]);
            for _ in 0..4 {
                tokens.received().await;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn connection_lost_during_the_submission_leads_to_no_second_one() {
    with_core(async |server, tokens| {
        enqueue_tokens(tokens, &[("t-1", 3600)]);
        for provider in [OMNI, VEO] {
            server.upstream.enqueue_at(provider.tasks, Reply::new(200, "{\"id\":").abort());
            let id = create(server, &provider.body()).await;
            assert_eq!(wait_until_final(server, &id).await["error"]["code"], "outcome_unknown");
            assert_eq!(request_line(&server.upstream.received().await), format!("post {}", provider.tasks));
            server.upstream.assert_no_request().await;
        }
        tokens.received().await;
    })
    .await;
}

#[tokio::test]
async fn link_to_another_origin_gets_no_token() {
    let adjust = |settings: &mut Settings| settings.media.fetch_private_addresses = true;
    with_adjusted_core(adjust, async |server, tokens| {
        enqueue_tokens(tokens, &[("t-1", 3600)]);
        let elsewhere = FakeUpstream::start().await;
        elsewhere.enqueue(Reply::file("video/mp4", &CLIP));
        OMNI.enqueue(server, "task-1", Create, "created.json");
        let output = json!({"type": "video", "uri": elsewhere.url("/clip.mp4?X-Goog-Signature=1")});
        let completed = json!({"id": "task-1", "status": "completed", "output_video": output});
        server.upstream.enqueue_at(&OMNI.line(Poll, "task-1").1, Reply::new(200, &completed.to_string()));
        let id = create(server, &OMNI.body()).await;
        assert_eq!(wait_until_final(server, &id).await["status"], "completed");
        let file = elsewhere.received().await;
        assert_eq!((file.path.as_str(), file.header("authorization")), ("/clip.mp4?X-Goog-Signature=1", None));
        for _ in 0..2 {
            server.upstream.received().await;
        }
        tokens.received().await;
    })
    .await;
}

#[tokio::test]
async fn interaction_is_cancelled_and_an_operation_runs_on() {
    // The second poll is far away.
    let adjust = |settings: &mut Settings| settings.video.vertex.poll_interval = Duration::from_mins(1);
    with_adjusted_core(adjust, async |server, tokens| {
        enqueue_tokens(tokens, &[("t-1", 3600)]);
        for (provider, created, running, reply) in [
            (OMNI, "created.json", "in-progress.json", Some("cancelled.json")),
            (OMNI, "created.json", "in-progress.json", Some("cancel-too-late.400.json")),
            (VEO, "veo-created.json", "veo-running.json", None),
        ] {
            provider.enqueue(server, "task-1", Create, created);
            provider.enqueue(server, "task-1", Poll, running);
            let id = create(server, &provider.body()).await;
            wait_until_rendering(server, &id).await;
            for _ in 0..2 {
                server.upstream.received().await;
            }
            if let Some(reply) = reply {
                provider.enqueue(server, "task-1", Cancel, reply);
            }
            let cancelled = server.request(Method::POST, &format!("/v1/videos/{id}/cancel")).send().await.unwrap();
            assert_eq!(json_body(cancelled).await["error"]["code"], "cancelled");
            if reply.is_some() {
                let path = OMNI.line(Cancel, "task-1").1;
                assert_eq!(request_line(&server.upstream.received().await), format!("post {path}"));
            }
            server.upstream.assert_no_request().await;
        }
        tokens.received().await;
    })
    .await;
}

#[tokio::test]
async fn model_that_the_gemini_api_has_too_is_served_by_the_default_provider() {
    let adjust = |settings: &mut Settings| settings.video.gemini.api_key = Some("gemini-video-secret".into());
    with_adjusted_core(adjust, async |server, _| {
        let models = json_body(server.request(Method::GET, "/v1/models").send().await.unwrap()).await;
        let owner = |name: &str| {
            let owners = models["data"].as_array().unwrap().iter().filter(|model| model["id"] == name);
            owners.map(|model| model["owned_by"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!((owner(VEO.model), owner(OMNI.model)), (vec!["vertex".to_owned()], vec!["vertex".to_owned()]));
        assert_eq!(owner("gemini-omni-1.1-flash"), ["gemini"]);
    })
    .await;
}
