//! Callers who wait for a place: whoever comes too late hears it at once, whoever leaves was never there.

use reqwest::Method;
use serde_json::json;
use tokio::task::JoinHandle;
use tonic::{Code, Request};
use tonic_types::StatusExt;

use crate::{
    harness::{Events, World, error_of, hello, over_both_hops_with, soon},
    routing::{REPLY, grpc_hello, route, tried},
    upstream::{Gate, Reply, content, finish},
};

/// How a caller with very little time is answered: `overloaded` at once where the queue is full, else late.
async fn code(world: &World) -> String {
    let request = world.request(Method::POST, "/v1/chat/completions").header("x-request-timeout-ms", "1");
    let answer = soon("an answer", request.body(hello(&json!({}))).send()).await.unwrap();
    error_of(answer).await.1["code"].as_str().unwrap().to_owned()
}

/// Asks until the queue is as it shall be, three times in a row: whoever asks is in it as well for a moment.
async fn queue_is(world: &World, full: bool) {
    let wanted = if full { "overloaded" } else { "upstream_timeout" };
    let change = async {
        let mut seen = 0;
        while seen < 3 {
            seen = if code(world).await == wanted { seen + 1 } else { 0 };
        }
    };
    soon("the queue to change", change).await;
}

/// A caller by REST who comes again until there is room in the queue.
fn waiting(world: &World, rule: &str) -> JoinHandle<u16> {
    let request = world.request(Method::POST, "/v1/chat/completions");
    let request = request.header("x-triptych-on-disconnect", rule).body(hello(&json!({})));
    tokio::spawn(async move {
        loop {
            let status = request.try_clone().unwrap().send().await.unwrap().status().as_u16();
            if status != 429 {
                return status;
            }
        }
    })
}

/// The same by gRPC.
async fn waiting_by_grpc(world: &World, rule: &'static str) -> JoinHandle<Code> {
    let mut client = world.chat_client().await;
    tokio::spawn(async move {
        loop {
            let mut request = Request::new(grpc_hello());
            request.metadata_mut().insert("x-triptych-on-disconnect", rule.parse().unwrap());
            let code = client.create_chat(request).await.map_or_else(|status| status.code(), |_| Code::Ok);
            if code != Code::ResourceExhausted {
                return code;
            }
        }
    })
}

#[tokio::test]
async fn the_queue_overflows_with_a_hint_and_who_hangs_up_in_it_costs_no_upstream_anything() {
    over_both_hops_with(
        |settings, _| {
            route(settings, None);
            (settings.chat.upstreams[0].max_in_flight, settings.chat.upstreams[0].queue) = (1, 1);
        },
        async |world| {
            let gate = Gate::new();
            world.upstream.will(Reply::stream().send(&content("x")).hold(&gate).send(&finish("stop")));
            let mut held = Events::of(world.chat(hello(&json!({"stream": true}))).await);
            assert!(held.next().await.is_some());
            world.upstream.saw().await;

            for rule in ["cancel", "continue"] {
                let queued = waiting(world, rule);
                queue_is(world, true).await;
                let answer = world.chat(hello(&json!({}))).await;
                assert_eq!(answer.headers()["retry-after"], "1");
                assert_eq!(error_of(answer).await.0.as_u16(), 429);
                queued.abort();
                queue_is(world, false).await;

                let queued = waiting_by_grpc(world, rule).await;
                queue_is(world, true).await;
                let refused = world.chat_client().await.create_chat(grpc_hello()).await.unwrap_err();
                assert_eq!(refused.code(), Code::ResourceExhausted);
                assert!(refused.get_error_details().retry_info().is_some(), "{refused:?}");
                queued.abort();
                queue_is(world, false).await;
            }

            gate.open();
            assert_eq!(held.rest().await.last().unwrap(), "data: [DONE]");
            world.upstream.saw_nothing().await;
            world.upstream.will(Reply::new(200, REPLY));
            assert_eq!(tried(world).await, "a=ok");
            world.upstream.saw().await;
        },
    )
    .await;
}

#[tokio::test]
async fn whoever_waits_is_served_when_the_place_is_free() {
    over_both_hops_with(
        |settings, _| {
            route(settings, None);
            (settings.chat.upstreams[0].max_in_flight, settings.chat.upstreams[0].queue) = (1, 1);
        },
        async |world| {
            let gate = Gate::new();
            world.upstream.will(Reply::stream().send(&content("x")).hold(&gate).send(&finish("stop")));
            world.upstream.will(Reply::new(200, REPLY));
            let mut held = Events::of(world.chat(hello(&json!({"stream": true}))).await);
            assert!(held.next().await.is_some());
            let queued = waiting(world, "cancel");
            queue_is(world, true).await;
            world.upstream.saw().await;
            world.upstream.saw_nothing().await;
            gate.open();
            assert_eq!(held.rest().await.last().unwrap(), "data: [DONE]");
            assert_eq!(soon("an answer", queued).await.unwrap(), 200);
            world.upstream.saw().await;
        },
    )
    .await;
}
