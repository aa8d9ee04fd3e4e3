//! Normalises streamed responses: all pieces have the same id, time and model, and the usage comes as the client
//! requested it, whatever the upstream sends.

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

use super::response::{failed, new_id};
use crate::call::Chunks;

/// A normalised stream.
pub(super) struct Normalized {
    pieces: Chunks<ChatChunk>,
    usage: Usage,
    id: String,
    create_time: Option<Timestamp>,
    model: String,
}

/// Where the usage goes. Upstreams send it in a piece of its own, with the last text, or in every piece.
pub(super) enum Usage {
    /// The client did not request it.
    Omitted,
    /// Sent once, after all other pieces.
    AtEnd {
        /// The piece for the end, with the latest usage of the upstream.
        piece: Option<Box<pb::StreamChatResponse>>,
        /// The client also requested it in every piece: `continuous_usage_stats`, an extension of vLLM.
        in_every_piece: bool,
    },
}

impl Usage {
    /// Returns what the options of a call request.
    pub(super) fn of(options: Option<&pb::StreamOptions>) -> Self {
        let Some(options) = options.filter(|options| options.include_usage.unwrap_or_default()) else {
            return Self::Omitted;
        };
        let members = extra_members(&options.extra_json).unwrap_or_default();
        let in_every_piece = members.iter().any(|(name, value)| name == "continuous_usage_stats" && *value == "true");
        Self::AtEnd { piece: None, in_every_piece }
    }

    /// Takes the usage out of a piece. Returns `None` if nothing else was in the piece.
    fn extract(&mut self, mut received: Box<pb::StreamChatResponse>) -> Option<Box<pb::StreamChatResponse>> {
        match self {
            // Clients that did not request usage index into the empty choices of a usage piece.
            Self::Omitted => (!received.choices.is_empty()).then_some(received),
            Self::AtEnd { .. } if received.usage.is_none() => Some(received),
            Self::AtEnd { piece, .. } if received.choices.is_empty() => {
                *piece = Some(received);
                None
            }
            Self::AtEnd { piece, in_every_piece } => {
                let usage = if *in_every_piece { received.usage.clone() } else { received.usage.take() };
                piece.get_or_insert_default().usage = usage;
                Some(received)
            }
        }
    }
}

impl Normalized {
    /// Normalises the pieces of a response of the model with this public name.
    pub(super) fn new(pieces: Chunks<ChatChunk>, model: String, usage: Usage) -> Self {
        Self { pieces, usage, id: String::new(), create_time: None, model }
    }

    fn normalize(&mut self, piece: &mut pb::StreamChatResponse) {
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

    /// Returns the usage piece after the end of the stream.
    fn usage_piece(&mut self) -> Option<ChatChunk> {
        let Usage::AtEnd { piece, .. } = &mut self.usage else { return None };
        let mut piece = piece.take()?;
        self.normalize(&mut piece);
        // Not every stream may be polled again after its end.
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
                    let Some(mut piece) = this.usage.extract(piece) else { continue };
                    this.normalize(&mut piece);
                    Some(Ok(ChatChunk::Full(piece)))
                }
                // The piece that it repeats with another text is already normalised.
                Some(Ok(text @ ChatChunk::Text(_))) => Some(Ok(text)),
                Some(Err(error)) => Some(Err(failed(error))),
                None => this.usage_piece().map(Ok),
            });
        }
    }
}
