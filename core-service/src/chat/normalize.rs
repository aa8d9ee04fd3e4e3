//! A streamed reply as its caller gets it: its pieces agree with each other, whatever the upstream does.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_util::{Stream, StreamExt, stream::empty};
use openai_dialect::extra_members;
use tonic::Status;
use triptych_proto::{
    chat_stream::ChatChunk,
    time::{self, Timestamp},
    v1 as pb,
};

use super::grpc::{failed, new_id};
use crate::call::Chunks;

/// A reply whose pieces have one name, and which tells its usage as the caller asked.
pub(super) struct Normalized {
    pieces: Chunks<ChatChunk>,
    usage: Usage,
    id: String,
    create_time: Option<Timestamp>,
    model: String,
}

/// Upstreams tell the usage in a piece of its own, beside the last words, or in every piece.
pub(super) enum Usage {
    /// Nobody asked for it.
    Unasked,
    /// It is told once, behind everything else.
    Last {
        /// The piece that tells it, with the last that was heard.
        piece: Option<Box<pb::StreamChatResponse>>,
        /// The caller asked for it in every piece as well, in vLLM's words.
        also_before: bool,
    },
}

impl Usage {
    /// What the options of a call ask for.
    pub(super) fn of(options: Option<&pb::StreamOptions>) -> Self {
        let Some(options) = options.filter(|options| options.include_usage.unwrap_or_default()) else {
            return Self::Unasked;
        };
        let members = extra_members(&options.extra_json).unwrap_or_default();
        let also_before = members.iter().any(|(name, value)| name == "continuous_usage_stats" && *value == "true");
        Self::Last { piece: None, also_before }
    }

    /// Takes what a piece says of it. `None`: nothing else was in it for this caller.
    fn take(&mut self, mut said: Box<pb::StreamChatResponse>) -> Option<Box<pb::StreamChatResponse>> {
        match self {
            // Clients that did not ask index the empty choices.
            Self::Unasked => (!said.choices.is_empty()).then_some(said),
            Self::Last { .. } if said.usage.is_none() => Some(said),
            Self::Last { piece, .. } if said.choices.is_empty() => {
                *piece = Some(said);
                None
            }
            Self::Last { piece, also_before } => {
                let usage = if *also_before { said.usage.clone() } else { said.usage.take() };
                piece.get_or_insert_default().usage = usage;
                Some(said)
            }
        }
    }
}

impl Normalized {
    /// The pieces of a reply by the model of this public name.
    pub(super) fn new(pieces: Chunks<ChatChunk>, model: String, usage: Usage) -> Self {
        Self { pieces, usage, id: String::new(), create_time: None, model }
    }

    fn settle(&mut self, piece: &mut pb::StreamChatResponse) {
        if self.id.is_empty() {
            self.id = if piece.id.is_empty() { new_id() } else { piece.id.clone() };
            self.create_time = Some(piece.create_time.unwrap_or_else(time::now));
        }
        if piece.id != self.id {
            piece.id.clone_from(&self.id);
        }
        piece.create_time = self.create_time;
        if piece.model != self.model {
            piece.model.clone_from(&self.model);
        }
    }

    /// What is told behind the end.
    fn last(&mut self) -> Option<ChatChunk> {
        let Usage::Last { piece, .. } = &mut self.usage else { return None };
        let mut piece = piece.take()?;
        self.settle(&mut piece);
        // Not every stream may be asked again behind its end.
        self.pieces = empty().boxed();
        Some(ChatChunk::Full(piece))
    }
}

impl Stream for Normalized {
    type Item = Result<ChatChunk, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            return Poll::Ready(match ready!(this.pieces.as_mut().poll_next(cx)) {
                Some(Ok(ChatChunk::Full(piece))) => {
                    let Some(mut piece) = this.usage.take(piece) else { continue };
                    this.settle(&mut piece);
                    Some(Ok(ChatChunk::Full(piece)))
                }
                // What it repeats is settled.
                Some(Ok(text @ ChatChunk::Text(_))) => Some(Ok(text)),
                Some(Err(error)) => Some(Err(failed(error))),
                None => this.last().map(Ok),
            });
        }
    }
}
