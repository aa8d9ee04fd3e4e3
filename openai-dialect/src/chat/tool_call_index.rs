//! Assigns indexes to streamed tool calls of upstreams that omit them or label all calls with the same one.
//!
//! Clients concatenate the deltas of a call by its index. Some upstreams omit it, for example Gemini's OpenAI-compatible
//! endpoint, and some send index 0 for each of several parallel calls; the arguments of several calls would be concatenated
//! into one invalid text. A new id together with a function name therefore begins a new call. A new id alone does not,
//! because some upstreams send a new id with every delta.

use triptych_proto::v1 as pb;

/// The index of a tool call delta that was received without one.
pub const NO_INDEX: u32 = u32::MAX;

/// Maximum number of calls that are remembered per choice. Real responses have fewer.
const MAX_IDS: usize = 128;

/// Assigns the missing indexes in the tool calls of one stream.
#[derive(Debug, Default)]
pub struct ToolCallIndexer(Vec<Choice>);

/// The tool calls of one choice so far.
#[derive(Debug)]
struct Choice {
    index: u32,
    /// The call index of the last delta.
    last: u32,
    /// The highest call index so far plus one.
    count: u32,
    /// Known call ids and their indexes.
    ids: Vec<(String, u32)>,
    /// The upstream's index of the last call, and the index assigned to it, where they differ.
    renumbered: Option<(u32, u32)>,
    /// Indexes of the calls that have an id and a function name.
    begun: Vec<u32>,
}

impl ToolCallIndexer {
    /// Replaces every [`NO_INDEX`], and every index of a call that begins although another call has that index.
    ///
    /// A delta with a known id continues that call. A delta with a new id, or with a function name and no id, starts the
    /// next call. Any other delta continues the last call.
    pub fn assign(&mut self, chunk: &mut pb::StreamChatResponse) {
        for choice in &mut chunk.choices {
            if let Some(delta) = &mut choice.delta {
                for call in &mut delta.tool_calls {
                    self.choice(choice.index).assign(call);
                }
            }
        }
    }

    fn choice(&mut self, index: u32) -> &mut Choice {
        let position = self.0.iter().position(|choice| choice.index == index).unwrap_or_else(|| {
            self.0.push(Choice { index, last: 0, count: 0, ids: Vec::new(), renumbered: None, begun: Vec::new() });
            self.0.len() - 1
        });
        &mut self.0[position]
    }
}

impl Choice {
    fn assign(&mut self, call: &mut pb::ToolCallDelta) {
        let id = call.id.as_deref().filter(|id| !id.is_empty());
        let known = id.and_then(|id| Some(self.ids.iter().find(|(other, _)| other == id)?.1));
        let name = call.function.as_ref().and_then(|function| function.name.as_deref());
        let has_name = name.is_some_and(|name| !name.is_empty());
        let begins = id.is_some() && known.is_none() && has_name;
        if call.index == NO_INDEX {
            let starts_call = id.is_some() || has_name || self.count == 0;
            call.index = known.unwrap_or(if starts_call { self.count } else { self.last });
        } else if begins && self.begun.contains(&call.index) {
            self.renumbered = Some((call.index, self.count));
            call.index = self.count;
        } else if let Some((theirs, ours)) = self.renumbered
            && theirs == call.index
        {
            call.index = known.unwrap_or(ours);
        }
        if begins && self.begun.len() < MAX_IDS {
            self.begun.push(call.index);
        }
        self.last = call.index;
        self.count = self.count.max(call.index.saturating_add(1));
        if let (Some(id), None, true) = (id, known, self.ids.len() < MAX_IDS) {
            self.ids.push((id.to_owned(), call.index));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::read_chunk;

    /// Returns the indexes of the calls in consecutive deltas, given by their `tool_calls`.
    fn indexes(deltas: &[&str]) -> Vec<Vec<u32>> {
        let mut indexer = ToolCallIndexer::default();
        let calls = |calls: &&str| {
            let event = format!(r#"{{"choices":[{{"index":0,"delta":{{"tool_calls":{calls}}}}}]}}"#);
            let mut chunk = read_chunk(event.as_bytes()).unwrap().response;
            indexer.assign(&mut chunk);
            chunk.choices[0].delta.as_ref().unwrap().tool_calls.iter().map(|call| call.index).collect()
        };
        deltas.iter().map(calls).collect()
    }

    #[test]
    fn present_index_is_kept() {
        let deltas =
            [r#"[{"index":1,"id":"a"},{"index":0,"id":"b"}]"#, r#"[{"index":1,"id":"c"}]"#, r#"[{"index":7}]"#];
        assert_eq!(indexes(&deltas), [vec![1, 0], vec![1], vec![7]]);
    }

    #[test]
    fn new_id_with_a_function_name_begins_a_call_even_if_its_index_is_taken() {
        let begin = |id: &str| format!(r#"{{"index":0,"id":"{id}","function":{{"name":"f","arguments":"{{"}}}}"#);
        let more = r#"{"index":0,"function":{"arguments":"}"}}"#;
        let deltas = [
            format!("[{}]", begin("a")),
            format!("[{more}]"),
            format!("[{},{more}]", begin("b")),
            format!("[{}]", begin("c")),
            format!("[{more}]"),
        ];
        assert_eq!(indexes(&deltas.each_ref().map(String::as_str)), [vec![0], vec![0], vec![1, 1], vec![2], vec![2]]);
        // The same id again, and a new id without a name, continue the call.
        let deltas = [format!("[{}]", begin("a")), format!("[{}]", begin("a")), r#"[{"index":0,"id":"b"}]"#.to_owned()];
        assert_eq!(indexes(&deltas.each_ref().map(String::as_str)), [[0], [0], [0]]);
    }

    #[test]
    fn complete_calls_without_index_are_numbered_across_chunks() {
        let (a, b) =
            (r#"{"id":"a","function":{"name":"f","arguments":"{}"}}"#, r#"{"id":"b","function":{"name":"f"}}"#);
        assert_eq!(indexes(&[&format!("[{a},{b}]")]), [[0, 1]]);
        assert_eq!(indexes(&[&format!("[{a}]"), &format!("[{b}]")]), [[0], [1]]);
        let without_ids = r#"[{"id":"","function":{"name":"f","arguments":"{}"}},{"function":{"name":"f"}}]"#;
        assert_eq!(indexes(&[without_ids, without_ids]), [[0, 1], [2, 3]]);
    }

    #[test]
    fn delta_without_index_continues_the_call_with_its_id_or_the_last_call() {
        let more = r#"[{"function":{"arguments":"1"}}]"#;
        let deltas = [r#"[{"id":"a"}]"#, more, r#"[{"index":null,"id":"b"}]"#, more, r#"[{"id":"a"}]"#, more];
        assert_eq!(indexes(&deltas), [[0], [0], [1], [1], [0], [0]]);
        assert_eq!(indexes(&[more, more, r#"[{"id":""}]"#]), [[0], [0], [0]]);
        assert_eq!(indexes(&[r#"[{"index":3,"id":"a"}]"#, r#"[{"id":"b"}]"#, r#"[{"id":"a"}]"#]), [[3], [4], [3]]);
    }

    #[test]
    fn choices_are_numbered_separately_and_remembered_ids_are_bounded() {
        let event = br#"{"choices":[{"index":1,"delta":{"tool_calls":[{"id":"a"}]}},{"index":0,"delta":{"tool_calls":[{"id":"b"}]}}]}"#;
        let mut chunk = read_chunk(event).unwrap().response;
        let mut indexer = ToolCallIndexer::default();
        indexer.assign(&mut chunk);
        assert!(chunk.choices.iter().all(|choice| choice.delta.as_ref().unwrap().tool_calls[0].index == 0));
        for number in 0..1000 {
            let id = Some(format!("call {number}"));
            let mut call = pb::ToolCallDelta { index: NO_INDEX, id, ..pb::ToolCallDelta::default() };
            indexer.choice(0).assign(&mut call);
            assert_eq!(call.index, number + 1);
        }
        assert_eq!(indexer.choice(0).ids.len(), MAX_IDS);
    }
}
