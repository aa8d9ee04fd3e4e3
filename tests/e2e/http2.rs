//! REST over HTTP/2: many calls on one connection, of which a client may reset one.

use reqwest::{Client, Method, RequestBuilder, Version};
use serde_json::json;

use crate::{
    fake_upstream::{Latch, Reply, content_event, finish_event},
    rest_response::Events,
    test_server::{TestServer, chat_body, with_local_and_remote_core, within_timeout},
};

fn request(client: &Client, server: &TestServer, stream: bool) -> RequestBuilder {
    let request = client.request(Method::POST, server.url("/v1/chat/completions"));
    request.header("content-type", "application/json").body(chat_body(&json!({"stream": stream})))
}

/// Begins a stream and reads its first event.
async fn begin_stream(client: &Client, server: &TestServer, reply: Reply) -> Events {
    server.upstream.enqueue(reply);
    let response = within_timeout("a response", request(client, server, true).send()).await.unwrap();
    assert_eq!(response.version(), Version::HTTP_2);
    let mut events = Events::new(response);
    assert!(events.next().await.is_some());
    server.upstream.received().await;
    events
}

#[tokio::test]
async fn stream_reset_closes_the_upstream_connection_and_no_other_call() {
    with_local_and_remote_core(async |server| {
        let client = Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
        let gate = Latch::new();
        let waiting = Reply::stream()
            .send(&content_event("a"))
            .wait_for(&gate)
            .send(&finish_event("stop"))
            .send("data: [DONE]\n\n");
        let kept = begin_stream(&client, server, waiting).await;
        let reset = begin_stream(&client, server, Reply::stream().send(&content_event("a")).stall()).await;
        drop(reset);
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
        assert_eq!(kept.read_all().await.last().unwrap(), "data: [DONE]");
    })
    .await;
}
