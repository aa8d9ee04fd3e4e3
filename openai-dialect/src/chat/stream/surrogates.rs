//! Joins surrogate pairs that the upstream cut between two chunks.
//!
//! Servers in JavaScript cut texts by UTF-16 units: one chunk ends in `\ud83d`, the first half of a character, and the
//! next begins with `\ude00`, its second half.

use triptych_proto::v1 as pb;

use crate::{
    chat::chunk::read_chunk,
    json::sanitize::{is_high, joined, surrogate, with_marked_halves},
};

/// The text of a stream: the index of the choice, and which of its texts.
type TextId = (u32, Text);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Text {
    Content,
    Refusal,
    Reasoning,
    /// The arguments of the tool call with this index.
    Arguments(u32),
}

/// First halves whose second half has not arrived: the text that each belongs to, and its code.
#[derive(Debug, Default)]
pub(super) struct PendingSurrogates(Vec<(TextId, u32)>);

impl PendingSurrogates {
    /// Returns whether no text is cut within a character.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Completes the texts of a chunk. `data` is the event from which it was read; there, halves of characters have become
    /// U+FFFD. A first half at the end of a text is held back for the next chunk.
    pub(super) fn complete(&mut self, data: &[u8], chunk: &mut pb::StreamChatResponse) {
        let marked = read_chunk(with_marked_halves(data).as_bytes());
        let marked = marked.map_or_else(|_| chunk.clone(), |read| read.response);
        for (choice, marked) in chunk.choices.iter_mut().zip(marked.choices) {
            let (index, ended) =
                (choice.index, choice.finish_reason.as_deref().is_some_and(|reason| !reason.is_empty()));
            // If the choice ends here, a half that was held back needs a delta for its U+FFFD.
            let had_delta = choice.delta.is_some();
            let delta = choice.delta.get_or_insert_default();
            let marked = marked.delta.unwrap_or_default();
            self.complete_text((index, Text::Content), &mut delta.content, marked.content, ended);
            self.complete_text((index, Text::Refusal), &mut delta.refusal, marked.refusal, ended);
            self.complete_text((index, Text::Reasoning), &mut delta.reasoning_content, marked.reasoning_content, ended);
            for (call, marked) in delta.tool_calls.iter_mut().zip(marked.tool_calls) {
                if let (Some(function), Some(marked)) = (&mut call.function, marked.function) {
                    let id = (index, Text::Arguments(call.index));
                    self.complete_text(id, &mut function.arguments, marked.arguments, ended);
                }
            }
            if !had_delta && *delta == pb::ChatDelta::default() {
                choice.delta = None;
            }
        }
    }

    /// Completes one text from its marked form, in which private-use characters stand for halves. `ended`: no chunk of
    /// the choice follows.
    fn complete_text(&mut self, id: TextId, text: &mut Option<String>, marked: Option<String>, ended: bool) {
        let held = self.0.iter().position(|(other, _)| *other == id);
        let mut rest = match marked {
            Some(marked) if !marked.is_empty() => marked,
            // The text ends, or does not go on in this chunk.
            Some(_) | None if ended && held.is_some() => String::new(),
            Some(_) | None => return,
        };
        let mut start = None;
        if let Some((_, high)) = held.map(|held| self.0.swap_remove(held)) {
            let low = rest.chars().next().and_then(|first| joined(high, surrogate(first)?));
            if low.is_some() {
                rest.remove(0);
            }
            start = Some(low.unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        if let Some(high) = rest.chars().next_back().and_then(surrogate).filter(|code| is_high(*code))
            && !ended
        {
            rest.pop();
            self.0.push((id, high));
        }
        let rest = rest.chars().map(|c| if surrogate(c).is_some() { char::REPLACEMENT_CHARACTER } else { c });
        *text = Some(start.into_iter().chain(rest).collect());
    }
}
