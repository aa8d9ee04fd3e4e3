//! Reads the events of an upstream's stream as chunks.

use triptych_proto::chat_stream::{ChatChunk, TextField};

use super::{surrogates::PendingSurrogates, template::EventTemplate};
use crate::{
    chat::chunk::{UpstreamChunk, read_exact_chunk, read_lenient_chunk},
    json::error::ReadError,
};

/// The content of one event of an upstream's stream.
#[derive(Debug, Clone, PartialEq)]
pub enum ChunkEvent {
    /// A chunk of the response.
    Chunk(ChatChunk),
    /// The stream failed. Carries the JSON text of the `error` member.
    Error(String),
}

/// Reads the events of one stream, with the same result as [`read_chunk`](crate::chat::read_chunk) for each of them,
/// except that characters which were cut between two events are joined.
#[derive(Debug, Default)]
pub struct ChunkReader {
    /// The JSON around the text of the last chunk from which it was learned.
    template: Option<EventTemplate>,
    /// Whether the last chunk has the form of `template`, so that a [`ChatChunk::Text`] may follow.
    last_matched: bool,
    budget: LearningBudget,
    /// First halves of characters whose second half has not arrived.
    halves: PendingSurrogates,
}

/// Limits how often a template is learned, which costs about as much as reading two chunks. Without the limit, a stream
/// whose chunks all differ would pay for it with every chunk.
#[derive(Debug)]
struct LearningBudget(u32);

impl Default for LearningBudget {
    fn default() -> Self {
        Self(Self::MAX)
    }
}

impl LearningBudget {
    /// The price of learning a template. A chunk that matches a template earns 1.
    const COST: u32 = 8;
    /// The budget of a new stream, and the most that a stream can save: enough for four templates.
    const MAX: u32 = 4 * Self::COST;

    fn earn(&mut self) {
        self.0 = (self.0 + 1).min(Self::MAX);
    }

    /// Pays for learning a template. Returns `false` if the budget is insufficient.
    fn spend(&mut self) -> bool {
        let left = self.0.checked_sub(Self::COST);
        self.0 = left.unwrap_or(self.0);
        left.is_some()
    }
}

impl ChunkReader {
    /// Parses the data of the next event.
    pub fn read(&mut self, data: &[u8]) -> Result<ChunkEvent, ReadError> {
        if self.halves.is_empty()
            && let Some(template) = &self.template
            && let Some(text) = template.match_text(data)
        {
            self.budget.earn();
            let repeats = std::mem::replace(&mut self.last_matched, true);
            let chunk = if repeats { ChatChunk::Text(text) } else { template.response_with(text).into() };
            return Ok(ChunkEvent::Chunk(chunk));
        }
        self.last_matched = false;
        let exact = read_exact_chunk(data);
        let is_exact = exact.is_some();
        let UpstreamChunk { mut response, error } = exact.map_or_else(|| read_lenient_chunk(data), Ok)?;
        if let Some(error) = error {
            return Ok(ChunkEvent::Error(error));
        }
        // Only an escape can be half of a surrogate pair.
        let may_be_cut = || data.windows(3).any(|escape| escape.eq_ignore_ascii_case(b"\\ud"));
        if !self.halves.is_empty() || (!is_exact && may_be_cut()) {
            self.halves.complete(data, &mut response);
        }
        if !is_exact {
            return Ok(ChunkEvent::Chunk(response.into()));
        }
        if let Some(field) = TextField::find(&response)
            && self.budget.spend()
        {
            self.template = EventTemplate::learn(field, data, &response);
            self.last_matched = self.template.is_some();
        }
        Ok(ChunkEvent::Chunk(response.into()))
    }

    #[cfg(test)]
    pub(super) fn has_budget(&self) -> bool {
        self.budget.0 >= LearningBudget::COST
    }

    #[cfg(test)]
    pub(super) fn has_template(&self) -> bool {
        self.template.is_some()
    }
}
