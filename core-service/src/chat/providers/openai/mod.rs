//! Any upstream that speaks OpenAI's chat completions.

mod stream;
mod whole;

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream::iter};
use http::HeaderMap;
use openai_dialect::chat::{ResponseAssembler, Streaming, write_request};
use secrecy::SecretString;
use triptych_proto::{
    chat_stream::{ChatChunk, DeltaDecoder},
    v1 as pb,
};
use url::Url;

use self::stream::Pieces;
use super::super::{ChatCall, ChatProvider, dialect::Dialect};
use crate::{
    call::Chunks,
    error::ProviderError,
    upstream::{Auth, Limits, SetupError, Upstream, until, within},
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

impl OpenAiChat {
    /// A whole answer of a model that only streams.
    async fn put_together(&self, call: ChatCall) -> Result<pb::CreateChatResponse, ProviderError> {
        let options = pb::StreamOptions { include_usage: Some(true), ..pb::StreamOptions::default() };
        let mut pieces = self.stream(call, Some(options)).await?;
        let (mut unfold, mut together) = (DeltaDecoder::default(), ResponseAssembler::default());
        while let Some(piece) = pieces.try_next().await? {
            together.push(unfold.decode(piece));
        }
        Ok(together.finish())
    }
}

#[async_trait]
impl ChatProvider for OpenAiChat {
    async fn complete(&self, mut call: ChatCall) -> Result<pb::CreateChatResponse, ProviderError> {
        if self.dialect.only_streams(&call.model) {
            return self.put_together(call).await;
        }
        self.dialect.adapt(&call.model, &mut call.request, false);
        let mut body = Vec::with_capacity(1024);
        write_request(&mut body, &call.model, &call.request, Streaming::No);
        let until = until(self.upstream.limits.first_byte, call.context.deadline);
        let reply = self.upstream.post_json(PATH, &call, body, until).await?;
        let body = self.upstream.body(reply, until).await?;
        whole::read(&body).map_err(|error| self.upstream.redacted(error))
    }

    async fn stream(
        &self,
        mut call: ChatCall,
        options: Option<pb::StreamOptions>,
    ) -> Result<Chunks<ChatChunk>, ProviderError> {
        self.dialect.adapt(&call.model, &mut call.request, true);
        let mut body = Vec::with_capacity(1024);
        write_request(&mut body, &call.model, &call.request, Streaming::Yes(options.as_ref()));
        let until = until(self.upstream.limits.first_byte, call.context.deadline);
        let mut reply = self.upstream.post_json(PATH, &call, body, until).await?;
        let begun = async {
            let beginning = whole::beginning(&mut reply).await;
            if !whole::is_document(&beginning) {
                return Ok(Pieces::begin(self.upstream.clone(), reply, &beginning, call.context.deadline)
                    .await?
                    .boxed());
            }
            // Refusals come like this from some, with status 200, and whole answers from servers that cannot stream.
            let body = [beginning, self.upstream.body(reply, until).await?.into()].concat();
            let pieces = whole::read_in_pieces(&body).map_err(|error| self.upstream.redacted(error))?;
            Ok(iter(pieces.map(Ok)).boxed())
        };
        within(until, begun).await?
    }
}

/// LiteLLM answers with nothing where an upstream of its own failed within a stream.
fn warn_of_nothing() {
    tracing::warn!("the upstream answered with nothing and counts no tokens: it may have lost a failure of its own");
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
