//! Helpers of the tests: what an upstream receives and sends.

use openai_dialect::{
    chat::{Streaming, read_chunk, read_response, write_request},
    responses::{Event, Item, ResponseRequest, ResponseWriter},
};
use serde_json::{Value, json};
use triptych_proto::v1 as pb;

use crate::replay::{Replay, summary};

pub(crate) const ID: &str = "resp_0123456789abcdef0123456789abcdef0123456789abcdef";
/// The times in Unix seconds at which the response is created and finished.
pub(crate) const CREATED_AT: i64 = 1_800_000_000;
pub(crate) const NOW: i64 = 1_800_000_005;

pub(crate) fn request(document: &Value) -> ResponseRequest {
    ResponseRequest::parse(&document.to_string()).unwrap()
}

/// Returns the JSON that the upstream receives.
pub(crate) fn chat_json(chat: &pb::ChatRequest) -> Value {
    let mut out = Vec::new();
    write_request(&mut out, "m", chat, Streaming::No);
    serde_json::from_slice(&out).unwrap()
}

/// Returns the JSON that the upstream receives for a request without history and referenced items.
pub(crate) fn chat(document: &Value) -> Value {
    chat_json(&request(document).to_chat(&[], &[]).unwrap())
}

pub(crate) fn items(documents: &[Value]) -> Vec<Item> {
    documents.iter().map(|document| Item::from_json(&document.to_string()).unwrap()).collect()
}

/// Returns a chunk with this delta.
pub(crate) fn delta(delta: &Value) -> Value {
    json!({"id": "c", "created": 7, "model": "m", "choices": [{"index": 0, "delta": delta}]})
}

/// Returns the chunk that ends a turn, and the one with the usage.
pub(crate) fn end(reason: &str) -> [Value; 2] {
    let usage = json!({
        "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15,
        "prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens_details": {"reasoning_tokens": 2},
    });
    [
        json!({"id": "c", "created": 7, "model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}),
        json!({"id": "c", "created": 7, "model": "m", "choices": [], "usage": usage}),
    ]
}

pub(crate) fn read(chunk: &Value) -> pb::StreamChatResponse {
    read_chunk(chunk.to_string().as_bytes()).unwrap().response
}

pub(crate) fn completion(document: &Value) -> pb::CreateChatResponse {
    read_response(document.to_string().as_bytes()).unwrap().response
}

pub(crate) fn writer(request: &ResponseRequest) -> ResponseWriter {
    ResponseWriter::new(request, ID.to_owned(), CREATED_AT, "public".to_owned())
}

/// Streams one turn with these deltas and this finish reason to its end, and returns the events and the response.
pub(crate) fn stream(document: &Value, deltas: &[Value], reason: &str) -> (Vec<Event>, Value) {
    let chunks: Vec<_> = deltas.iter().map(delta).chain(end(reason)).collect();
    stream_chunks(document, &chunks)
}

pub(crate) fn stream_chunks(document: &Value, chunks: &[Value]) -> (Vec<Event>, Value) {
    let mut writer = writer(&request(document));
    let mut events = writer.start();
    for chunk in chunks {
        events.extend(writer.chunk(read(chunk)));
    }
    events.extend(writer.end_turn().events);
    events.extend(writer.finish(NOW));
    (events, serde_json::from_str(&writer.response_json()).unwrap())
}

/// Returns the events in short form (see [`summary`]), after it has checked their numbers and that they add up to the response.
pub(crate) fn checked(events: &[Event], response: &Value) -> Vec<String> {
    assert_eq!(Replay::of(events), response["output"], "the events must add up to the response");
    events.iter().map(summary).collect()
}

/// A request with a text alone.
pub(crate) fn hello() -> Value {
    json!({"model": "public", "input": "Hi"})
}

/// Returns the delta that begins a call.
pub(crate) fn call(index: u32, id: &str, name: &str, arguments: &str) -> Value {
    json!({"tool_calls": [
        {"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": arguments}}
    ]})
}

/// Returns the delta that continues a call.
pub(crate) fn more(index: u32, arguments: &str) -> Value {
    json!({"tool_calls": [{"index": index, "function": {"arguments": arguments}}]})
}
