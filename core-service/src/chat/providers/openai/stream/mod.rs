//! Streamed responses: event stream in, chunks out.
//!
//! The event reader (`openai_dialect::sse`) is this project's own and not taken from a library, because upstreams deviate:
//! events cut anywhere, CR and CRLF line ends, `error:` fields, a last event without an end, lines without an end. And a
//! stream that was cut must differ from one that is complete: without a finish reason for every choice, an end is a failure
//! (`docs/DESIGN.md`).

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll, Waker, ready},
};

use futures_util::Stream;
use openai_dialect::chat::{ChunkEvent, ChunkReader, ResponseAssembler, ToolCallIndexer};
use tokio::{
    task::coop::unconstrained,
    time::{Instant, Sleep, sleep_until},
};
use triptych_proto::{
    chat_stream::{ChatChunk, DeltaDecoder},
    v1 as pb,
};

use super::finish::{failure_of_finish_reason, warn_of_empty_response};
use crate::{
    error::ProviderError,
    upstream::{ConnectionLost, Event, EventReader, Upstream, UpstreamResponse, parse_error_member},
};

/// A streamed response. Ends after its first error. Dropping it closes the connection, which cancels the request at the
/// upstream.
pub(super) struct StreamedResponse {
    upstream: Upstream,
    reply: UpstreamResponse,
    events: EventReader,
    decoder: Decoder,
    /// The first chunk, which is read before the stream is returned.
    first: Option<ChatChunk>,
    deadline: Option<Instant>,
    /// When bytes of the response arrived last, be they a comment that only keeps the connection alive.
    last_read: Instant,
    /// Fires at the end of the idle timeout or at the deadline. Reset only when it fires, not with every chunk: a reset
    /// costs as much as a chunk.
    timer: Pin<Box<Sleep>>,
    /// The task that the timer wakes.
    timer_waker: Option<Waker>,
    ended: bool,
}

impl StreamedResponse {
    /// Reads the response up to its first chunk, so that a failure before it is returned here; the caller limits the time
    /// for that. `start` are the bytes of the body that were read before.
    pub(super) async fn start(
        upstream: Upstream,
        reply: UpstreamResponse,
        start: &[u8],
        deadline: Option<Instant>,
    ) -> Result<Self, ProviderError> {
        let now = Instant::now();
        let mut events = EventReader::default();
        events.push(start);
        let mut response = Self {
            upstream,
            reply,
            events,
            decoder: Decoder::default(),
            first: None,
            deadline,
            last_read: now,
            timer: Box::pin(sleep_until(now)),
            timer_waker: None,
            ended: false,
        };
        match poll_fn(|cx| response.poll_chunk(cx)).await {
            Ok(Some(chunk)) => response.first = Some(chunk),
            Ok(None) => response.ended = true,
            Err(error) => return Err(response.upstream.redacted(error)),
        }
        let times_out_at = response.times_out_at();
        response.timer.as_mut().reset(times_out_at);
        Ok(response)
    }

    /// Returns the end of the idle timeout, or the deadline if that is earlier.
    fn times_out_at(&self) -> Instant {
        let idle = self.last_read + self.upstream.timeouts.idle;
        self.deadline.map_or(idle, |deadline| deadline.min(idle))
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<ChatChunk>, ProviderError>> {
        loop {
            while let Some(event) = self.events.next_event()? {
                match self.decoder.decode(&event)? {
                    Decoded::Chunk(chunk) => return Poll::Ready(Ok(Some(chunk))),
                    Decoded::Nothing => {}
                    Decoded::Done => {
                        self.reply.finish();
                        return Poll::Ready(self.end());
                    }
                }
            }
            match ready!(self.reply.poll_body(cx, |data| self.events.push(data))) {
                Ok(true) => {
                    self.last_read = Instant::now();
                    // The timer is not polled while data keeps arriving.
                    if self.deadline.is_some_and(|deadline| deadline <= self.last_read) {
                        return Poll::Ready(Err(timed_out()));
                    }
                }
                Ok(false) => {
                    let last = match self.events.finish()? {
                        Some(event) => self.decoder.decode(&event)?,
                        None => Decoded::Done,
                    };
                    return Poll::Ready(match last {
                        Decoded::Chunk(chunk) => Ok(Some(chunk)),
                        Decoded::Nothing | Decoded::Done => self.end(),
                    });
                }
                Err(ConnectionLost) => return Poll::Ready(self.end()),
            }
        }
    }

    /// Returns the result of the end of the stream: a success only if every choice has a finish reason, because upstreams
    /// that die just close the connection.
    fn end(&self) -> Result<Option<ChatChunk>, ProviderError> {
        self.decoder.end().map(|()| None)
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<ProviderError> {
        let is_registered = self.timer_waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        if is_registered && !self.timer.is_elapsed() {
            return Poll::Pending;
        }
        loop {
            // Without `unconstrained`, a task whose budget is used up would get `Pending` and no registered waker.
            if pin!(unconstrained(self.timer.as_mut())).poll(cx).is_pending() {
                self.timer_waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
            let times_out_at = self.times_out_at();
            if times_out_at <= Instant::now() {
                return Poll::Ready(timed_out());
            }
            self.timer.as_mut().reset(times_out_at);
        }
    }
}

impl Stream for StreamedResponse {
    type Item = Result<ChatChunk, ProviderError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Some(first) = this.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        if this.ended {
            return Poll::Ready(None);
        }
        let next = match this.poll_chunk(cx) {
            Poll::Ready(next) => next.map_err(|error| this.upstream.redacted(error)),
            Poll::Pending => Err(ready!(this.poll_timer(cx))),
        };
        this.ended = !matches!(next, Ok(Some(_)));
        Poll::Ready(next.transpose())
    }
}

/// Assembles the complete response from an event stream that arrived although none was requested.
pub(super) fn assemble(body: &[u8]) -> Result<pb::CreateChatResponse, ProviderError> {
    let mut events = EventReader::default();
    events.push(body);
    let (mut decoder, mut deltas, mut response) =
        (Decoder::default(), DeltaDecoder::default(), ResponseAssembler::default());
    let mut at_end = false;
    loop {
        let event = if at_end { events.finish()? } else { events.next_event()? };
        match event.map(|event| decoder.decode(&event)).transpose()? {
            Some(Decoded::Chunk(chunk)) => response.push(deltas.decode(chunk)),
            Some(Decoded::Nothing) => {}
            None if !at_end => at_end = true,
            Some(Decoded::Done) | None => break,
        }
    }
    decoder.end()?;
    Ok(response.finish())
}

fn timed_out() -> ProviderError {
    ProviderError::Timeout("the upstream's stream exceeded its idle timeout or the deadline of the call".to_owned())
}

fn incomplete() -> ProviderError {
    ProviderError::Broken("the upstream's stream ended before the response was complete".to_owned())
}

/// Decodes events to chunks, and keeps the state on which the decoding of later events depends.
#[derive(Default)]
struct Decoder {
    reader: ChunkReader,
    calls: ToolCallIndexer,
    choices: Choices,
    /// Whether a text or a tool call was received.
    has_content: bool,
    /// Whether the latest usage has zero completion tokens.
    no_tokens: bool,
    /// Why the first event that is not a chunk was skipped; `None` if all events were chunks.
    stray: Option<String>,
}

/// Which choices have started and which have a finish reason, one bit per index.
#[derive(Default)]
struct Choices {
    started: u128,
    finished: u128,
}

impl Choices {
    /// Records a chunk of a choice. OpenAI's API permits at most 128 choices; further ones of an upstream share the last bit.
    fn record(&mut self, index: u32, finished: bool) {
        let choice = 1 << index.min(u128::BITS - 1);
        self.started |= choice;
        self.finished |= if finished { choice } else { 0 };
    }

    /// Returns whether the response is complete. Choices that never started are not missed: not every upstream supports
    /// `n`.
    fn are_finished(&self) -> bool {
        self.finished != 0 && self.started == self.finished
    }
}

/// A decoded event.
enum Decoded {
    Chunk(ChatChunk),
    Nothing,
    Done,
}

impl Decoder {
    /// Returns the result of the end of the stream. See [`StreamedResponse::end`].
    fn end(&self) -> Result<(), ProviderError> {
        if !self.choices.are_finished() {
            return Err(match &self.stray {
                // Not a stream of chunks at all.
                Some(message) if self.choices.started == 0 => ProviderError::Unreadable(message.clone()),
                Some(_) | None => incomplete(),
            });
        }
        if self.no_tokens && !self.has_content {
            warn_of_empty_response();
        }
        Ok(())
    }

    fn decode(&mut self, event: &Event<'_>) -> Result<Decoded, ProviderError> {
        let data = match event {
            Event::Data(data) => data.trim_ascii(),
            Event::Error(error) => return Err(parse_error_member(&String::from_utf8_lossy(error))),
        };
        if data.is_empty() {
            return Ok(Decoded::Nothing);
        }
        if data.starts_with(b"[DONE]") {
            return Ok(Decoded::Done);
        }
        let event = match self.reader.read(data) {
            Ok(event) => event,
            Err(error) => {
                let message = format!("an event of the upstream's stream is not a chat completion chunk: {error}");
                // Skipping a line of text loses no content; skipping a damaged chunk would.
                if data.starts_with(b"{") {
                    return Err(ProviderError::Unreadable(message));
                }
                if self.stray.is_none() {
                    tracing::warn!("{message}");
                    self.stray = Some(message);
                }
                return Ok(Decoded::Nothing);
            }
        };
        match event {
            ChunkEvent::Chunk(ChatChunk::Full(mut chunk)) => {
                self.calls.assign(&mut chunk);
                for choice in &chunk.choices {
                    let reason = choice.finish_reason.as_deref().unwrap_or_default();
                    if let Some(error) = failure_of_finish_reason(reason) {
                        return Err(error);
                    }
                    self.choices.record(choice.index, !reason.is_empty());
                    self.has_content |= choice.delta.as_ref().is_some_and(has_content);
                }
                if let Some(usage) = &chunk.usage {
                    self.no_tokens = usage.completion_tokens == 0;
                }
                Ok(Decoded::Chunk(ChatChunk::Full(chunk)))
            }
            // Repeats the previous chunk with another text: no tool call, no finish reason, no usage.
            ChunkEvent::Chunk(text @ ChatChunk::Text(_)) => {
                self.has_content = true;
                Ok(Decoded::Chunk(text))
            }
            ChunkEvent::Error(error) => Err(parse_error_member(&error)),
        }
    }
}

/// Returns whether a delta has any text or tool call.
fn has_content(delta: &pb::ChatDelta) -> bool {
    let texts = [&delta.content, &delta.refusal, &delta.reasoning_content];
    !delta.tool_calls.is_empty() || texts.into_iter().flatten().any(|text| !text.is_empty())
}

#[cfg(test)]
mod tests;
