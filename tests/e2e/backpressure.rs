//! Readers that are slow, chunks that are large, callers that leave: what an upstream feels of them.

use futures_util::StreamExt;
use rest_gateway::core::{Core, Limits};
use serde_json::json;
use tonic::Request;
use triptych_proto::v1::{self as pb, chat_message::Content};

use crate::{
    fake_upstream::{ByteCounter, Reply, content_event, finish_event},
    responses::{Events, event_data},
    test_server::{chat_body, over_both_hops, within_timeout},
};

/// What one chunk of the flood says.
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
async fn settled(counter: &ByteCounter) -> usize {
    let (mut sent, mut unmoved) = (counter.sent(), 0);
    while unmoved < 2000 {
        tokio::task::yield_now().await;
        let now = counter.sent();
        unmoved = if now == sent { unmoved + 1 } else { 0 };
        sent = now;
    }
    sent
}

#[tokio::test]
async fn a_reader_who_stops_stalls_the_upstream_and_one_who_leaves_frees_it() {
    let chunk = content_event(&"x".repeat(PIECE));
    over_both_hops(async |server| {
        let counter = ByteCounter::default();
        server.upstream.enqueue(Reply::stream().flood(&chunk, FLOOD, &counter));
        let mut events = Events::new(server.chat(chat_body(&json!({"stream": true}))).await);
        events.next().await.unwrap();
        server.upstream.received().await;
        let sent = settled(&counter).await;
        assert!(sent < HELD, "{sent} bytes are held for a REST reader who does not read");
        for _ in 0..16 {
            assert!(events.next().await.unwrap().len() > PIECE);
        }
        drop(events);
        server.upstream.disconnected().await;

        let counter = ByteCounter::default();
        server.upstream.enqueue(Reply::stream().flood(&chunk, FLOOD, &counter));
        let mut client = server.chat_client().await;
        let mut chunks = client.stream_chat(ask()).await.unwrap().into_inner();
        chunks.next().await.unwrap().unwrap();
        server.upstream.received().await;
        let sent = settled(&counter).await;
        assert!(sent < HELD, "{sent} bytes are held for a gRPC reader who does not read");
        for _ in 0..16 {
            within_timeout("a chunk", chunks.next()).await.unwrap().unwrap();
        }
        drop(chunks);
        server.upstream.disconnected().await;
    })
    .await;
}

/// A core far away is reached over one connection: a reader who lags behind must not end it for all others.
#[tokio::test]
async fn small_pieces_that_wait_for_their_readers_do_not_end_the_connection_to_the_core() {
    let chunk = content_event("x");
    over_both_hops(async |server| {
        let core = Core::connect(&format!("http://{}", server.grpc), Limits::default()).unwrap();
        let mut responses = Vec::new();
        for _ in 0..4 {
            let counter = ByteCounter::default();
            let flood = Reply::stream().flood(&chunk, 2000 * chunk.len(), &counter);
            server.upstream.enqueue(flood.send(&finish_event("stop")).send("data: [DONE]\n\n"));
            responses.push(core.chat.stream_chat(Request::new(ask())).await.unwrap().into_inner());
            server.upstream.received().await;
            settled(&counter).await;
        }
        // Answered behind what waits.
        let listed = core.model.list_models(Request::new(pb::ListModelsRequest::default()));
        within_timeout("the models", listed).await.unwrap();
        for response in responses {
            let chunks: Vec<_> = within_timeout("the chunks", response.collect()).await;
            assert!(chunks.iter().all(Result::is_ok), "{:?}", chunks.last());
            assert!(chunks.len() > 1000, "{} chunks", chunks.len());
        }
    })
    .await;
}

#[tokio::test]
async fn a_chunk_larger_than_any_buffer_comes_whole() {
    let large = "é".repeat(3 << 19);
    over_both_hops(async |server| {
        let reply =
            || Reply::stream().send(&content_event(&large)).send(&finish_event("stop")).send("data: [DONE]\n\n");
        server.upstream.enqueue(reply());
        let events = Events::new(server.chat(chat_body(&json!({"stream": true}))).await).read_all().await;
        server.upstream.received().await;
        assert!(
            event_data(&events[0])["choices"][0]["delta"]["content"] == large.as_str(),
            "{} bytes",
            events[0].len()
        );
        assert_eq!(events.len(), 3);

        server.upstream.enqueue(reply());
        let mut chunks = server.chat_client().await.stream_chat(ask()).await.unwrap().into_inner();
        let first = within_timeout("a chunk", chunks.next()).await.unwrap().unwrap();
        server.upstream.received().await;
        assert!(first.choices[0].delta.as_ref().unwrap().content.as_ref() == Some(&large));
    })
    .await;
}

#[tokio::test]
async fn a_grpc_caller_who_leaves_before_the_answer_frees_the_upstream() {
    over_both_hops(async |server| {
        let mut client = server.chat_client().await;
        let whole = pb::CreateChatRequest { chat: ask().chat, ..Default::default() };
        server.upstream.enqueue(Reply::no_response());
        tokio::select! {
            response = client.create_chat(whole) => panic!("{response:?}"),
            _ = server.upstream.received() => {}
        }
        server.upstream.disconnected().await;

        server.upstream.enqueue(Reply::no_response());
        tokio::select! {
            response = client.stream_chat(ask()) => panic!("{response:?}"),
            _ = server.upstream.received() => {}
        }
        server.upstream.disconnected().await;
    })
    .await;
}
