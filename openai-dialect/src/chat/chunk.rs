//! One chunk of a streamed response, `chat.completion.chunk`: read from the event of an upstream, and written for a
//! client. Which method of [`Member`] reads a member decides what happens to `null` and to values of another type.

use serde::de::MapAccess;
use triptych_proto::{time::unix_seconds, v1 as pb};

use super::{
    choice_index::{number_choices, read_index},
    content::read_delta_content,
    error::{read_error, unwrapped_error},
    logprobs::write_logprobs,
    reasoning::{read_reasoning, read_reasoning_details, remove_null_duplicate},
    tool_call::read_tool_call_deltas,
};
use crate::json::{
    error::ReadError,
    extra::has_member,
    object::{Member, Object, read_exact_object, read_lenient_response, read_response_object},
    value::UnixSeconds,
    write::{Write, write_object},
};

/// The data of one event of an upstream's stream: a chunk, an error, or both.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UpstreamChunk {
    /// The chunk. Tool calls that came without an index have [`NO_INDEX`](super::NO_INDEX); a
    /// [`ToolCallIndexer`](super::ToolCallIndexer) replaces it.
    pub response: pb::StreamChatResponse,
    /// The JSON text of the `error` member. If it is present, the stream failed, even if the event also has choices.
    pub error: Option<String>,
}

/// Parses the data of one event.
pub fn read_chunk(text: &[u8]) -> Result<UpstreamChunk, ReadError> {
    read_response_object(text)
}

/// Parses the data of one event without tolerance: `None` if a member has an unexpected value.
pub(super) fn read_exact_chunk(text: &[u8]) -> Option<UpstreamChunk> {
    read_exact_object(text)
}

/// Parses the data of one event that [`read_exact_chunk`] cannot read.
pub(super) fn read_lenient_chunk(text: &[u8]) -> Result<UpstreamChunk, ReadError> {
    read_lenient_response(text)
}

impl Object for UpstreamChunk {
    fn read_member<'de, A: MapAccess<'de>>(&mut self, member: Member<'_, 'de, A>) -> Result<(), A::Error> {
        let response = &mut self.response;
        match member.name() {
            "id" => member.read_text_into(&mut response.id),
            "object" => member.skip(),
            "created" => member.read_or_skip(&mut UnixSeconds(&mut response.create_time)),
            "model" => member.read_or_skip(&mut response.model),
            "choices" => member.read_required_into(&mut response.choices),
            "usage" => member.read_or_keep(&mut response.usage, &mut response.extra_json),
            "system_fingerprint" => member.read_into(&mut response.system_fingerprint, &mut response.extra_json),
            "service_tier" => member.read_into(&mut response.service_tier, &mut response.extra_json),
            "error" => read_error(member, &mut self.error),
            _ => member.keep_in(&mut response.extra_json),
        }
    }

    fn finish(&mut self) -> Result<(), &'static str> {
        let Self { response, error } = self;
        number_choices(response.choices.iter_mut().map(|choice| &mut choice.index));
        if error.is_none() && response.choices.is_empty() && response.usage.is_none() {
            // Some upstreams send the members of the error without the `error` object around them.
            *error = unwrapped_error(&response.extra_json);
        }
        Ok(())
    }
}

impl Object for pb::ChatChunkChoice {
    fn read_member<'de, A: MapAccess<'de>>(&mut self, member: Member<'_, 'de, A>) -> Result<(), A::Error> {
        match member.name() {
            "index" => read_index(member, &mut self.index),
            "delta" => member.read_required_into(&mut self.delta),
            "finish_reason" => member.read_text_into(&mut self.finish_reason),
            "logprobs" => member.read_or_keep(&mut self.logprobs, &mut self.extra_json),
            _ => member.keep_in(&mut self.extra_json),
        }
    }
}

impl Object for pb::ChatDelta {
    fn read_member<'de, A: MapAccess<'de>>(&mut self, member: Member<'_, 'de, A>) -> Result<(), A::Error> {
        match member.name() {
            "role" => member.read_into(&mut self.role, &mut self.extra_json),
            "content" => read_delta_content(member, self),
            "refusal" => member.read_into(&mut self.refusal, &mut self.extra_json),
            "reasoning_content" => member.read_into(&mut self.reasoning_content, &mut self.extra_json),
            "reasoning" => read_reasoning(member, &mut self.reasoning_content, &mut self.extra_json),
            "reasoning_details" => read_reasoning_details(member, &mut self.reasoning_content, &mut self.extra_json),
            "tool_calls" => read_tool_call_deltas(member, &mut self.tool_calls, &mut self.extra_json),
            _ => member.keep_in(&mut self.extra_json),
        }
    }

    fn finish(&mut self) -> Result<(), &'static str> {
        remove_null_duplicate(self.reasoning_content.as_ref(), &mut self.extra_json);
        Ok(())
    }
}

/// How chunks without usage are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissingUsage {
    /// Without the member `usage`.
    Omit,
    /// With `"usage": null`. OpenAI writes it in all chunks of a request with `include_usage`, and clients rely on it.
    Null,
}

/// Writes a chunk for a client.
pub fn write_chunk(out: &mut Vec<u8>, response: &pb::StreamChatResponse, missing_usage: MissingUsage) {
    let pb::StreamChatResponse { id, create_time, model, choices, usage, system_fingerprint, service_tier, extra_json } =
        response;
    write_object(out, |o| {
        o.scalar("id", id);
        o.scalar("object", "chat.completion.chunk");
        o.scalar("created", &unix_seconds(*create_time));
        o.scalar("model", model);
        o.array("choices", choices);
        match usage {
            Some(usage) => o.value("usage", usage),
            None if missing_usage == MissingUsage::Null && !has_member(extra_json, "usage") => o.raw("usage", "null"),
            None => {}
        }
        o.optional("system_fingerprint", system_fingerprint.as_ref());
        o.optional("service_tier", service_tier.as_ref());
        o.extra(extra_json);
    });
}

impl Write for pb::ChatChunkChoice {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { index, delta, finish_reason, logprobs, extra_json } = self;
        write_object(out, |o| {
            o.scalar("index", index);
            o.value("delta", delta.as_ref().unwrap_or(&pb::ChatDelta::default()));
            write_logprobs(o, logprobs.as_ref(), extra_json);
            o.nullable("finish_reason", finish_reason.as_ref());
            o.extra(extra_json);
        });
    }
}

impl Write for pb::ChatDelta {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { role, content, refusal, reasoning_content, tool_calls, extra_json } = self;
        write_object(out, |o| {
            o.optional("role", role.as_ref());
            o.optional("content", content.as_ref());
            o.optional("refusal", refusal.as_ref());
            o.optional("reasoning_content", reasoning_content.as_ref());
            o.values("tool_calls", tool_calls);
            o.extra(extra_json);
        });
    }
}
