//! One piece of a streamed answer.

use serde::de::MapAccess;
use triptych_proto::{time::unix_seconds, v1 as pb};

use super::{
    message::{settle_reasoning, take_details, take_reasoning},
    reply::{bare_error, take_error, write_logprobs},
    tools::take_call_deltas,
};
use crate::{
    object::{Member, Object, ReadError, read},
    value::Seconds,
    write::{Write, object},
};

/// What stands in one event of an upstream's stream: a piece of the reply or an error, sometimes both.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Chunk {
    /// The piece. Calls without an index have [`NO_INDEX`](super::NO_INDEX): only the stream as a whole tells it.
    pub response: pb::StreamChatResponse,
    /// The `error` member as it is spelled. Whatever else the event says, the stream failed.
    pub error: Option<String>,
}

/// Reads the data of one event.
pub fn read_chunk(text: &[u8]) -> Result<Chunk, ReadError> {
    read(text)
}

impl Object for Chunk {
    fn take<'de, A: MapAccess<'de>>(&mut self, member: Member<'_, 'de, A>) -> Result<(), A::Error> {
        let response = &mut self.response;
        match member.name() {
            "id" => member.fill_or_null(&mut response.id),
            "object" => member.skip(),
            "created" => member.fill_or_null(&mut Seconds(&mut response.create_time)),
            "model" => member.fill_or_null(&mut response.model),
            "choices" => member.fill_or_null(&mut response.choices),
            "usage" => member.fill_or_null(&mut response.usage),
            "system_fingerprint" => member.fill(&mut response.system_fingerprint, &mut response.extra_json),
            "service_tier" => member.fill(&mut response.service_tier, &mut response.extra_json),
            "error" => take_error(member, &mut self.error),
            _ => member.keep(&mut response.extra_json),
        }
    }

    fn finish(&mut self) -> Result<(), &'static str> {
        let Self { response, error } = self;
        if error.is_none() && response.choices.is_empty() && response.usage.is_none() {
            *error = bare_error(&response.extra_json);
        }
        Ok(())
    }
}

impl Object for pb::ChatChunkChoice {
    fn take<'de, A: MapAccess<'de>>(&mut self, member: Member<'_, 'de, A>) -> Result<(), A::Error> {
        match member.name() {
            "index" => member.fill_or_null(&mut self.index),
            "delta" => member.fill_or_null(&mut self.delta),
            "finish_reason" => member.fill_or_null(&mut self.finish_reason),
            "logprobs" => member.fill_or_null(&mut self.logprobs),
            _ => member.keep(&mut self.extra_json),
        }
    }
}

impl Object for pb::ChatDelta {
    fn take<'de, A: MapAccess<'de>>(&mut self, member: Member<'_, 'de, A>) -> Result<(), A::Error> {
        match member.name() {
            "role" => member.fill(&mut self.role, &mut self.extra_json),
            "content" => member.fill(&mut self.content, &mut self.extra_json),
            "refusal" => member.fill(&mut self.refusal, &mut self.extra_json),
            "reasoning_content" => member.fill(&mut self.reasoning_content, &mut self.extra_json),
            "reasoning" => take_reasoning(member, &mut self.reasoning_content, &mut self.extra_json),
            "reasoning_details" => take_details(member, &mut self.reasoning_content, &mut self.extra_json),
            "tool_calls" => take_call_deltas(member, &mut self.tool_calls, &mut self.extra_json),
            _ => member.keep(&mut self.extra_json),
        }
    }

    fn finish(&mut self) -> Result<(), &'static str> {
        settle_reasoning(self.reasoning_content.as_ref(), &mut self.extra_json);
        Ok(())
    }
}

/// Writes a piece for a client. `usage_member`: whether the client asked for usage, and so expects the member in every
/// piece, as null in all but the last.
pub fn write_chunk(out: &mut Vec<u8>, response: &pb::StreamChatResponse, usage_member: bool) {
    let pb::StreamChatResponse { id, create_time, model, choices, usage, system_fingerprint, service_tier, extra_json } =
        response;
    object(out, |o| {
        o.scalar("id", id);
        o.scalar("object", "chat.completion.chunk");
        o.scalar("created", &unix_seconds(*create_time));
        o.scalar("model", model);
        o.list("choices", choices);
        match usage {
            Some(usage) => o.value("usage", usage),
            None if usage_member => o.raw("usage", "null"),
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
        object(out, |o| {
            o.scalar("index", index);
            o.value("delta", delta.as_ref().unwrap_or(&pb::ChatDelta::default()));
            write_logprobs(o, logprobs.as_ref());
            o.nullable("finish_reason", finish_reason.as_ref());
            o.extra(extra_json);
        });
    }
}

impl Write for pb::ChatDelta {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { role, content, refusal, reasoning_content, tool_calls, extra_json } = self;
        object(out, |o| {
            o.optional("role", role.as_ref());
            o.optional("content", content.as_ref());
            o.optional("refusal", refusal.as_ref());
            o.optional("reasoning_content", reasoning_content.as_ref());
            o.values("tool_calls", tool_calls);
            o.extra(extra_json);
        });
    }
}
