//! Responses in the background across a restart of the server.

use std::num::NonZeroUsize;

use core_service::config::Settings;
use http_server::ThreadCount;
use serde_json::json;

use super::{body, create, ended, get, id, output_text, parsed, text};
use crate::{
    fake_upstream::{Reply, content_event},
    rest_response::Events,
    test_server::{CoreLocation, TestServer},
};

#[tokio::test]
async fn queued_response_runs_after_a_restart_and_an_interrupted_one_fails_without_a_second_call() {
    let threads = ThreadCount::Fixed(const { NonZeroUsize::new(2).unwrap() });
    let adjust = |settings: &mut Settings, _: &mut rest_gateway::Settings| {
        settings.responses.concurrency = 1;
        // So short that the restart interrupts the running response.
        settings.grpc.drain = std::time::Duration::from_millis(1);
    };
    let server = TestServer::start(CoreLocation::InProcess, threads, &adjust).await;
    server.upstream.enqueue(Reply::stream().send(&content_event("Hel")).stall());
    let request = body("Hi", &json!({"background": true, "stream": true}));
    let mut stream = Events::new(server.post("/v1/responses", &request).await);
    let first = parsed(&stream.next().await.unwrap());
    let interrupted = id(&first["response"]).to_owned();
    server.upstream.received().await;
    let queued = create(&server, &body("Ho", &json!({"background": true}))).await;
    drop(stream);

    server.upstream.enqueue(text("Hello!"));
    let mut server = server.restart(CoreLocation::InProcess, threads, &adjust).await;
    let completed = ended(&server, id(&queued)).await;
    assert_eq!((&completed["status"], output_text(&completed)), (&json!("completed"), "Hello!"));
    let failed = ended(&server, &interrupted).await;
    assert_eq!(failed["status"], "failed", "{failed}");
    assert!(failed["error"]["message"].as_str().unwrap().contains("outcome_unknown"), "{failed}");
    // The call of the queued response, and no other.
    server.upstream.received().await;
    server.upstream.assert_no_request().await;
    let (status, _) = get(&server, &format!("/v1/responses/{interrupted}")).await;
    assert_eq!(status, 200);
    server.shut_down().await;
}
