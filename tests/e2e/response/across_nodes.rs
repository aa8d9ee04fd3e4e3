//! Responses in the background that another node generates.

use reqwest::Method;
use serde_json::{Value, json};

use super::{body, create, ended, get, id, output_text, parsed, send, text, types};
use crate::{
    fake_upstream::{Latch, Reply, content_event, finish_event},
    postgres::two_nodes,
    rest_response::Events,
    test_server::{TestServer, within_timeout},
};

/// Creates a response in the background whose upstream call is a stream. Returns its id and the index of the node that generates it,
/// which may be any node, once the upstream of that node has received the call.
async fn start(nodes: &[TestServer; 2], reply: impl Fn() -> Reply) -> (String, usize) {
    for node in nodes {
        node.upstream.enqueue(reply());
    }
    let request = body("Hi", &json!({"background": true, "stream": true}));
    let mut events = Events::new(nodes[0].post("/v1/responses", &request).await);
    let first = parsed(&events.next().await.unwrap());
    let generating = tokio::select! {
        _ = nodes[0].upstream.received() => 0,
        _ = nodes[1].upstream.received() => 1,
    };
    nodes[1 - generating].upstream.clear_replies();
    (id(&first["response"]).to_owned(), generating)
}

async fn cancel(node: &TestServer, response: &str) {
    let path = format!("/v1/responses/{response}/cancel");
    let (status, cancelled) = within_timeout("the end", send(node, Method::POST, &path, &Value::Null)).await;
    assert_eq!((status, &cancelled["status"]), (200, &json!("cancelled")), "{cancelled}");
}

#[tokio::test]
async fn response_is_streamed_and_cancelled_through_another_node() {
    // Without PostgreSQL there are no nodes with a common database, and nothing to test.
    let Some((mut nodes, _media)) = two_nodes("responses", |_, _| {}).await else { return };
    let gate = Latch::new();
    let reply = || {
        let reply = Reply::stream().send(&content_event("Hel")).wait_for(&gate).send(&content_event("lo!"));
        reply.send(&finish_event("stop")).send("data: [DONE]\n\n")
    };
    let (response, generating) = start(&nodes, reply).await;
    let path = format!("/v1/responses/{response}?stream=true");
    let mut stream = Events::new(nodes[1 - generating].request(Method::GET, &path).send().await.unwrap());
    while !parsed(&stream.next().await.unwrap())["type"].as_str().unwrap().ends_with("output_text.delta") {}
    gate.open();
    let rest = within_timeout("the response", stream.read_all()).await;
    let rest: Vec<Value> = rest.iter().map(|event| parsed(event)).collect();
    assert_eq!(types(&rest).last(), Some(&"response.completed"));
    assert_eq!(output_text(&rest.last().unwrap()["response"]), "Hello!");

    let (response, generating) = start(&nodes, || Reply::stream().send(&content_event("Hel")).stall()).await;
    cancel(&nodes[1 - generating], &response).await;
    nodes[generating].upstream.disconnected().await;
    for node in &mut nodes {
        node.shut_down().await;
    }
}

#[tokio::test]
async fn responses_of_running_nodes_are_left_alone_and_the_queue_of_one_that_ends_is_taken_over() {
    let one_at_a_time = |settings: &mut core_service::config::Settings, _: &mut rest_gateway::Settings| {
        settings.responses.concurrency = 1;
        // So short that the shutdown of a node interrupts its running response.
        settings.grpc.drain = std::time::Duration::from_millis(1);
    };
    let Some((mut nodes, _media)) = two_nodes("queued_responses", one_at_a_time).await else { return };
    let stalled = || Reply::stream().send(&content_event("Hel")).stall();
    let (first, ending) = start(&nodes, stalled).await;
    let (second, remaining) = start(&nodes, stalled).await;
    assert_ne!(ending, remaining, "each node generates one response at a time");
    let queued = create(&nodes[ending], &body("Ho", &json!({"background": true}))).await;
    nodes[ending].shut_down().await;
    let remaining = &mut nodes[remaining];
    for (response, status) in [(&first, "failed"), (&second, "in_progress")] {
        assert_eq!(get(remaining, &format!("/v1/responses/{response}")).await.1["status"], status);
    }
    remaining.upstream.enqueue(text("Hello!"));
    cancel(remaining, &second).await;
    let ended = within_timeout("the queued response", ended(remaining, id(&queued))).await;
    assert_eq!((&ended["status"], output_text(&ended)), (&json!("completed"), "Hello!"));
    remaining.upstream.received().await;
    remaining.shut_down().await;
}
