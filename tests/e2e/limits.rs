//! Bounds in time: each of them ends a call whose upstream does not, at both doors, and frees the upstream.

use std::time::Duration;

use core_service::config::Settings;
use serde_json::json;
use tonic::Status;
use tonic_types::StatusExt;
use triptych_proto::v1 as pb;

use crate::{
    harness::{Events, World, data, error_of, hello, over_both_hops_with, soon},
    routing::grpc_hello,
    upstream::{Meter, Reply, content},
};

/// Long enough for a first piece on a busy machine, where one must come before; short enough to be waited for.
const SHORT: Duration = Duration::from_millis(100);
/// More than can be sent before any test is over.
const ENDLESS: usize = usize::MAX / 2;

/// The codes of the failures that a call ends in, by REST and by gRPC. `replied`: whether its upstream hears of it.
async fn failures(world: &World, stream: bool, reply: &Reply, replied: bool) -> [String; 2] {
    let heard = async || {
        if replied {
            world.upstream.saw().await;
            world.upstream.was_left().await;
        }
    };
    world.upstream.will(reply.clone());
    let answer = world.chat(hello(&json!({"stream": stream}))).await;
    let error = if answer.status() == 200 {
        data(Events::of(answer).rest().await.last().unwrap())["error"].clone()
    } else {
        error_of(answer).await.1
    };
    heard().await;

    world.upstream.will(reply.clone());
    let status = soon("the failure", failure_by_grpc(world, stream)).await;
    heard().await;
    world.upstream.forget();
    let reason = status.get_error_details().error_info().unwrap().reason.to_ascii_lowercase();
    [error["code"].as_str().unwrap().to_owned(), reason]
}

async fn failure_by_grpc(world: &World, stream: bool) -> Status {
    let mut client = world.chat_client().await;
    if !stream {
        return client.create_chat(grpc_hello()).await.unwrap_err();
    }
    let ask = pb::StreamChatRequest { chat: grpc_hello().chat, ..pb::StreamChatRequest::default() };
    let mut pieces = match client.stream_chat(ask).await {
        Ok(answer) => answer.into_inner(),
        Err(status) => return status,
    };
    loop {
        match pieces.message().await {
            Ok(piece) => assert!(piece.is_some(), "the stream ended as if it were complete"),
            Err(status) => return status,
        }
    }
}

#[tokio::test]
async fn an_upstream_that_holds_is_given_up_when_its_limit_has_passed() {
    type Limit = fn(&mut Settings);
    let begun = || Reply::stream().send(&content("a"));
    let pour = |reply: Reply| reply.pour(&": still here\n\n".repeat(100), ENDLESS, &Meter::default());
    // the limit; and of each call what its upstream does, whether its answer is streamed, and that answer
    let first_byte: (Limit, Vec<_>) = (
        |settings| settings.chat.first_byte_timeout = SHORT,
        vec![
            ("no head", false, Reply::silence()),
            ("no head of a stream", true, Reply::silence()),
            ("no body", false, Reply::new(200, "").stall()),
            ("half a body", false, Reply::new(200, "{").stall()),
            ("no event", true, Reply::stream().stall()),
            ("only comments", true, pour(Reply::stream())),
            ("half a body instead of a stream", true, Reply::new(200, "{").stall()),
        ],
    );
    let idle: (Limit, Vec<_>) = (
        |settings| settings.chat.idle_timeout = SHORT,
        vec![("no second event", true, begun().stall()), ("half an event", true, begun().send("data: {").stall())],
    );
    let total: (Limit, Vec<_>) =
        (|settings| settings.chat.total_timeout = SHORT * 3, vec![("comments behind an event", true, pour(begun()))]);
    for (limit, rows) in [first_byte, idle, total] {
        let hops = over_both_hops_with(
            |settings, _| limit(settings),
            async |world| {
                for (what, stream, reply) in &rows {
                    assert_eq!(failures(world, *stream, reply, true).await, ["upstream_timeout"; 2], "{what}");
                }
            },
        );
        hops.await;
    }
}

#[tokio::test]
async fn a_connection_that_does_not_come_about_is_given_up_and_the_upstream_told_apart_from_a_slow_one() {
    // Takes connections, as any listening socket does, and never says a word of TLS.
    let deaf = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("https://{}/v1", deaf.local_addr().unwrap());
    over_both_hops_with(
        |settings, _| {
            settings.chat.base_url = Some(base.parse().unwrap());
            settings.chat.connect_timeout = SHORT;
        },
        async |world| {
            for stream in [false, true] {
                let failures = failures(world, stream, &Reply::silence(), false).await;
                assert_eq!(failures, ["upstream_unavailable"; 2], "{stream}");
            }
        },
    )
    .await;
}

/// Blank lines are read more slowly than they are sent, so the reader never has to wait for more.
#[tokio::test]
async fn an_upstream_that_never_pauses_and_says_nothing_is_held_to_the_limits() {
    let flood = || Reply::stream().send(&content("a")).pour(&"\n".repeat(64 << 10), ENDLESS, &Meter::default());
    let total = |settings: &mut Settings| settings.chat.total_timeout = SHORT * 3;
    over_both_hops_with(
        |settings, _| total(settings),
        async |world| assert_eq!(failures(world, true, &flood(), true).await, ["upstream_timeout"; 2]),
    )
    .await;
    over_both_hops_with(
        |_, _| (),
        async |world| {
            world.upstream.will(flood());
            let request = world.request(reqwest::Method::POST, "/v1/chat/completions");
            let request = request.header("x-request-timeout-ms", "500").body(hello(&json!({"stream": true})));
            let events = Events::of(soon("an answer", request.send()).await.unwrap()).rest().await;
            assert_eq!(data(events.last().unwrap())["error"]["code"], "upstream_timeout", "{events:#?}");
            world.upstream.saw().await;
            world.upstream.was_left().await;
        },
    )
    .await;
}
