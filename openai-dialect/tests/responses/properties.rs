//! Any division of a response into chunks gives the response of the complete one.

use proptest::{prelude::*, sample::Index, test_runner::Config};
use serde_json::{Value, json};

use crate::upstream::{NOW, checked, completion, delta, end, request, stream_chunks, writer};

/// A response of an upstream.
#[derive(Debug, Clone)]
struct Answer {
    reasoning: String,
    content: String,
    /// Names and arguments of calls.
    calls: Vec<(String, String)>,
}

fn answer() -> impl Strategy<Value = Answer> {
    // Arguments are objects, whose end is recognised, or empty.
    let arguments = prop_oneof![
        Just(String::new()),
        "[a-z\"\\\\{}\\[\\]é]{0,12}".prop_map(|text| json!({"x": [text, {"y": {}}]}).to_string()),
    ];
    let call = ("[a-z]{1,4}", arguments);
    let calls = proptest::collection::vec(call, 0..4);
    ("[a-zé\n\"]{0,12}", "[ a-zé\n\"😀]{0,24}", calls).prop_map(|(reasoning, content, calls)| Answer {
        reasoning,
        content,
        calls,
    })
}

/// Divides a text at these positions.
fn pieces(text: &str, splits: &[Index]) -> Vec<String> {
    let mut ends: Vec<_> =
        splits.iter().map(|split| split.index(text.len() + 1)).filter(|end| text.is_char_boundary(*end)).collect();
    ends.push(text.len());
    ends.sort_unstable();
    let mut start = 0;
    let mut pieces = Vec::new();
    for end in ends {
        pieces.push(text[start..end].to_owned());
        start = end;
    }
    pieces
}

/// Returns the chunks of the answer. `interleave`: pieces of parallel calls alternate.
fn chunks(answer: &Answer, splits: &[Index], interleave: bool) -> Vec<Value> {
    let mut deltas = Vec::new();
    deltas.extend(pieces(&answer.reasoning, splits).iter().map(|text| json!({"reasoning_content": text})));
    deltas.extend(pieces(&answer.content, splits).iter().map(|text| json!({"content": text})));
    let mut calls = Vec::new();
    for (index, (name, arguments)) in answer.calls.iter().enumerate() {
        let begin = json!({"index": index, "id": format!("c{index}"), "type": "function", "function": {"name": name, "arguments": ""}});
        calls.push((0, begin));
        for (position, piece) in pieces(arguments, splits).iter().enumerate() {
            calls.push((position + 1, json!({"index": index, "function": {"arguments": piece}})));
        }
    }
    if interleave {
        calls.sort_by_key(|(position, _)| *position);
    }
    deltas.extend(calls.iter().map(|(_, call)| json!({"content": "", "tool_calls": [call]})));
    deltas.iter().map(delta).chain(end("stop")).collect()
}

fn whole(answer: &Answer) -> Value {
    let calls = answer.calls.iter().enumerate().map(|(index, (name, arguments))| {
        json!({"id": format!("c{index}"), "type": "function", "function": {"name": name, "arguments": arguments}})
    });
    let calls: Vec<_> = calls.collect();
    let message = json!({"role": "assistant", "content": answer.content, "reasoning_content": answer.reasoning, "tool_calls": calls});
    let usage = end("stop")[1]["usage"].clone();
    json!({"id": "c", "created": 7, "model": "m", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage})
}

proptest! {
    #![proptest_config(Config { cases: 96, failure_persistence: None, ..Config::default() })]

    #[test]
    fn chunks_and_complete_response_give_the_same_response(
        answer in answer(),
        splits in proptest::collection::vec(any::<Index>(), 0..6),
        interleave in any::<bool>(),
    ) {
        let document = json!({"model": "public", "input": "Hi"});
        let (events, streamed) = stream_chunks(&document, &chunks(&answer, &splits, interleave));
        checked(&events, &streamed);
        let mut writer = writer(&request(&document));
        let mut events = writer.start();
        events.extend(writer.completion(completion(&whole(&answer))));
        events.extend(writer.end_turn().events);
        events.extend(writer.finish(NOW));
        let complete: Value = serde_json::from_str(&writer.response_json()).unwrap();
        checked(&events, &complete);
        prop_assert_eq!(streamed, complete);
    }
}
