//! Readers that are slow, chunks that are large, callers that leave: what an upstream feels of them.

use futures_util::StreamExt;
use rest_gateway::core_client::{ConnectOptions, CoreServices};
use serde_json::json;
use tonic::Request;
use triptych_proto::v1::{self as pb, chat_message::Content};

use crate::{
    harness::{Events, data, hello, over_both_hops, soon},
    upstream::{Meter, Reply, content, finish},
};

/// What one piece of the flood says.
const PIECE: usize = 64 << 10;
/// How much the upstream would pour out at once if nobody held it back.
const FLOOD: usize = 96 << 20;
/// More than all sockets on the way can hold, some 10 MiB each, and far less than the flood.
const HELD: usize = 64 << 20;

fn ask() -> pb::StreamChatRequest {
    let message = pb::ChatMessage {
        role: "user".to_owned(),
        content: Some(Content::Text("Hello".to_owned())),
        ..Default::default()
    };
    pb::StreamChatRequest {
        chat: Some(pb::ChatRequest { messages: vec![message], ..Default::default() }),
        ..Default::default()
    }
}

/// Lets everybody else work until the upstream writes no more.
async fn settled(meter: &Meter) -> usize {
    let (mut sent, mut unmoved) = (meter.sent(), 0);
    while unmoved < 2000 {
        tokio::task::yield_now().await;
        let now = meter.sent();
        unmoved = if now == sent { unmoved + 1 } else { 0 };
        sent = now;
    }
    sent
}

#[tokio::test]
async fn a_reader_who_stops_stalls_the_upstream_and_one_who_leaves_frees_it() {
    let piece = content(&"x".repeat(PIECE));
    over_both_hops(async |world| {
        let meter = Meter::default();
        world.upstream.will(Reply::stream().pour(&piece, FLOOD, &meter));
        let mut events = Events::of(world.chat(hello(&json!({"stream": true}))).await);
        events.next().await.unwrap();
        world.upstream.saw().await;
        let sent = settled(&meter).await;
        assert!(sent < HELD, "{sent} bytes are held for a REST reader who does not read");
        for _ in 0..16 {
            assert!(events.next().await.unwrap().len() > PIECE);
        }
        drop(events);
        world.upstream.was_left().await;

        let meter = Meter::default();
        world.upstream.will(Reply::stream().pour(&piece, FLOOD, &meter));
        let mut client = world.chat_client().await;
        let mut pieces = client.stream_chat(ask()).await.unwrap().into_inner();
        pieces.next().await.unwrap().unwrap();
        world.upstream.saw().await;
        let sent = settled(&meter).await;
        assert!(sent < HELD, "{sent} bytes are held for a gRPC reader who does not read");
        for _ in 0..16 {
            soon("a piece", pieces.next()).await.unwrap().unwrap();
        }
        drop(pieces);
        world.upstream.was_left().await;
    })
    .await;
}

/// A core far away is reached over one connection: a reader who lags behind must not end it for all others.
#[tokio::test]
async fn small_pieces_that_wait_for_their_readers_do_not_end_the_connection_to_the_core() {
    let piece = content("x");
    over_both_hops(async |world| {
        let core = CoreServices::connect(&format!("http://{}", world.grpc), ConnectOptions::default()).unwrap();
        let mut answers = Vec::new();
        for _ in 0..4 {
            let meter = Meter::default();
            let flood = Reply::stream().pour(&piece, 2000 * piece.len(), &meter);
            world.upstream.will(flood.send(&finish("stop")).send("data: [DONE]\n\n"));
            answers.push(core.chat.stream_chat(Request::new(ask())).await.unwrap().into_inner());
            world.upstream.saw().await;
            settled(&meter).await;
        }
        // Answered behind what waits.
        let listed = core.model.list_models(Request::new(pb::ListModelsRequest::default()));
        soon("the models", listed).await.unwrap();
        for answer in answers {
            let pieces: Vec<_> = soon("the pieces", answer.collect()).await;
            assert!(pieces.iter().all(Result::is_ok), "{:?}", pieces.last());
            assert!(pieces.len() > 1000, "{} pieces", pieces.len());
        }
    })
    .await;
}

#[tokio::test]
async fn a_chunk_larger_than_any_buffer_comes_whole() {
    let large = "é".repeat(3 << 19);
    over_both_hops(async |world| {
        let reply = || Reply::stream().send(&content(&large)).send(&finish("stop")).send("data: [DONE]\n\n");
        world.upstream.will(reply());
        let events = Events::of(world.chat(hello(&json!({"stream": true}))).await).rest().await;
        world.upstream.saw().await;
        assert!(data(&events[0])["choices"][0]["delta"]["content"] == large.as_str(), "{} bytes", events[0].len());
        assert_eq!(events.len(), 3);

        world.upstream.will(reply());
        let mut pieces = world.chat_client().await.stream_chat(ask()).await.unwrap().into_inner();
        let first = soon("a piece", pieces.next()).await.unwrap().unwrap();
        world.upstream.saw().await;
        assert!(first.choices[0].delta.as_ref().unwrap().content.as_ref() == Some(&large));
    })
    .await;
}

#[tokio::test]
async fn a_grpc_caller_who_leaves_before_the_answer_frees_the_upstream() {
    over_both_hops(async |world| {
        let mut client = world.chat_client().await;
        let whole = pb::CreateChatRequest { chat: ask().chat, ..Default::default() };
        world.upstream.will(Reply::silence());
        tokio::select! {
            answer = client.create_chat(whole) => panic!("{answer:?}"),
            _ = world.upstream.saw() => {}
        }
        world.upstream.was_left().await;

        world.upstream.will(Reply::silence());
        tokio::select! {
            answer = client.stream_chat(ask()) => panic!("{answer:?}"),
            _ = world.upstream.saw() => {}
        }
        world.upstream.was_left().await;
    })
    .await;
}
