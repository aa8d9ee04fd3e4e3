//! The pieces of a streamed chat answer on their way through a process.
//!
//! Between its first and its last piece, an answer says the same over and over: the pieces differ in one text. Within a
//! process they travel folded, as that text alone; [`ChatStream`] is both what the service trait asks for, whole
//! messages, and what a caller who can make use of it takes instead.

use std::{
    mem,
    pin::Pin,
    task::{Context, Poll},
};

use tonic::{
    Status,
    codegen::{BoxStream, tokio_stream::Stream},
};

use crate::v1 as pb;

/// One piece of a streamed answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// All of it.
    Whole(Box<pb::StreamChatResponse>),
    /// The piece before it once more, with this text in the [`Place`] of its own. Follows only a piece that has such a
    /// place; whoever leaves out pieces or changes texts must leave those with a place as they are.
    Text(String),
}

impl From<pb::StreamChatResponse> for Piece {
    fn from(response: pb::StreamChatResponse) -> Self {
        Self::Whole(Box::new(response))
    }
}

/// The text that changes from piece to piece: of a piece with one choice and no calls of functions, the content, or else
/// the reasoning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The `content` of the delta.
    Content,
    /// Its `reasoning_content`.
    Reasoning,
}

impl Place {
    /// Where a piece has a text that is not empty.
    pub fn of(piece: &pb::StreamChatResponse) -> Option<Self> {
        let [choice] = &*piece.choices else { return None };
        let delta = choice.delta.as_ref().filter(|delta| delta.tool_calls.is_empty())?;
        let has = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        (has(&delta.content).then_some(Self::Content)).or(has(&delta.reasoning_content).then_some(Self::Reasoning))
    }

    /// The text in this place, if the piece has one.
    pub fn text(self, piece: &mut pb::StreamChatResponse) -> Option<&mut String> {
        let delta = piece.choices.first_mut()?.delta.as_mut()?;
        match self {
            Self::Content => delta.content.as_mut(),
            Self::Reasoning => delta.reasoning_content.as_mut(),
        }
    }

    /// Puts a text in this place, if the piece has one.
    pub fn put(self, piece: &mut pb::StreamChatResponse, text: String) {
        if let Some(place) = self.text(piece) {
            *place = text;
        }
    }
}

/// Folds the pieces of one answer.
#[derive(Debug, Default)]
pub struct Fold {
    /// The last piece, its text taken out.
    last: Option<(Place, pb::StreamChatResponse)>,
}

impl Fold {
    /// The next piece: its text, where that is all that is new in it.
    pub fn fold(&mut self, mut piece: pb::StreamChatResponse) -> Piece {
        let Some(place) = Place::of(&piece) else {
            self.last = None;
            return piece.into();
        };
        let text = place.text(&mut piece).map(mem::take).unwrap_or_default();
        if self.last.as_ref().is_some_and(|(last_place, last)| *last_place == place && *last == piece) {
            return Piece::Text(text);
        }
        self.last = Some((place, piece.clone()));
        place.put(&mut piece, text);
        piece.into()
    }
}

/// Unfolds the pieces of one answer.
#[derive(Debug, Default)]
pub struct Unfold {
    /// The last piece that was whole, if it has a place.
    last: Option<(Place, Box<pb::StreamChatResponse>)>,
}

impl Unfold {
    /// The next piece as a message of its own.
    pub fn unfold(&mut self, piece: Piece) -> pb::StreamChatResponse {
        match (piece, &self.last) {
            (Piece::Whole(piece), _) => {
                self.last = Place::of(&piece).map(|place| (place, piece.clone()));
                *piece
            }
            (Piece::Text(text), Some((place, last))) => {
                let mut piece = pb::StreamChatResponse::clone(last);
                place.put(&mut piece, text);
                piece
            }
            // Nothing that this text could belong to: no stream of ours does that, and an empty piece harms nobody.
            (Piece::Text(_), None) => pb::StreamChatResponse::default(),
        }
    }
}

/// A streamed answer. As a [`Stream`] it yields whole messages. Dropping it cancels the call.
pub struct ChatStream {
    pieces: BoxStream<Piece>,
    unfold: Unfold,
}

impl ChatStream {
    /// An answer in these pieces.
    pub fn new(pieces: impl Stream<Item = Result<Piece, Status>> + Send + 'static) -> Self {
        Self { pieces: Box::pin(pieces), unfold: Unfold::default() }
    }

    /// Its pieces, folded where they can be.
    pub fn into_pieces(self) -> BoxStream<Piece> {
        self.pieces
    }
}

impl Stream for ChatStream {
    type Item = Result<pb::StreamChatResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        this.pieces.as_mut().poll_next(cx).map(|next| next.map(|piece| Ok(this.unfold.unfold(piece?))))
    }
}

impl std::fmt::Debug for ChatStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChatStream").finish_non_exhaustive()
    }
}
