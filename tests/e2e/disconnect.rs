//! What becomes of an answer whose caller hangs up, by the rule that somebody chose.

use std::{cell::Cell, time::Duration};

use core_service::chat::on_disconnect::OnDisconnect;
use reqwest::Method;
use serde_json::{Value, json};
use tonic::{Code, Request};
use tonic_types::StatusExt;
use triptych_proto::v1 as pb;

use crate::{
    harness::{Events, MODEL, World, error_of, hello, over_both_hops, over_both_hops_with, soon},
    routing::{REPLY, grpc_hello, route, tried},
    upstream::{Meter, Reply, Upstream, content, finish},
};

const RULE: &str = "x-triptych-on-disconnect";
/// More than the sockets on the way hold: whoever gets rid of it all was read to the end.
const POURED: usize = 48 << 20;

/// A stream of one piece and then more than fits anywhere.
pub(crate) fn long_stream() -> Reply {
    let piece = content(&"x".repeat(64 << 10));
    Reply::stream().send(&content("a")).pour(&piece, POURED, &Meter::default()).send(&finish("stop"))
}

/// A whole answer with as many blank lines before it.
fn long_reply() -> Reply {
    Reply::new(200, "").pour(&"\n".repeat(64 << 10), POURED, &Meter::default()).send(REPLY)
}

fn rest(world: &World, rule: &str, members: &Value) -> reqwest::RequestBuilder {
    let request = world.request(Method::POST, "/v1/chat/completions").header(RULE, rule);
    request.header("content-type", "application/json").body(hello(members))
}

fn grpc<T>(rule: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert(RULE, rule.parse().unwrap());
    request
}

fn grpc_stream() -> pb::StreamChatRequest {
    pb::StreamChatRequest { chat: grpc_hello().chat, ..pb::StreamChatRequest::default() }
}

/// Reads the first piece of a stream by REST, and one by gRPC, and leaves.
async fn leave_streams(world: &World, rule: &str, reply: &Reply, mut then: impl AsyncFnMut(&World)) {
    world.upstream.will(reply.clone());
    let answer = soon("an answer", rest(world, rule, &json!({"stream": true})).send()).await.unwrap();
    let mut events = Events::of(answer);
    assert!(events.next().await.unwrap().contains("\"a\""));
    world.upstream.saw().await;
    drop(events);
    then(world).await;

    world.upstream.will(reply.clone());
    let answer = world.chat_client().await.stream_chat(grpc(rule, grpc_stream())).await.unwrap();
    let mut pieces = answer.into_inner();
    assert!(soon("a piece", pieces.message()).await.unwrap().is_some());
    world.upstream.saw().await;
    drop(pieces);
    then(world).await;
}

/// Asks for a whole answer by REST, and for one by gRPC, and leaves when the upstream has the request.
async fn leave_replies(world: &World, rule: &str, reply: &Reply, mut then: impl AsyncFnMut(&World)) {
    world.upstream.will(reply.clone());
    tokio::select! {
        biased;
        _ = world.upstream.saw() => {}
        answer = rest(world, rule, &json!({})).send() => panic!("{answer:?}"),
    }
    then(world).await;

    world.upstream.will(reply.clone());
    let mut client = world.chat_client().await;
    tokio::select! {
        biased;
        _ = world.upstream.saw() => {}
        answer = client.create_chat(grpc(rule, grpc_hello())) => panic!("{answer:?}"),
    }
    then(world).await;
}

async fn in_flight(world: &World) -> Value {
    let answer = soon("an answer", world.request(Method::GET, &format!("/v1/models/{MODEL}")).send()).await.unwrap();
    let model: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    model["targets"][0]["in_flight"].clone()
}

#[tokio::test]
async fn continue_reads_the_answer_to_its_end_and_keeps_its_place_until_then() {
    over_both_hops_with(
        |settings, _| {
            route(settings, None);
            settings.chat.upstreams[0].max_in_flight = 1;
        },
        async |world| {
            let read = async |world: &World| {
                world.upstream.was_read().await;
                soon("the place", async { while in_flight(world).await != 0 {} }).await;
            };
            leave_streams(world, "continue", &long_stream(), read).await;
            leave_replies(world, "continue", &long_reply(), read).await;
            world.upstream.will(Reply::new(200, REPLY));
            assert_eq!(tried(world).await, "a=ok");
            world.upstream.saw().await;
        },
    )
    .await;
}

#[tokio::test]
async fn a_caller_who_stays_gets_the_same_answer_under_every_rule() {
    over_both_hops(async |world| {
        for rule in ["cancel", "continue", "5", "5s"] {
            world.upstream.will(Reply::saying(&["a", "b"]));
            let answer = soon("an answer", rest(world, rule, &json!({"stream": true})).send()).await.unwrap();
            assert_eq!(answer.headers()["x-triptych-attempts"], "upstream=ok", "{rule}");
            let events = Events::of(answer).rest().await;
            assert_eq!((events.len(), events[3].as_str()), (4, "data: [DONE]"), "{rule}: {events:?}");
            world.upstream.will(Reply::new(200, REPLY));
            let answer = soon("an answer", rest(world, rule, &json!({})).send()).await.unwrap();
            assert_eq!(answer.headers()["x-triptych-attempts"], "upstream=ok", "{rule}");
            assert!(answer.text().await.unwrap().contains("\"Hi\""), "{rule}");
            world.upstream.saw().await;
            world.upstream.saw().await;

            world.upstream.will(Reply::new(400, r#"{"error":{"message":"no"}}"#));
            let answer = soon("an answer", rest(world, rule, &json!({"stream": true})).send()).await.unwrap();
            assert_eq!(error_of(answer).await.1["code"], "upstream_refused", "{rule}");
            world.upstream.saw().await;
        }
    })
    .await;
}

#[tokio::test]
async fn cancel_closes_the_upstreams_connection_though_the_operator_says_continue() {
    over_both_hops_with(
        |settings, _| settings.chat.on_disconnect = OnDisconnect::Continue,
        async |world| {
            let left = async |world: &World| world.upstream.was_left().await;
            leave_streams(world, "cancel", &Reply::stream().send(&content("a")).stall(), left).await;
            leave_replies(world, "cancel", &Reply::silence(), left).await;
        },
    )
    .await;
}

#[tokio::test]
async fn grace_cuts_an_answer_that_takes_too_long_and_the_operators_rule_holds_where_the_call_has_none() {
    over_both_hops_with(
        |settings, _| settings.chat.on_disconnect = OnDisconnect::Grace(Duration::from_millis(20)),
        async |world| {
            world.upstream.will(Reply::stream().send(&content("a")).stall());
            let mut events = Events::of(world.chat(hello(&json!({"stream": true}))).await);
            assert!(events.next().await.is_some());
            world.upstream.saw().await;
            drop(events);
            world.upstream.was_left().await;
        },
    )
    .await;
    over_both_hops(async |world| {
        leave_streams(world, "60", &long_stream(), async |world| world.upstream.was_read().await).await;
    })
    .await;
}

#[tokio::test]
async fn a_server_that_goes_down_waits_for_an_answer_that_nobody_reads_any_more() {
    let other = Upstream::start().await;
    let hops = Cell::new(0);
    over_both_hops_with(
        |settings, _| settings.chat.base_url = Some(format!("http://{}/v1", other.address).parse().unwrap()),
        async |world| {
            if hops.replace(hops.get() + 1) > 0 {
                other.was_read().await;
            }
            // The world goes down after this, with the answer still under way.
            other.will(long_stream());
            let answer = soon("an answer", rest(world, "continue", &json!({"stream": true})).send()).await.unwrap();
            assert!(Events::of(answer).next().await.is_some());
            other.saw().await;
        },
    )
    .await;
    other.was_read().await;
}

#[tokio::test]
async fn a_rule_that_is_none_is_refused_by_both_doors() {
    over_both_hops(async |world| {
        for stream in [false, true] {
            let answer = soon("an answer", rest(world, "later", &json!({"stream": stream})).send()).await.unwrap();
            let (status, error) = error_of(answer).await;
            assert_eq!((status.as_u16(), &error["param"]), (400, &json!(RULE)), "{error}");
        }
        let refused = world.chat_client().await.create_chat(grpc("later", grpc_hello())).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert_eq!(refused.get_details_bad_request().unwrap().field_violations[0].field, RULE);
    })
    .await;
}
