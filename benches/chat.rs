//! Benchmarks of a chat call: conversion in both directions, the call from gateway to core, one streamed chunk.
//!
//! `cargo bench --bench chat`

#![expect(clippy::unwrap_used, reason = "a failure stops the benchmark")]

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use core_service::{
    call::Chunks,
    chat::{
        ChatCall, ChatProvider,
        detached::DetachedCalls,
        files::ChatFiles,
        grpc::ChatGrpc,
        routing::{Routed, Target, policy::Weighted},
    },
    config,
    error::ProviderError,
    keys::Keys,
    live::Live,
    media::{PictureBudget, input::InputSettings},
    models::{Entry, Models},
    on_disconnect::OnDisconnect,
    upstream::{BreakerSettings, ConcurrencyLimit, RetrySettings},
};
use divan::{Bencher, black_box, counter::ItemsCount};
use futures_util::{StreamExt, stream};
use openai_dialect::chat::{
    ChunkWriter, MissingUsage, Streaming, read_chunk, read_request, read_response, write_chunk, write_request,
    write_response,
};
use tokio::runtime::{Builder, Runtime};
use tonic::Request;
use triptych_proto::{
    chat_stream::ChatChunk,
    v1::{self as pb, chat_service_server::ChatService},
};

fn main() {
    divan::main();
}

/// About 1 KiB, as an assistant with one tool sends it.
const REQUEST: &str = r#"{"model":"qwen3-next-80b-a3b-instruct","messages":[{"role":"system","content":"You are a careful assistant who answers briefly and says so when something is not known."},{"role":"user","content":"How is the weather in Paris today, and would you take an umbrella for a walk along the river in the late afternoon?"},{"role":"assistant","content":null,"tool_calls":[{"id":"call_abcdefghijklmnop","type":"function","function":{"name":"get_weather","arguments":"{\"city\":\"Paris\",\"unit\":\"celsius\"}"}}]},{"role":"tool","tool_call_id":"call_abcdefghijklmnop","content":"{\"temperature\":12,\"rain\":0.4}"}],"tools":[{"type":"function","function":{"name":"get_weather","description":"The weather in a city just now","parameters":{"type":"object","properties":{"city":{"type":"string"},"unit":{"type":"string","enum":["celsius","fahrenheit"]}},"required":["city"],"additionalProperties":false}}}],"temperature":0.7,"max_tokens":200,"top_k":20}"#;
/// The complete response of an upstream to such a request.
const REPLY: &str = r#"{"id":"chatcmpl-0123456789abcdef","object":"chat.completion","created":1795350000,"model":"upstream","choices":[{"index":0,"message":{"role":"assistant","content":"It is 12 degrees with some rain about: take the umbrella, and walk on the side of the trees, where the wind from the river is weaker and the path dries first."},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":180,"completion_tokens":38,"total_tokens":218,"prompt_tokens_details":{"cached_tokens":128}},"system_fingerprint":"fp"}"#;
/// One chunk of a streamed response of an upstream.
const CHUNK: &str = r#"{"id":"chatcmpl-0123456789abcdef","object":"chat.completion.chunk","created":1795350000,"model":"upstream","choices":[{"index":0,"delta":{"content":" umbrella"},"finish_reason":null}]}"#;

#[divan::bench]
fn request_json_to_contract(bencher: Bencher<'_, '_>) {
    bencher.bench(|| read_request(black_box(REQUEST.as_bytes())).unwrap());
}

#[divan::bench]
fn request_contract_to_upstream_json(bencher: Bencher<'_, '_>) {
    let request = read_request(REQUEST.as_bytes()).unwrap();
    let mut out = Vec::with_capacity(2048);
    bencher.bench_local(|| {
        out.clear();
        write_request(&mut out, "upstream", black_box(&request.chat), Streaming::No);
    });
}

#[divan::bench]
fn reply_upstream_json_to_contract_to_json(bencher: Bencher<'_, '_>) {
    let mut out = Vec::with_capacity(2048);
    bencher.bench_local(|| {
        out.clear();
        write_response(&mut out, &read_response(black_box(REPLY.as_bytes())).unwrap().response);
    });
}

#[divan::bench]
fn chunk_upstream_json_to_contract_to_json(bencher: Bencher<'_, '_>) {
    let mut out = Vec::with_capacity(2048);
    bencher.bench_local(|| {
        out.clear();
        write_chunk(&mut out, &read_chunk(black_box(CHUNK.as_bytes())).unwrap().response, MissingUsage::Omit);
    });
}

/// A provider that returns prepared responses, so that only the code around it is measured.
#[derive(Debug)]
struct PreparedProvider {
    reply: pb::CreateChatResponse,
    chunk: pb::StreamChatResponse,
}

/// Number of chunks of a streamed response.
const CHUNKS: usize = 1000;

#[async_trait]
impl ChatProvider for PreparedProvider {
    async fn complete(&self, _: ChatCall) -> Result<pb::CreateChatResponse, ProviderError> {
        Ok(self.reply.clone())
    }

    async fn stream(&self, _: ChatCall, _: Option<pb::StreamOptions>) -> Result<Chunks<ChatChunk>, ProviderError> {
        let first = ChatChunk::from(self.chunk.clone());
        let others = (1..CHUNKS).map(|_| ChatChunk::Text(" token".to_owned()));
        Ok(stream::iter(std::iter::once(first).chain(others).map(Ok)).boxed())
    }
}

/// How a call reaches the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Routing {
    Direct,
    /// By a route with one target, as connected upstreams are reached.
    Routed,
}

const ROUTING: [Routing; 2] = [Routing::Direct, Routing::Routed];

/// Returns the core's chat service with the prepared provider as its only model, a runtime for it, and a request.
fn service(routing: Routing) -> (Runtime, Arc<ChatGrpc>, pb::ChatRequest) {
    let prepared: Arc<dyn ChatProvider> = Arc::new(PreparedProvider {
        reply: read_response(REPLY.as_bytes()).unwrap().response,
        chunk: read_chunk(CHUNK.as_bytes()).unwrap().response,
    });
    // A limit of zero is no limit.
    let open = || Arc::new(ConcurrencyLimit::new(0, 0));
    let breaker = BreakerSettings { failure_threshold: 5, cooldown: Duration::from_secs(15) };
    let retry = RetrySettings { retries: 2, retry_unsafe: false };
    let mut target = Target::new("upstream", "upstream", prepared.clone(), open(), breaker);
    target.total_timeout = Some(Duration::from_hours(1));
    let provider: Arc<dyn ChatProvider> = match routing {
        Routing::Direct => prepared,
        Routing::Routed => Arc::new(Routed::new(vec![target], Arc::new(Weighted), retry, open())),
    };
    let request = read_request(REQUEST.as_bytes()).unwrap().chat;
    let entry = Entry {
        id: request.model.clone(),
        upstream_model: "upstream".to_owned(),
        owned_by: "bench".to_owned(),
        provider_id: "bench".to_owned(),
        aliases: Vec::new(),
        capabilities: Vec::new(),
        hidden: false,
        passed_by: None,
        provider,
    };
    let models = Live::new(Models::new(vec![entry]).unwrap());
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let detached = DetachedCalls::on(runtime.handle().clone());
    let files = ChatFiles::new(InputSettings::default(), PictureBudget::default()).unwrap();
    let service = ChatGrpc::new(models, OnDisconnect::Cancel, detached, files);
    (runtime, Arc::new(service), request)
}

/// The call from gateway to core in one process: the service trait with validation, and the copy of the request.
#[divan::bench(args = ROUTING)]
fn unary_call_through_the_service(bencher: Bencher<'_, '_>, routing: Routing) {
    let (runtime, service, request) = service(routing);
    bencher.bench_local(|| {
        let message = pb::CreateChatRequest { chat: Some(request.clone()), idempotency_key: String::new() };
        runtime.block_on(service.create_chat(Request::new(message))).unwrap()
    });
}

/// The lookup of an API key, without keys and among a thousand.
#[divan::bench(args = [0, 1000])]
fn api_key_lookup(bencher: Bencher<'_, '_>, keys: u32) {
    let secret = |number| format!("0123456789abcdef0123456789abcdef-{number}");
    let key = |number| config::Key {
        name: format!("team-{number}"),
        secret: Some(secret(number).into()),
        ..config::Key::default()
    };
    let known = Keys::new(&(0..keys).map(key).collect::<Vec<_>>(), &[]).unwrap();
    let mut request = Request::new(());
    request.metadata_mut().insert("authorization", format!("Bearer {}", secret(keys / 2)).parse().unwrap());
    bencher.bench_local(|| known.caller(black_box(&request)).unwrap());
}

/// One streamed chunk through the service, written as an event.
#[divan::bench(args = ROUTING)]
fn streamed_chunk_through_the_service(bencher: Bencher<'_, '_>, routing: Routing) {
    let (runtime, service, request) = service(routing);
    let mut out = Vec::with_capacity(2048);
    bencher.counter(ItemsCount::new(CHUNKS)).bench_local(|| {
        let message = pb::StreamChatRequest { chat: Some(request.clone()), ..pb::StreamChatRequest::default() };
        runtime.block_on(async {
            let mut writer = ChunkWriter::new(MissingUsage::Omit);
            let mut chunks = service.stream_chat(Request::new(message)).await.unwrap().into_inner().into_chunks();
            while let Some(chunk) = chunks.next().await {
                out.clear();
                out.extend_from_slice(b"data: ");
                writer.write(&mut out, chunk.unwrap());
                out.extend_from_slice(b"\n\n");
            }
        });
    });
}
