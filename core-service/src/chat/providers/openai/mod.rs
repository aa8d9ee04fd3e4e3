//! Any upstream that speaks OpenAI's chat completions.

mod stream;

use async_trait::async_trait;
use futures_util::StreamExt;
use http::HeaderMap;
use openai_dialect::chat::{Streaming, read_reply, write_request};
use secrecy::SecretString;
use triptych_proto::{chat_stream::Piece, v1 as pb};
use url::Url;

use self::stream::Pieces;
use super::super::{ChatCall, ChatProvider, dialect::Dialect};
use crate::{
    call::Chunks,
    error::ProviderError,
    upstream::{Auth, Limits, SetupError, Upstream, failure_in_reply, until, within},
};

const PATH: &str = "chat/completions";

/// An OpenAI-compatible chat upstream.
#[derive(Debug)]
pub struct OpenAiChat {
    upstream: Upstream,
    dialect: Dialect,
}

impl OpenAiChat {
    /// `base` ends where `chat/completions` begins, mostly in `/v1`, and tells the dialect as well.
    pub fn new(base: Url, key: Option<SecretString>, limits: Limits) -> Result<Self, SetupError> {
        let dialect = Dialect::of(&base);
        let upstream = Upstream::new(base, key.map_or(Auth::None, Auth::Bearer), limits)?;
        Ok(Self { upstream, dialect }.speaking(dialect))
    }

    /// The same upstream, which hears these headers with every request.
    #[must_use]
    pub fn with_headers(self, headers: &HeaderMap) -> Self {
        Self { upstream: self.upstream.with_headers(headers), ..self }
    }

    /// The same upstream, whose address does not tell its dialect.
    #[must_use]
    pub fn speaking(mut self, dialect: Dialect) -> Self {
        self.dialect = dialect;
        self.upstream.quota_is_a_pace = dialect.quota_is_a_pace();
        self
    }
}

#[async_trait]
impl ChatProvider for OpenAiChat {
    async fn complete(&self, mut call: ChatCall) -> Result<pb::CreateChatResponse, ProviderError> {
        self.dialect.adapt(&call.model, &mut call.request, false);
        let mut body = Vec::with_capacity(1024);
        write_request(&mut body, &call.model, &call.request, Streaming::No);
        let until = until(self.upstream.limits.first_byte, call.deadline);
        let reply = self.upstream.post_json(PATH, &call, body, until).await?;
        let body = self.upstream.body(reply, until).await?;
        // DeepSeek keeps the connection alive with blank lines before the JSON.
        let reply = read_reply(body.trim_ascii()).map_err(|error| {
            ProviderError::Unreadable(format!("the upstream's answer is no chat completion: {error}"))
        })?;
        if let Some(error) = reply.error {
            return Err(self.upstream.redacted(failure_in_reply(&error)));
        }
        match reply.response.choices.iter().find_map(|choice| broken_off(&choice.finish_reason)) {
            Some(error) => Err(error),
            None if reply.response.choices.is_empty() => {
                Err(ProviderError::Unreadable("the upstream's answer has no choices".to_owned()))
            }
            None => Ok(reply.response),
        }
    }

    async fn stream(
        &self,
        mut call: ChatCall,
        options: Option<pb::StreamOptions>,
    ) -> Result<Chunks<Piece>, ProviderError> {
        self.dialect.adapt(&call.model, &mut call.request, true);
        let mut body = Vec::with_capacity(1024);
        write_request(&mut body, &call.model, &call.request, Streaming::Yes(options.as_ref()));
        let until = until(self.upstream.limits.first_byte, call.deadline);
        let reply = self.upstream.post_json(PATH, &call, body, until).await?;
        Ok(within(until, Pieces::begin(self.upstream.clone(), reply, call.deadline)).await??.boxed())
    }
}

/// Finish reasons that mean the upstream gave up: vLLM and SGLang abort, OpenRouter's provider broke, DeepSeek is full.
fn broken_off(finish_reason: &str) -> Option<ProviderError> {
    let message = || format!("the upstream broke the answer off ({finish_reason})");
    match finish_reason {
        "stop" | "length" | "tool_calls" | "content_filter" | "function_call" | "" => None,
        "abort" | "error" => Some(ProviderError::Broken(message())),
        "insufficient_system_resource" => Some(ProviderError::unavailable(message())),
        _ => {
            // Passed on as it is: whoever chose this upstream knows its words better than we do.
            tracing::warn!(finish_reason, "the upstream ended an answer for a reason that is not known");
            None
        }
    }
}
