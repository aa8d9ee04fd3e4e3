//! HTTP/2 by REST: one connection has many calls, and hanging up on one of them is a reset that leaves the others alone.

use reqwest::{Client, Method, RequestBuilder, Version};
use serde_json::json;

use crate::{
    fake_upstream::{Gate, Reply, content_event, finish_event},
    responses::Events,
    test_server::{TestServer, chat_body, over_both_hops, within_timeout},
};

fn request(client: &Client, server: &TestServer, stream: bool) -> RequestBuilder {
    let request = client.request(Method::POST, server.url("/v1/chat/completions"));
    request.header("content-type", "application/json").body(chat_body(&json!({"stream": stream})))
}

async fn streamed(client: &Client, server: &TestServer, reply: Reply) -> Events {
    server.upstream.enqueue(reply);
    let response = within_timeout("a response", request(client, server, true).send()).await.unwrap();
    assert_eq!(response.version(), Version::HTTP_2);
    let mut events = Events::new(response);
    assert!(events.next().await.is_some());
    server.upstream.received().await;
    events
}

#[tokio::test]
async fn a_reset_frees_the_upstream_and_the_other_calls_of_the_connection_go_on() {
    over_both_hops(async |server| {
        let client = Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
        let gate = Gate::new();
        let held = Reply::stream()
            .send(&content_event("a"))
            .wait_for(&gate)
            .send(&finish_event("stop"))
            .send("data: [DONE]\n\n");
        let stays = streamed(&client, server, held).await;
        let leaves = streamed(&client, server, Reply::stream().send(&content_event("a")).stall()).await;
        drop(leaves);
        server.upstream.disconnected().await;

        for stream in [false, true] {
            server.upstream.enqueue(Reply::no_response());
            tokio::select! {
                biased;
                _ = server.upstream.received() => {}
                response = request(&client, server, stream).send() => panic!("{response:?}"),
            }
            server.upstream.disconnected().await;
        }

        gate.open();
        assert_eq!(stays.read_all().await.last().unwrap(), "data: [DONE]");
    })
    .await;
}
