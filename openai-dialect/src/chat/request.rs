//! The body of `POST /v1/chat/completions`.

use serde::de::MapAccess;
use triptych_proto::v1 as pb;

use crate::{
    object::{Member, Object, ReadError, read},
    value::OneOrMany,
    write::{Write, object},
};

/// A request as it came over REST.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Request {
    /// What is asked.
    pub chat: pb::ChatRequest,
    /// Whether the reply shall come in pieces.
    pub stream: bool,
    /// What the stream carries besides the reply.
    pub stream_options: Option<pb::StreamOptions>,
}

/// How a request asks for its reply.
#[derive(Debug, Clone, Copy)]
pub enum Streaming<'a> {
    /// In one piece.
    No,
    /// In pieces, with these options.
    Yes(Option<&'a pb::StreamOptions>),
}

/// The members of a request that have a field of their own.
pub const MEMBERS: &[&str] = &[
    "model",
    "messages",
    "stream",
    "stream_options",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
    "n",
    "max_completion_tokens",
    "max_tokens",
    "temperature",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "seed",
    "stop",
    "logprobs",
    "top_logprobs",
    "logit_bias",
    "modalities",
    "reasoning_effort",
    "service_tier",
    "user",
    "metadata",
    "store",
];

/// Reads a request.
pub fn read_request(text: &[u8]) -> Result<Request, ReadError> {
    read(text)
}

impl Object for Request {
    fn take<'de, A: MapAccess<'de>>(&mut self, member: Member<'_, 'de, A>) -> Result<(), A::Error> {
        let chat = &mut self.chat;
        let extra = &mut chat.extra_json;
        match member.name() {
            "model" => member.fill_or_null(&mut chat.model),
            "messages" => member.fill_or_null(&mut chat.messages),
            "stream" => member.fill_or_null(&mut self.stream),
            "stream_options" => member.fill_or_null(&mut self.stream_options),
            "tools" => member.fill(&mut chat.tools, extra),
            "tool_choice" => super::tools::take_choice(member, &mut chat.tool_choice, extra),
            "parallel_tool_calls" => member.fill(&mut chat.parallel_tool_calls, extra),
            "response_format" => member.fill(&mut chat.response_format, extra),
            "n" => member.fill(&mut chat.n, extra),
            "max_completion_tokens" => member.fill(&mut chat.max_completion_tokens, extra),
            "max_tokens" => member.fill(&mut chat.max_tokens, extra),
            "temperature" => member.fill(&mut chat.temperature, extra),
            "top_p" => member.fill(&mut chat.top_p, extra),
            "presence_penalty" => member.fill(&mut chat.presence_penalty, extra),
            "frequency_penalty" => member.fill(&mut chat.frequency_penalty, extra),
            "seed" => member.fill(&mut chat.seed, extra),
            "stop" => member.fill(&mut OneOrMany(&mut chat.stop), extra),
            "logprobs" => member.fill(&mut chat.logprobs, extra),
            "top_logprobs" => member.fill(&mut chat.top_logprobs, extra),
            "logit_bias" => member.fill(&mut chat.logit_bias, extra),
            "modalities" => member.fill(&mut chat.modalities, extra),
            "reasoning_effort" => member.fill(&mut chat.reasoning_effort, extra),
            "service_tier" => member.fill(&mut chat.service_tier, extra),
            "user" => member.fill(&mut chat.user, extra),
            "metadata" => member.fill(&mut chat.metadata, extra),
            "store" => member.fill(&mut chat.store, extra),
            _ => member.keep(extra),
        }
    }
}

impl Object for pb::StreamOptions {
    fn take<'de, A: MapAccess<'de>>(&mut self, member: Member<'_, 'de, A>) -> Result<(), A::Error> {
        match member.name() {
            "include_usage" => member.fill(&mut self.include_usage, &mut self.extra_json),
            _ => member.keep(&mut self.extra_json),
        }
    }
}

/// Writes a request for an upstream that knows the model as `model`.
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
    object(out, |o| {
        o.scalar("model", model);
        o.list("messages", messages);
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
        object(out, |o| {
            o.optional("include_usage", include_usage.as_ref());
            o.extra(extra_json);
        });
    }
}
