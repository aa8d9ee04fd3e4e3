//! The answer to a request in one piece.

use serde::de::MapAccess;
use triptych_proto::{time::unix_seconds, v1 as pb};

use super::message::{ReplyMessage, write_in_reply};
use crate::{
    object::{Json, Member, Object, ReadError, read},
    value::{List, Seconds, Slot},
    write::{ObjectWriter, Write, extra_members, object},
};

/// What stands in an upstream's answer: a reply or, status 200 notwithstanding, an error.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reply {
    /// The reply.
    pub response: pb::CreateChatResponse,
    /// The `error` member as it is spelled. Whatever else the answer says, it failed.
    pub error: Option<String>,
}

/// Reads an answer.
pub fn read_reply(text: &[u8]) -> Result<Reply, ReadError> {
    read(text)
}

impl Object for Reply {
    fn take<'de, A: MapAccess<'de>>(&mut self, member: Member<'_, 'de, A>) -> Result<(), A::Error> {
        let response = &mut self.response;
        match member.name() {
            "id" => member.fill_or_null(&mut response.id),
            "object" => member.skip(),
            "created" => member.fill_or_null(&mut Seconds(&mut response.create_time)),
            "model" => member.fill_or_null(&mut response.model),
            "choices" => member.fill_or_null(&mut Choices(&mut response.choices)),
            "usage" => member.fill_or_null(&mut response.usage),
            "system_fingerprint" => member.fill(&mut response.system_fingerprint, &mut response.extra_json),
            "service_tier" => member.fill(&mut response.service_tier, &mut response.extra_json),
            "error" => take_error(member, &mut self.error),
            _ => member.keep(&mut response.extra_json),
        }
    }

    fn finish(&mut self) -> Result<(), &'static str> {
        let Self { response, error } = self;
        if error.is_none() && response.choices.is_empty() {
            *error = bare_error(&response.extra_json);
        }
        Ok(())
    }
}

/// The failure that stands in an answer without a wrapping `error`: SGLang's flat object, FastAPI's `detail`, and the
/// `error_message` of some gateways. Asked only where there is no reply.
pub(super) fn bare_error(extra: &str) -> Option<String> {
    let names = ["message", "error_message", "detail"];
    extra_members(extra)?.iter().any(|(name, _)| names.contains(&name.as_str())).then(|| extra.to_owned())
}

/// Reads `error`; null is none.
pub(super) fn take_error<'de, A: MapAccess<'de>>(
    member: Member<'_, 'de, A>,
    error: &mut Option<String>,
) -> Result<(), A::Error> {
    let raw = member.raw(|_| Ok(()))?;
    if raw != "null" {
        *error = Some(raw.to_owned());
    }
    Ok(())
}

struct Choices<'a>(&'a mut Vec<pb::ChatChoice>);

impl Slot for Choices<'_> {
    fn fill<'de, A: MapAccess<'de>>(&mut self, map: &mut A) -> Result<Option<&'static str>, A::Error> {
        if let Some(List(choices)) = map.next_value::<Option<List<ReplyChoice>>>()? {
            *self.0 = choices.into_iter().map(|ReplyChoice(choice)| choice).collect();
        }
        Ok(None)
    }
}

#[derive(Default)]
struct ReplyChoice(pb::ChatChoice);

impl Object for ReplyChoice {
    fn take<'de, A: MapAccess<'de>>(&mut self, member: Member<'_, 'de, A>) -> Result<(), A::Error> {
        let choice = &mut self.0;
        match member.name() {
            "index" => member.fill_or_null(&mut choice.index),
            "message" => member.fill_or_null(&mut Message(&mut choice.message)),
            "finish_reason" => member.fill_or_null(&mut choice.finish_reason),
            "logprobs" => member.fill_or_null(&mut choice.logprobs),
            _ => member.keep(&mut choice.extra_json),
        }
    }
}

struct Message<'a>(&'a mut Option<pb::ChatMessage>);

impl Slot for Message<'_> {
    fn fill<'de, A: MapAccess<'de>>(&mut self, map: &mut A) -> Result<Option<&'static str>, A::Error> {
        if let Some(Json(ReplyMessage(message))) = map.next_value()? {
            *self.0 = Some(message);
        }
        Ok(None)
    }
}

/// Writes a reply for a client.
pub fn write_reply(out: &mut Vec<u8>, response: &pb::CreateChatResponse) {
    let pb::CreateChatResponse { id, create_time, model, choices, usage, system_fingerprint, service_tier, extra_json } =
        response;
    object(out, |o| {
        o.scalar("id", id);
        o.scalar("object", "chat.completion");
        o.scalar("created", &unix_seconds(*create_time));
        o.scalar("model", model);
        o.list("choices", choices);
        o.optional_value("usage", usage.as_ref());
        o.optional("system_fingerprint", system_fingerprint.as_ref());
        o.optional("service_tier", service_tier.as_ref());
        o.extra(extra_json);
    });
}

impl Write for pb::ChatChoice {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { index, message, finish_reason, logprobs, extra_json } = self;
        object(out, |o| {
            o.scalar("index", index);
            o.object("message", |o| write_in_reply(message.as_ref().unwrap_or(&pb::ChatMessage::default()), o));
            write_logprobs(o, logprobs.as_ref());
            o.scalar("finish_reason", finish_reason);
            o.extra(extra_json);
        });
    }
}

/// `logprobs`, which a choice always has.
pub(super) fn write_logprobs(o: &mut ObjectWriter<'_>, logprobs: Option<&pb::Logprobs>) {
    match logprobs {
        Some(logprobs) => o.value("logprobs", logprobs),
        None => o.raw("logprobs", "null"),
    }
}
