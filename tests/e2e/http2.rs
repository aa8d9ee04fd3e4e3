//! HTTP/2 by REST: one connection has many calls, and hanging up on one of them is a reset that leaves the others alone.

use reqwest::{Client, Method, RequestBuilder, Version};
use serde_json::json;

use crate::{
    harness::{Events, World, hello, over_both_hops, soon},
    upstream::{Gate, Reply, content, finish},
};

fn request(client: &Client, world: &World, stream: bool) -> RequestBuilder {
    let request = client.request(Method::POST, world.url("/v1/chat/completions"));
    request.header("content-type", "application/json").body(hello(&json!({"stream": stream})))
}

async fn streamed(client: &Client, world: &World, reply: Reply) -> Events {
    world.upstream.will(reply);
    let answer = soon("an answer", request(client, world, true).send()).await.unwrap();
    assert_eq!(answer.version(), Version::HTTP_2);
    let mut events = Events::of(answer);
    assert!(events.next().await.is_some());
    world.upstream.saw().await;
    events
}

#[tokio::test]
async fn a_reset_frees_the_upstream_and_the_other_calls_of_the_connection_go_on() {
    over_both_hops(async |world| {
        let client = Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
        let gate = Gate::new();
        let held = Reply::stream().send(&content("a")).hold(&gate).send(&finish("stop")).send("data: [DONE]\n\n");
        let stays = streamed(&client, world, held).await;
        let leaves = streamed(&client, world, Reply::stream().send(&content("a")).stall()).await;
        drop(leaves);
        world.upstream.was_left().await;

        for stream in [false, true] {
            world.upstream.will(Reply::silence());
            tokio::select! {
                biased;
                _ = world.upstream.saw() => {}
                answer = request(&client, world, stream).send() => panic!("{answer:?}"),
            }
            world.upstream.was_left().await;
        }

        gate.open();
        assert_eq!(stays.rest().await.last().unwrap(), "data: [DONE]");
    })
    .await;
}
