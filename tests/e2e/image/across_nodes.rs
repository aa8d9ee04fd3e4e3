//! Repeated image requests that reach different nodes.

use futures_util::future::join_all;
use reqwest::{Method, Url};
use serde_json::{Value, json};

use super::{
    openai::{configure, fixture},
    provider_case::{GENERATIONS, json_body},
};
use crate::{
    fake_upstream::{Latch, Reply},
    postgres::two_nodes,
    rest_response::error_body,
    test_server::{TestServer, within_timeout},
};

async fn create(server: &TestServer, key: &str, format: &str) -> reqwest::Response {
    let body = json!({"model": "gpt-image-1", "prompt": "a cat", "size": "64x64", "response_format": format});
    let request = server.request(Method::POST, GENERATIONS).header("content-type", "application/json");
    let request = request.header("idempotency-key", key).body(body.to_string());
    within_timeout("a response", request.send()).await.unwrap()
}

#[tokio::test]
async fn twenty_requests_with_one_key_over_two_nodes_call_the_upstream_once() {
    // Without PostgreSQL there are no nodes with a common database, and nothing to test.
    let Some((mut nodes, _media)) = two_nodes("images", configure).await else { return };
    for format in ["url", "b64_json"] {
        let gate = Latch::new();
        let text = fixture(&nodes[0], "gpt-image.json");
        nodes[0].upstream.enqueue_at(GENERATIONS, Reply::new(200, "").wait_for(&gate).send(&text));
        let others = async {
            nodes[0].upstream.received().await;
            let others = join_all((1..20).map(|index| create(&nodes[index % 2], format, format)));
            let open_gate = async { gate.open() };
            tokio::join!(others, open_gate).0
        };
        let (first, others) = tokio::join!(create(&nodes[0], format, format), others);
        let first: Value = json_body(first).await;
        for other in others {
            let other = json_body(other).await;
            // Links have the address of the node.
            let (expected, found) = (&first["data"][0], &other["data"][0]);
            assert_eq!(expected["b64_json"], found["b64_json"]);
            assert_eq!((&first["created"], &first["usage"]), (&other["created"], &other["usage"]), "{other}");
            if let Some(url) = found["url"].as_str() {
                let link: Url = url.parse().unwrap();
                let target = format!("{}?{}", link.path(), link.query().unwrap_or_default());
                let file = within_timeout("the file", nodes[1].request(Method::GET, &target).send()).await.unwrap();
                assert_eq!(file.status(), 200);
            }
        }
        for node in &nodes {
            node.upstream.assert_no_request().await;
        }
    }
    let other_request = create(&nodes[1], "url", "b64_json").await;
    let (status, error) = error_body(other_request).await;
    assert_eq!((status.as_u16(), error["code"].as_str()), (409, Some("idempotency_conflict")));
    for node in &mut nodes {
        node.shut_down().await;
    }
}
