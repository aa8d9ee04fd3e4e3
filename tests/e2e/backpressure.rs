//! Backpressure from slow clients to the upstream, large chunks, and disconnects.

use futures_util::StreamExt;
use rest_gateway::core_client::{ConnectOptions, CoreServices};
use serde_json::json;
use tonic::Request;
use triptych_proto::v1::{self as pb, chat_message::Content};

use crate::{
    fake_upstream::{ByteCounter, Reply, content_event, finish_event},
    rest_response::{Events, event_data},
    test_server::{chat_body, with_local_and_remote_core, within_timeout},
};

/// Length of the content of one chunk that the upstream sends.
const CHUNK_BYTES: usize = 64 << 10;
/// Bytes that the upstream sends if nothing stops it.
const TOTAL_BYTES: usize = 96 << 20;
/// More than all socket buffers on the way can hold, some 10 MiB each, and far less than [`TOTAL_BYTES`].
const MAX_BUFFERED_BYTES: usize = 64 << 20;

fn grpc_stream_request() -> pb::StreamChatRequest {
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

/// Yields to the other tasks until 2000 times in a row the upstream has sent nothing more, and returns the bytes sent.
async fn wait_until_stalled(counter: &ByteCounter) -> usize {
    let (mut sent, mut unchanged) = (counter.sent(), 0);
    while unchanged < 2000 {
        tokio::task::yield_now().await;
        let now = counter.sent();
        unchanged = if now == sent { unchanged + 1 } else { 0 };
        sent = now;
    }
    sent
}

#[tokio::test]
async fn client_that_stops_reading_stalls_the_upstream_until_it_disconnects() {
    let chunk = content_event(&"x".repeat(CHUNK_BYTES));
    with_local_and_remote_core(async |server| {
        let counter = ByteCounter::default();
        server.upstream.enqueue(Reply::stream().flood(&chunk, TOTAL_BYTES, &counter));
        let mut events = Events::new(server.chat(chat_body(&json!({"stream": true}))).await);
        events.next().await.unwrap();
        server.upstream.received().await;
        let sent = wait_until_stalled(&counter).await;
        assert!(sent < MAX_BUFFERED_BYTES, "{sent} bytes were read for a REST client that does not read");
        for _ in 0..16 {
            assert!(events.next().await.unwrap().len() > CHUNK_BYTES);
        }
        drop(events);
        server.upstream.disconnected().await;

        let counter = ByteCounter::default();
        server.upstream.enqueue(Reply::stream().flood(&chunk, TOTAL_BYTES, &counter));
        let mut client = server.chat_client().await;
        let mut chunks = client.stream_chat(grpc_stream_request()).await.unwrap().into_inner();
        chunks.next().await.unwrap().unwrap();
        server.upstream.received().await;
        let sent = wait_until_stalled(&counter).await;
        assert!(sent < MAX_BUFFERED_BYTES, "{sent} bytes were read for a gRPC client that does not read");
        for _ in 0..16 {
            within_timeout("a chunk", chunks.next()).await.unwrap().unwrap();
        }
        drop(chunks);
        server.upstream.disconnected().await;
    })
    .await;
}

/// A gateway reaches a remote core over one connection, which unread chunks of a slow client must not close for the others.
#[tokio::test]
async fn unread_chunks_of_slow_clients_do_not_close_the_connection_to_the_core() {
    let chunk = content_event("x");
    with_local_and_remote_core(async |server| {
        let core = CoreServices::connect(&format!("http://{}", server.grpc), ConnectOptions::default()).unwrap();
        let mut responses = Vec::new();
        for _ in 0..4 {
            let counter = ByteCounter::default();
            let flood = Reply::stream().flood(&chunk, 2000 * chunk.len(), &counter);
            server.upstream.enqueue(flood.send(&finish_event("stop")).send("data: [DONE]\n\n"));
            responses.push(core.chat.stream_chat(Request::new(grpc_stream_request())).await.unwrap().into_inner());
            server.upstream.received().await;
            wait_until_stalled(&counter).await;
        }
        // This call's response is behind the unread chunks.
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
async fn chunk_larger_than_every_buffer_arrives_complete() {
    // 3 MiB in UTF-8.
    let large = "é".repeat(3 << 19);
    with_local_and_remote_core(async |server| {
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
        let mut chunks = server.chat_client().await.stream_chat(grpc_stream_request()).await.unwrap().into_inner();
        let first = within_timeout("a chunk", chunks.next()).await.unwrap().unwrap();
        server.upstream.received().await;
        assert!(first.choices[0].delta.as_ref().unwrap().content.as_ref() == Some(&large));
    })
    .await;
}

#[tokio::test]
async fn grpc_cancel_before_the_response_closes_the_upstream_connection() {
    with_local_and_remote_core(async |server| {
        let mut client = server.chat_client().await;
        let unary_request = pb::CreateChatRequest { chat: grpc_stream_request().chat, ..Default::default() };
        server.upstream.enqueue(Reply::no_response());
        tokio::select! {
            response = client.create_chat(unary_request) => panic!("{response:?}"),
            _ = server.upstream.received() => {}
        }
        server.upstream.disconnected().await;

        server.upstream.enqueue(Reply::no_response());
        tokio::select! {
            response = client.stream_chat(grpc_stream_request()) => panic!("{response:?}"),
            _ = server.upstream.received() => {}
        }
        server.upstream.disconnected().await;
    })
    .await;
}
