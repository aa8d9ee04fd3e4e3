//! The body of `POST /v1/chat/completions`: read from a client, and written to an upstream. Which method of [`Member`] reads a
//! member decides what happens to `null` and to values of another type.

use serde::de::MapAccess;
use triptych_proto::v1 as pb;

use super::tools::read_tool_choice;
use crate::json::{
    error::ReadError,
    object::{Member, Object, read_request_object},
    value::OneOrMany,
    write::{Write, write_object},
};

/// A parsed request body.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Request {
    /// The members that are common to `CreateChat` and `StreamChat`.
    pub chat: pb::ChatRequest,
    /// Whether the client requests a stream.
    pub stream: bool,
    /// The options of the stream.
    pub stream_options: Option<pb::StreamOptions>,
}

/// Whether a request to an upstream requests a stream.
#[derive(Debug, Clone, Copy)]
pub enum Streaming<'a> {
    /// A complete response.
    No,
    /// A stream with these options.
    Yes(Option<&'a pb::StreamOptions>),
}

/// Parses the body of a request. A member whose value its field cannot represent is kept in `extra_json`.
pub fn read_request(text: &[u8]) -> Result<Request, ReadError> {
    read_request_object(text)
}

impl Object for Request {
    fn read_member<'de, A: MapAccess<'de>>(&mut self, member: Member<'_, 'de, A>) -> Result<(), A::Error> {
        let chat = &mut self.chat;
        let extra = &mut chat.extra_json;
        match member.name() {
            "model" => member.read_required_into(&mut chat.model),
            "messages" => member.read_required_into(&mut chat.messages),
            "stream" => member.read_required_into(&mut self.stream),
            "stream_options" => member.read_required_into(&mut self.stream_options),
            "tools" => member.read_into(&mut chat.tools, extra),
            "tool_choice" => read_tool_choice(member, &mut chat.tool_choice, extra),
            "parallel_tool_calls" => member.read_into(&mut chat.parallel_tool_calls, extra),
            "response_format" => member.read_into(&mut chat.response_format, extra),
            "n" => member.read_into(&mut chat.n, extra),
            "max_completion_tokens" => member.read_into(&mut chat.max_completion_tokens, extra),
            "max_tokens" => member.read_into(&mut chat.max_tokens, extra),
            "temperature" => member.read_into(&mut chat.temperature, extra),
            "top_p" => member.read_into(&mut chat.top_p, extra),
            "presence_penalty" => member.read_into(&mut chat.presence_penalty, extra),
            "frequency_penalty" => member.read_into(&mut chat.frequency_penalty, extra),
            "seed" => member.read_into(&mut chat.seed, extra),
            "stop" => member.read_into(&mut OneOrMany(&mut chat.stop), extra),
            "logprobs" => member.read_into(&mut chat.logprobs, extra),
            "top_logprobs" => member.read_into(&mut chat.top_logprobs, extra),
            "logit_bias" => member.read_into(&mut chat.logit_bias, extra),
            "modalities" => member.read_into(&mut chat.modalities, extra),
            "reasoning_effort" => member.read_into(&mut chat.reasoning_effort, extra),
            "service_tier" => member.read_into(&mut chat.service_tier, extra),
            "user" => member.read_into(&mut chat.user, extra),
            "metadata" => member.read_into(&mut chat.metadata, extra),
            "store" => member.read_into(&mut chat.store, extra),
            _ => member.keep_in(extra),
        }
    }
}

impl Object for pb::StreamOptions {
    fn read_member<'de, A: MapAccess<'de>>(&mut self, member: Member<'_, 'de, A>) -> Result<(), A::Error> {
        match member.name() {
            "include_usage" => member.read_into(&mut self.include_usage, &mut self.extra_json),
            _ => member.keep_in(&mut self.extra_json),
        }
    }
}

/// Writes the body of a request to an upstream. `model` is the model name of the upstream.
pub fn write_request(out: &mut Vec<u8>, model: &str, chat: &pb::ChatRequest, streaming: Streaming<'_>) {
    let pb::ChatRequest {
        model: _,
        messages,
        tools,
        tool_choice,
        parallel_tool_calls,
        response_format,
        n,
        max_completion_tokens,
        max_tokens,
        temperature,
        top_p,
        presence_penalty,
        frequency_penalty,
        seed,
        stop,
        logprobs,
        top_logprobs,
        logit_bias,
        modalities,
        reasoning_effort,
        service_tier,
        user,
        metadata,
        store,
        extra_json,
    } = chat;
    write_object(out, |o| {
        o.scalar("model", model);
        o.array("messages", messages);
        if let Streaming::Yes(options) = streaming {
            o.scalar("stream", &true);
            o.optional_value("stream_options", options);
        }
        o.values("tools", tools);
        o.optional_value("tool_choice", tool_choice.as_ref());
        o.optional("parallel_tool_calls", parallel_tool_calls.as_ref());
        o.optional_value("response_format", response_format.as_ref());
        o.optional("n", n.as_ref());
        o.optional("max_completion_tokens", max_completion_tokens.as_ref());
        o.optional("max_tokens", max_tokens.as_ref());
        o.optional("temperature", temperature.as_ref());
        o.optional("top_p", top_p.as_ref());
        o.optional("presence_penalty", presence_penalty.as_ref());
        o.optional("frequency_penalty", frequency_penalty.as_ref());
        o.optional("seed", seed.as_ref());
        o.scalars("stop", stop);
        o.optional("logprobs", logprobs.as_ref());
        o.optional("top_logprobs", top_logprobs.as_ref());
        o.map("logit_bias", logit_bias);
        o.scalars("modalities", modalities);
        o.optional("reasoning_effort", reasoning_effort.as_ref());
        o.optional("service_tier", service_tier.as_ref());
        o.optional("user", user.as_ref());
        o.map("metadata", metadata);
        o.optional("store", store.as_ref());
        o.extra(extra_json);
    });
}

impl Write for pb::StreamOptions {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { include_usage, extra_json } = self;
        write_object(out, |o| {
            o.optional("include_usage", include_usage.as_ref());
            o.extra(extra_json);
        });
    }
}
