//! Any upstream that speaks OpenAI's chat completions.

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use openai_dialect::chat::{Chunk, Streaming, read_chunk, read_reply, write_request};
use secrecy::SecretString;
use triptych_proto::v1 as pb;
use url::Url;

use super::super::{ChatProvider, dialect::Dialect};
use crate::{
    call::{Call, Chunks},
    error::ProviderError,
    upstream::{
        Auth, Broken, Event, EventReader, Limits, Reply, SetupError, Upstream, failure_in_reply, until, within,
    },
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
        let auth = key.map_or(Auth::None, Auth::Bearer);
        Ok(Self { upstream: Upstream::new(base, auth, limits)?, dialect }.speaking(dialect))
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
    async fn complete(&self, mut call: Call<pb::ChatRequest>) -> Result<pb::CreateChatResponse, ProviderError> {
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
        mut call: Call<pb::ChatRequest>,
        options: Option<pb::StreamOptions>,
    ) -> Result<Chunks<pb::StreamChatResponse>, ProviderError> {
        self.dialect.adapt(&call.model, &mut call.request, true);
        let mut body = Vec::with_capacity(1024);
        write_request(&mut body, &call.model, &call.request, Streaming::Yes(options.as_ref()));
        let until = until(self.upstream.limits.first_byte, call.deadline);
        let reply = self.upstream.post_json(PATH, &call, body, until).await?;
        let mut stream = Box::new(ReplyStream {
            reply,
            events: EventReader::default(),
            limits: self.upstream.limits,
            deadline: call.deadline,
            finished: false,
            over: false,
        });
        // A stream whose first event is an error can still be answered as an error.
        let first = match within(until, stream.next()).await? {
            Some(Err(error)) => return Err(self.upstream.redacted(error)),
            first => first,
        };
        let rest = stream::unfold(stream, |mut stream| async move { Some((stream.next().await?, stream)) });
        Ok(stream::iter(first).chain(rest).boxed())
    }
}

/// A streamed reply under way. Dropping it closes the connection, which is what stops the upstream.
struct ReplyStream {
    reply: Reply,
    events: EventReader,
    limits: Limits,
    deadline: Option<tokio::time::Instant>,
    /// A finish reason has come: from here on the end of the stream is no failure.
    finished: bool,
    over: bool,
}

impl ReplyStream {
    /// The next piece; after an error, nothing more.
    async fn next(&mut self) -> Option<Result<pb::StreamChatResponse, ProviderError>> {
        if self.over {
            return None;
        }
        let next = self.advance().await;
        self.over = !matches!(next, Ok(Some(_)));
        next.transpose()
    }

    async fn advance(&mut self) -> Result<Option<pb::StreamChatResponse>, ProviderError> {
        let too_long = |error: crate::upstream::TooLong| ProviderError::Unreadable(error.to_string());
        loop {
            while let Some(event) = self.events.next().map_err(too_long)? {
                match piece(&event, &mut self.finished)? {
                    Piece::Some(chunk) => return Ok(Some(chunk)),
                    Piece::Nothing => {}
                    Piece::Done => return self.end(),
                }
            }
            let patience = until(self.limits.idle, self.deadline);
            match within(patience, self.reply.chunk()).await? {
                Ok(Some(bytes)) => self.events.push(&bytes),
                Ok(None) => {
                    return match self.events.last().map_err(too_long)? {
                        Some(event) => match piece(&event, &mut self.finished)? {
                            Piece::Some(chunk) => Ok(Some(chunk)),
                            Piece::Nothing | Piece::Done => self.end(),
                        },
                        None => self.end(),
                    };
                }
                Err(Broken) => return self.end(),
            }
        }
    }

    /// The end of a stream is a success only if a choice was finished before it: upstreams that die just close.
    fn end(&self) -> Result<Option<pb::StreamChatResponse>, ProviderError> {
        if self.finished { Ok(None) } else { Err(cut_off()) }
    }
}

fn cut_off() -> ProviderError {
    ProviderError::Broken("the upstream's stream ended before the answer did".to_owned())
}

/// What an event of the stream stands for.
#[expect(clippy::large_enum_variant, reason = "moved once, into the stream; a box per token would cost more")]
enum Piece {
    Some(pb::StreamChatResponse),
    Nothing,
    Done,
}

fn piece(event: &Event<'_>, finished: &mut bool) -> Result<Piece, ProviderError> {
    let data = match event {
        Event::Data(data) => data.trim_ascii(),
        Event::Error(error) => return Err(failure_in_reply(&String::from_utf8_lossy(error))),
    };
    if data.is_empty() {
        return Ok(Piece::Nothing);
    }
    if data.starts_with(b"[DONE]") {
        return Ok(Piece::Done);
    }
    let Chunk { response, error } = read_chunk(data).map_err(|error| {
        ProviderError::Unreadable(format!("an event of the upstream's stream makes no sense: {error}"))
    })?;
    if let Some(error) = error {
        return Err(failure_in_reply(&error));
    }
    for reason in response.choices.iter().filter_map(|choice| choice.finish_reason.as_deref()) {
        if let Some(error) = broken_off(reason) {
            return Err(error);
        }
        *finished |= !reason.is_empty();
    }
    Ok(Piece::Some(response))
}

/// Finish reasons that mean the upstream gave up: vLLM and SGLang abort, OpenRouter's provider broke, DeepSeek is full.
fn broken_off(finish_reason: &str) -> Option<ProviderError> {
    let message = || format!("the upstream broke the answer off ({finish_reason})");
    match finish_reason {
        "stop" | "length" | "tool_calls" | "content_filter" | "function_call" | "" => None,
        "abort" | "error" => Some(ProviderError::Broken(message())),
        "insufficient_system_resource" => Some(ProviderError::Unavailable(message())),
        _ => {
            // Passed on as it is: whoever chose this upstream knows its words better than we do.
            tracing::warn!(finish_reason, "the upstream ended an answer for a reason that is not known");
            None
        }
    }
}
