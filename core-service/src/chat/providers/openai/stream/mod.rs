//! A streamed reply, piece by piece.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll, Waker, ready},
};

use futures_util::Stream;
use openai_dialect::chat::{ChunkEvent, ChunkReader, ToolCallIndexer};
use tokio::{
    task::coop::unconstrained,
    time::{Instant, Sleep, sleep_until},
};
use triptych_proto::{chat_stream::ChatChunk, v1 as pb};

use super::{broken_off, warn_of_nothing};
use crate::{
    error::ProviderError,
    upstream::{Broken, Event, EventReader, Reply, Upstream, failure_in_reply},
};

/// A streamed reply under way; after an error, nothing more. Dropping it closes the connection, which is what stops the
/// upstream.
pub(super) struct Pieces {
    upstream: Upstream,
    reply: Reply,
    events: EventReader,
    answer: Answer,
    /// The piece that was waited for before the stream was handed over.
    first: Option<ChatChunk>,
    deadline: Option<Instant>,
    /// When something of the reply arrived last, be it a comment that only says that the upstream lives.
    arrived: Instant,
    /// Set anew only when it rings, not with every piece: that would cost as much as the piece.
    alarm: Pin<Box<Sleep>>,
    /// Whom it wakes.
    alarmed: Option<Waker>,
    over: bool,
}

impl Pieces {
    /// The stream, once its first piece is there; until then only the caller bounds the wait. A reply that begins with a
    /// failure can still be answered as one. `beginning` was read of the body before.
    pub(super) async fn begin(
        upstream: Upstream,
        reply: Reply,
        beginning: &[u8],
        deadline: Option<Instant>,
    ) -> Result<Self, ProviderError> {
        let now = Instant::now();
        let (first, alarm) = (None, Box::pin(sleep_until(now)));
        let (mut events, answer) = (EventReader::default(), Answer::default());
        events.push(beginning);
        let mut begun =
            Self { upstream, reply, events, answer, first, deadline, arrived: now, alarm, alarmed: None, over: false };
        match poll_fn(|cx| begun.poll_piece(cx)).await {
            Ok(Some(piece)) => begun.first = Some(piece),
            Ok(None) => begun.over = true,
            Err(error) => return Err(begun.upstream.redacted(error)),
        }
        let due = begun.due();
        begun.alarm.as_mut().reset(due);
        Ok(begun)
    }

    /// When silence will have lasted too long.
    fn due(&self) -> Instant {
        let idle = self.arrived + self.upstream.limits.idle;
        self.deadline.map_or(idle, |deadline| deadline.min(idle))
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<ChatChunk>, ProviderError>> {
        loop {
            while let Some(event) = self.events.next_event()? {
                match self.answer.read(&event)? {
                    Read::Piece(piece) => return Poll::Ready(Ok(Some(piece))),
                    Read::Nothing => {}
                    Read::Done => {
                        self.reply.done();
                        return Poll::Ready(self.end());
                    }
                }
            }
            match ready!(self.reply.poll_body(cx, |data| self.events.push(data))) {
                Ok(true) => {
                    self.arrived = Instant::now();
                    // An upstream that never pauses would never let the alarm ring.
                    if self.deadline.is_some_and(|deadline| deadline <= self.arrived) {
                        return Poll::Ready(Err(too_late()));
                    }
                }
                Ok(false) => {
                    let last = match self.events.finish()? {
                        Some(event) => self.answer.read(&event)?,
                        None => Read::Done,
                    };
                    return Poll::Ready(match last {
                        Read::Piece(piece) => Ok(Some(piece)),
                        Read::Nothing | Read::Done => self.end(),
                    });
                }
                Err(Broken) => return Poll::Ready(self.end()),
            }
        }
    }

    /// The end of a stream is a success only if every choice was finished before it: upstreams that die just close.
    fn end(&self) -> Result<Option<ChatChunk>, ProviderError> {
        if !self.answer.choices.are_finished() {
            return Err(cut_off());
        }
        if self.answer.counts_nothing && !self.answer.said {
            warn_of_nothing();
        }
        Ok(None)
    }

    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<ProviderError> {
        let alarmed = self.alarmed.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        if alarmed && !self.alarm.is_elapsed() {
            return Poll::Pending;
        }
        loop {
            // One that the runtime turned away, this turn's work being done, would not be set.
            if pin!(unconstrained(self.alarm.as_mut())).poll(cx).is_pending() {
                self.alarmed = Some(cx.waker().clone());
                return Poll::Pending;
            }
            let due = self.due();
            if due <= Instant::now() {
                return Poll::Ready(too_late());
            }
            self.alarm.as_mut().reset(due);
        }
    }
}

impl Stream for Pieces {
    type Item = Result<ChatChunk, ProviderError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Some(first) = this.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        if this.over {
            return Poll::Ready(None);
        }
        let next = match this.poll_piece(cx) {
            Poll::Ready(next) => next.map_err(|error| this.upstream.redacted(error)),
            Poll::Pending => Err(ready!(this.poll_alarm(cx))),
        };
        this.over = !matches!(next, Ok(Some(_)));
        Poll::Ready(next.transpose())
    }
}

fn too_late() -> ProviderError {
    ProviderError::Timeout("the upstream fell silent within its answer, or the time for it is over".to_owned())
}

fn cut_off() -> ProviderError {
    ProviderError::Broken("the upstream's stream ended before the answer did".to_owned())
}

/// What the events have said so far, as far as it bears on the next ones.
#[derive(Default)]
struct Answer {
    chunks: ChunkReader,
    calls: ToolCallIndexer,
    choices: Choices,
    /// There was a text or a call of a function.
    said: bool,
    /// The last usage has no tokens made.
    counts_nothing: bool,
}

/// Which choices have begun and which were given a finish reason, a bit for each index.
#[derive(Default)]
struct Choices {
    begun: u128,
    finished: u128,
}

impl Choices {
    /// Callers get at most 128 choices. Whoever sends more has the rest counted as one.
    fn note(&mut self, index: u32, finished: bool) {
        let choice = 1 << index.min(u128::BITS - 1);
        self.begun |= choice;
        self.finished |= if finished { choice } else { 0 };
    }

    /// Whether the end of the stream is no failure. A choice that never began is none: not every upstream knows `n`.
    fn are_finished(&self) -> bool {
        self.finished != 0 && self.begun == self.finished
    }
}

/// What an event of the stream stands for.
enum Read {
    Piece(ChatChunk),
    Nothing,
    Done,
}

impl Answer {
    fn read(&mut self, event: &Event<'_>) -> Result<Read, ProviderError> {
        let data = match event {
            Event::Data(data) => data.trim_ascii(),
            Event::Error(error) => return Err(failure_in_reply(&String::from_utf8_lossy(error))),
        };
        if data.is_empty() {
            return Ok(Read::Nothing);
        }
        if data.starts_with(b"[DONE]") {
            return Ok(Read::Done);
        }
        let event = self.chunks.read(data).map_err(|error| {
            ProviderError::Unreadable(format!("an event of the upstream's stream makes no sense: {error}"))
        })?;
        match event {
            ChunkEvent::Chunk(ChatChunk::Full(mut piece)) => {
                self.calls.assign(&mut piece);
                for choice in &piece.choices {
                    let reason = choice.finish_reason.as_deref().unwrap_or_default();
                    if let Some(error) = broken_off(reason) {
                        return Err(error);
                    }
                    self.choices.note(choice.index, !reason.is_empty());
                    self.said |= choice.delta.as_ref().is_some_and(says);
                }
                if let Some(usage) = &piece.usage {
                    self.counts_nothing = usage.completion_tokens == 0;
                }
                Ok(Read::Piece(ChatChunk::Full(piece)))
            }
            // It calls nothing and ends nothing, but for what the piece that it repeats did.
            ChunkEvent::Chunk(text @ ChatChunk::Text(_)) => {
                self.said = true;
                Ok(Read::Piece(text))
            }
            ChunkEvent::Error(error) => Err(failure_in_reply(&error)),
        }
    }
}

fn says(delta: &pb::ChatDelta) -> bool {
    let texts = [&delta.content, &delta.refusal, &delta.reasoning_content];
    !delta.tool_calls.is_empty() || texts.into_iter().flatten().any(|text| !text.is_empty())
}

#[cfg(test)]
mod tests;
