//! Which call a piece of a streamed one belongs to, where the upstream does not say.
//!
//! Clients gather a call's pieces by its index. Some upstreams, Gemini's compatible mode for one, leave it out, and several
//! calls would become one with a rubbish of arguments. An index that is there is believed, whatever the id: some upstreams
//! make up a new one for each piece.

use triptych_proto::v1 as pb;

/// The index of a piece of a call that was sent without one, until [`CallNumbers`] gives it one.
pub const NO_INDEX: u32 = u32::MAX;

/// Calls of one choice whose ids are remembered, which is more than any answer has.
const REMEMBERED: usize = 128;

/// Numbers the calls of one streamed answer.
#[derive(Debug, Default)]
pub struct CallNumbers(Vec<Choice>);

/// The calls of one choice so far.
#[derive(Debug)]
struct Choice {
    index: u32,
    /// The call of the last piece.
    last: u32,
    /// How many there are, counted by the highest index.
    count: u32,
    ids: Vec<(String, u32)>,
}

impl CallNumbers {
    /// Gives every piece of a call without an index the one it means. An id tells its call; an id that is new, or a
    /// function's name without an id, begins the next one; anything else goes on with the last one.
    pub fn number(&mut self, piece: &mut pb::StreamChatResponse) {
        for choice in &mut piece.choices {
            if let Some(delta) = &mut choice.delta {
                for call in &mut delta.tool_calls {
                    self.choice(choice.index).number(call);
                }
            }
        }
    }

    fn choice(&mut self, index: u32) -> &mut Choice {
        let place = self.0.iter().position(|choice| choice.index == index).unwrap_or_else(|| {
            self.0.push(Choice { index, last: 0, count: 0, ids: Vec::new() });
            self.0.len() - 1
        });
        &mut self.0[place]
    }
}

impl Choice {
    fn number(&mut self, call: &mut pb::ToolCallDelta) {
        let id = call.id.as_deref().filter(|id| !id.is_empty());
        let known = id.and_then(|id| Some(self.ids.iter().find(|(other, _)| other == id)?.1));
        if call.index == NO_INDEX {
            let named = call.function.as_ref().and_then(|function| function.name.as_ref());
            let begins = id.is_some() || named.is_some_and(|name| !name.is_empty()) || self.count == 0;
            call.index = known.unwrap_or(if begins { self.count } else { self.last });
        }
        self.last = call.index;
        self.count = self.count.max(call.index.saturating_add(1));
        if let (Some(id), None, true) = (id, known, self.ids.len() < REMEMBERED) {
            self.ids.push((id.to_owned(), call.index));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::read_chunk;

    /// The indexes that the calls of these deltas get, `tool_calls` of one delta after another.
    fn numbered(deltas: &[&str]) -> Vec<Vec<u32>> {
        let mut numbers = CallNumbers::default();
        let calls = |calls: &&str| {
            let event = format!(r#"{{"choices":[{{"index":0,"delta":{{"tool_calls":{calls}}}}}]}}"#);
            let mut piece = read_chunk(event.as_bytes()).unwrap().response;
            numbers.number(&mut piece);
            piece.choices[0].delta.as_ref().unwrap().tool_calls.iter().map(|call| call.index).collect()
        };
        deltas.iter().map(calls).collect()
    }

    #[test]
    fn an_index_is_believed() {
        let deltas =
            [r#"[{"index":1,"id":"a"},{"index":0,"id":"b"}]"#, r#"[{"index":1,"id":"c"}]"#, r#"[{"index":7}]"#];
        assert_eq!(numbered(&deltas), [vec![1, 0], vec![1], vec![7]]);
    }

    #[test]
    fn whole_calls_without_an_index_are_counted_in_one_piece_or_in_several() {
        let (a, b) =
            (r#"{"id":"a","function":{"name":"f","arguments":"{}"}}"#, r#"{"id":"b","function":{"name":"f"}}"#);
        assert_eq!(numbered(&[&format!("[{a},{b}]")]), [[0, 1]]);
        assert_eq!(numbered(&[&format!("[{a}]"), &format!("[{b}]")]), [[0], [1]]);
        let nameless = r#"[{"id":"","function":{"name":"f","arguments":"{}"}},{"function":{"name":"f"}}]"#;
        assert_eq!(numbered(&[nameless, nameless]), [[0, 1], [2, 3]]);
    }

    #[test]
    fn a_piece_without_an_index_goes_on_with_the_call_of_its_id_or_with_the_last_one() {
        let more = r#"[{"function":{"arguments":"1"}}]"#;
        let deltas = [r#"[{"id":"a"}]"#, more, r#"[{"index":null,"id":"b"}]"#, more, r#"[{"id":"a"}]"#, more];
        assert_eq!(numbered(&deltas), [[0], [0], [1], [1], [0], [0]]);
        assert_eq!(numbered(&[more, more, r#"[{"id":""}]"#]), [[0], [0], [0]]);
        assert_eq!(numbered(&[r#"[{"index":3,"id":"a"}]"#, r#"[{"id":"b"}]"#, r#"[{"id":"a"}]"#]), [[3], [4], [3]]);
    }

    #[test]
    fn choices_are_numbered_apart_and_ids_without_end_are_not_kept() {
        let event = br#"{"choices":[{"index":1,"delta":{"tool_calls":[{"id":"a"}]}},{"index":0,"delta":{"tool_calls":[{"id":"b"}]}}]}"#;
        let mut piece = read_chunk(event).unwrap().response;
        let mut numbers = CallNumbers::default();
        numbers.number(&mut piece);
        assert!(piece.choices.iter().all(|choice| choice.delta.as_ref().unwrap().tool_calls[0].index == 0));
        for number in 0..1000 {
            let id = Some(format!("call {number}"));
            let mut call = pb::ToolCallDelta { index: NO_INDEX, id, ..pb::ToolCallDelta::default() };
            numbers.choice(0).number(&mut call);
            assert_eq!(call.index, number + 1);
        }
        assert_eq!(numbers.choice(0).ids.len(), REMEMBERED);
    }
}
