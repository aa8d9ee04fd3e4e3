//! A complete response, `chat.completion`: read from an upstream, and written for a client. Which method of [`Member`] reads a
//! member decides what happens to `null` and to values of another type.

use std::marker::PhantomData;

use serde::de::MapAccess;
use triptych_proto::{time::unix_seconds, v1 as pb};

use super::{
    choice_index::{number_choices, read_index},
    error::{read_error, unwrapped_error},
    logprobs::write_logprobs,
    message::{ResponseMessage, write_response_message},
};
use crate::json::{
    error::ReadError,
    field::{Field, Unrepresented},
    mode::Mode,
    object::{Member, Object, ObjectSeed, read_response_object},
    value::{ArraySeed, Nullable, UnixSeconds},
    write::{Write, write_object},
};

/// The body of an upstream's response with status 200: a chat completion, an error, or both.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UpstreamResponse {
    /// The chat completion.
    pub response: pb::CreateChatResponse,
    /// The JSON text of the `error` member. If it is present, the call failed, even if the body also has choices.
    pub error: Option<String>,
}

/// Parses the body of an upstream's response.
pub fn read_response(text: &[u8]) -> Result<UpstreamResponse, ReadError> {
    read_response_object(text)
}

impl Object for UpstreamResponse {
    fn read_member<'de, A: MapAccess<'de>>(&mut self, member: Member<'_, 'de, A>) -> Result<(), A::Error> {
        let response = &mut self.response;
        match member.name() {
            "id" => member.read_text_into(&mut response.id),
            "object" => member.skip(),
            "created" => member.read_or_skip(&mut UnixSeconds(&mut response.create_time)),
            "model" => member.read_or_skip(&mut response.model),
            "choices" => member.read_required_into(&mut ChoicesField(&mut response.choices)),
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
        if error.is_none() && response.choices.is_empty() {
            // Some upstreams send the members of the error without the `error` object around them.
            *error = unwrapped_error(&response.extra_json);
        }
        Ok(())
    }
}

/// Reads `choices`.
struct ChoicesField<'a>(&'a mut Vec<pb::ChatChoice>);

impl Field for ChoicesField<'_> {
    fn read_from<'de, A: MapAccess<'de>>(&mut self, map: &mut A, mode: Mode) -> Result<Unrepresented, A::Error> {
        if let Some(choices) = map.next_value_seed(Nullable(ArraySeed(mode, PhantomData)))? {
            *self.0 = choices.into_iter().map(|ResponseChoice(choice)| choice).collect();
        }
        Ok(None)
    }
}

/// Reads one choice.
#[derive(Default)]
struct ResponseChoice(pb::ChatChoice);

impl Object for ResponseChoice {
    fn read_member<'de, A: MapAccess<'de>>(&mut self, member: Member<'_, 'de, A>) -> Result<(), A::Error> {
        let choice = &mut self.0;
        match member.name() {
            "index" => read_index(member, &mut choice.index),
            "message" => member.read_required_into(&mut MessageField(&mut choice.message)),
            "finish_reason" => member.read_text_into(&mut choice.finish_reason),
            "logprobs" => member.read_or_keep(&mut choice.logprobs, &mut choice.extra_json),
            _ => member.keep_in(&mut choice.extra_json),
        }
    }
}

/// Reads the message of a choice.
struct MessageField<'a>(&'a mut Option<pb::ChatMessage>);

impl Field for MessageField<'_> {
    fn read_from<'de, A: MapAccess<'de>>(&mut self, map: &mut A, mode: Mode) -> Result<Unrepresented, A::Error> {
        if let Some(ResponseMessage(message)) = map.next_value_seed(Nullable(ObjectSeed(mode, PhantomData)))? {
            *self.0 = Some(message);
        }
        Ok(None)
    }
}

/// Writes a response for a client.
pub fn write_response(out: &mut Vec<u8>, response: &pb::CreateChatResponse) {
    let pb::CreateChatResponse { id, create_time, model, choices, usage, system_fingerprint, service_tier, extra_json } =
        response;
    write_object(out, |o| {
        o.scalar("id", id);
        o.scalar("object", "chat.completion");
        o.scalar("created", &unix_seconds(*create_time));
        o.scalar("model", model);
        o.array("choices", choices);
        o.optional_value("usage", usage.as_ref());
        o.optional("system_fingerprint", system_fingerprint.as_ref());
        o.optional("service_tier", service_tier.as_ref());
        o.extra(extra_json);
    });
}

impl Write for pb::ChatChoice {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { index, message, finish_reason, logprobs, extra_json } = self;
        write_object(out, |o| {
            o.scalar("index", index);
            o.object("message", |o| write_response_message(o, message.as_ref().unwrap_or(&pb::ChatMessage::default())));
            write_logprobs(o, logprobs.as_ref(), extra_json);
            o.scalar("finish_reason", finish_reason);
            o.extra(extra_json);
        });
    }
}
