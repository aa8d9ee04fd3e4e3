//! The generation of one response: turns of the model, and between them the calls of hosted tools, which the server executes.

mod images;

use std::{collections::VecDeque, mem};

use futures_util::StreamExt;
use openai_dialect::responses::{Event, ResponseWriter, Turn};
use tonic::{Status, metadata::MetadataMap};
use triptych_proto::{
    chat_stream::ChatStream,
    v1::{self as pb, chat_service_server::ChatService},
};
use triptych_telemetry::Tokens;

use self::images::{ImageStep, Images};
use super::{
    calls::{CallIdentity, ModelCalls},
    failure,
    prepare::Prepared,
    store::ResponseStatus,
};
use crate::{chat::files::FileMemory, error::Error, ledger::COST, usd::Usd, video::time::Clock};

/// How many turns may end with calls of hosted tools, so that a model that calls them in every turn comes to an end.
const MAX_TOOL_ROUNDS: u32 = 8;

/// Generates a response. Dropping it cancels the call in flight.
pub(super) struct Execution {
    calls: ModelCalls,
    identity: CallIdentity,
    streamed: bool,
    pub(super) writer: ResponseWriter,
    /// The request of the current turn.
    chat: pb::ChatRequest,
    /// The memory of the files that were downloaded for `chat`.
    files: FileMemory,
    phase: Phase,
    tool_rounds: u32,
    /// The images earlier in the conversation, as URLs: an edit applies to them.
    images: Vec<String>,
    /// The tokens of all calls that have ended.
    tokens: Tokens,
    /// The cost of the calls whose cost is known.
    cost: Option<Usd>,
    /// The final state, once it is reached.
    pub(super) ended: Option<ResponseStatus>,
}

/// What the next step does.
enum Phase {
    /// Calls the model.
    Call,
    /// Begins the response: the model has begun its first turn.
    FirstReply(Reply),
    /// Reads the reply of the model.
    Reply(Reply),
    /// Continues the calls of the image tool.
    Images(Box<Images>),
    Ended,
}

/// What the model responds in one turn.
enum Reply {
    Complete(Box<pb::CreateChatResponse>),
    /// With the latest usage.
    Stream(Box<ChatStream>, Option<Box<pb::Usage>>),
}

impl Execution {
    /// Creates the execution of a request, without calling anything.
    pub(super) fn new(prepared: Box<Prepared>, calls: ModelCalls, identity: CallIdentity) -> Box<Self> {
        let writer = prepared.writer();
        // Boxed, because it is part of large futures.
        Box::new(Self {
            calls,
            identity,
            streamed: prepared.request.is_streamed(),
            writer,
            chat: prepared.chat,
            files: FileMemory::default(),
            phase: Phase::Call,
            tool_rounds: 0,
            images: prepared.images,
            tokens: Tokens::default(),
            cost: None,
            ended: None,
        })
    }

    /// Sets whether the model streams its replies.
    #[must_use]
    pub(super) fn streamed(mut self: Box<Self>, streamed: bool) -> Box<Self> {
        self.streamed = streamed;
        self
    }

    /// Calls the model for the first time, and returns the metadata of its reply.
    ///
    /// # Errors
    /// The status of the call, after which there is no response.
    pub(super) async fn begin(&mut self) -> Result<MetadataMap, Status> {
        let (reply, metadata) = self.call().await?;
        self.phase = Phase::FirstReply(reply);
        Ok(metadata)
    }

    /// Returns the next events, in batches that are not empty; `None` at the end. Not cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Vec<Event>> {
        loop {
            let events = match mem::replace(&mut self.phase, Phase::Ended) {
                Phase::Call => match self.call().await {
                    Ok((reply, _)) => {
                        self.phase = Phase::Reply(reply);
                        Vec::new()
                    }
                    Err(status) => self.fail(&status),
                },
                Phase::FirstReply(reply) => {
                    self.phase = Phase::Reply(reply);
                    self.writer.start()
                }
                Phase::Reply(Reply::Complete(reply)) => {
                    let usage = reply.usage.clone();
                    let mut events = self.writer.completion(*reply);
                    events.extend(self.end_turn(usage.as_ref()));
                    events
                }
                Phase::Reply(Reply::Stream(mut chunks, usage)) => match chunks.next().await {
                    Some(Ok(chunk)) => {
                        let usage = chunk.usage.clone().map(Box::new).or(usage);
                        self.phase = Phase::Reply(Reply::Stream(chunks, usage));
                        self.writer.chunk(chunk)
                    }
                    Some(Err(status)) => self.fail(&status),
                    None => {
                        // Ends the call, which would count against the caller's limits while images are generated.
                        drop(chunks);
                        self.end_turn(usage.as_deref())
                    }
                },
                Phase::Images(images) => self.continue_images(images).await,
                Phase::Ended => return None,
            };
            if !events.is_empty() {
                return Some(events);
            }
        }
    }

    /// Returns the sum of the costs of all calls; `None` if none is known.
    pub(super) fn cost(&self) -> Option<Usd> {
        self.cost
    }

    async fn call(&mut self) -> Result<(Reply, MetadataMap), Status> {
        if self.tool_rounds == 0 {
            let files = self.calls.chat.download_files(&mut self.chat).await;
            self.files = files.map_err(|error| {
                let Error::InvalidField { message, .. } = error else { return error };
                // The messages of the chat request are none of the client's fields.
                Error::invalid("input", message)
            })?;
        }
        let chat = Some(self.chat.clone());
        // The idempotency key of a response is not that of a call: a second call under it would be refused.
        let idempotency_key = String::new();
        if self.streamed {
            let stream_options = Some(pb::StreamOptions { include_usage: Some(true), ..pb::StreamOptions::default() });
            let call = pb::StreamChatRequest { chat, idempotency_key, stream_options };
            let (metadata, chunks, _) = self.calls.chat.stream_chat(self.identity.chat_call(call)).await?.into_parts();
            return Ok((Reply::Stream(Box::new(chunks), None), metadata));
        }
        let call = pb::CreateChatRequest { chat, idempotency_key };
        let (metadata, reply, _) = self.calls.chat.create_chat(self.identity.chat_call(call)).await?.into_parts();
        self.add_cost(&metadata);
        Ok((Reply::Complete(Box::new(reply)), metadata))
    }

    fn add_cost(&mut self, metadata: &MetadataMap) {
        let cost = metadata.get(COST).and_then(|value| value.to_str().ok()).and_then(Usd::parse);
        if let Some(cost) = cost {
            *self.cost.get_or_insert_default() += cost;
        }
    }

    /// Ends a turn of the model: calls the tools that it has called, or ends the response.
    fn end_turn(&mut self, usage: Option<&pb::Usage>) -> Vec<Event> {
        if let Some(usage) = usage {
            let cached = usage.prompt_tokens_details.as_ref().and_then(|details| details.cached_tokens);
            let reasoning = usage.completion_tokens_details.as_ref().and_then(|details| details.reasoning_tokens);
            self.add_tokens(Tokens {
                input: usage.prompt_tokens,
                cached: cached.unwrap_or_default(),
                output: usage.completion_tokens,
                reasoning: reasoning.unwrap_or_default(),
            });
        }
        let Turn { mut events, mut image_calls } = self.writer.end_turn();
        for call in image_calls.iter_mut().filter(|call| call.edit && call.input_images.is_empty()) {
            call.input_images.clone_from(&self.images);
        }
        if image_calls.is_empty() {
            events.extend(self.continue_or_finish());
            return events;
        }
        self.tool_rounds += 1;
        if self.tool_rounds > MAX_TOOL_ROUNDS {
            let message = format!("a response may call hosted tools in {MAX_TOOL_ROUNDS} turns");
            for call in &image_calls {
                events.extend(self.writer.image_failed(call, &message));
            }
            events.extend(self.finish());
            return events;
        }
        self.phase = Phase::Images(Box::new(Images::new(VecDeque::from(image_calls))));
        events
    }

    async fn continue_images(&mut self, mut images: Box<Images>) -> Vec<Event> {
        match images.step(&self.calls, &self.identity, self.streamed, &mut self.writer).await {
            ImageStep::Events(events) => {
                self.phase = Phase::Images(images);
                events
            }
            ImageStep::Ended { tokens, cost } => {
                self.add_tokens(tokens);
                if let Some(cost) = cost {
                    *self.cost.get_or_insert_default() += cost;
                }
                self.continue_or_finish()
            }
        }
    }

    fn continue_or_finish(&mut self) -> Vec<Event> {
        if self.writer.next_turn(&mut self.chat) {
            self.phase = Phase::Call;
            return Vec::new();
        }
        self.finish()
    }

    fn finish(&mut self) -> Vec<Event> {
        let events = self.writer.finish(Clock::system().now().0.div_euclid(1000));
        let last = events.last().and_then(|event| event.name.strip_prefix("response."));
        self.ended = Some(last.and_then(ResponseStatus::parse).unwrap_or(ResponseStatus::Completed));
        events
    }

    fn fail(&mut self, status: &Status) -> Vec<Event> {
        self.ended = Some(ResponseStatus::Failed);
        self.writer.fail(failure::code(status), status.message())
    }

    /// Adds the tokens of a call to those of the response, which are reported as those of the client's call: each call has reported
    /// only its own.
    fn add_tokens(&mut self, tokens: Tokens) {
        self.tokens.input += tokens.input;
        self.tokens.cached += tokens.cached;
        self.tokens.output += tokens.output;
        self.tokens.reasoning += tokens.reasoning;
        self.identity.report.set_tokens(self.tokens);
    }
}
