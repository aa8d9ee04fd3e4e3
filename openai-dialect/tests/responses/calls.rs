//! The events of function calls and of calls of custom tools, in full. The first two, `created` and `in_progress`, are those of every
//! response. `call(INDEX, ID, NAME, ARGUMENTS)` begins a call of the upstream, `more(INDEX, ARGUMENTS)` continues it; an expected line is
//! an event in short form: its name, the position of its item in the output, and what it adds.

use serde_json::json;

use crate::upstream::{ID, call, checked, hello, more, stream};

#[test]
fn parallel_calls_follow_each_other() {
    let deltas = [
        json!({"role": "assistant", "content": null}),
        call(0, "a", "f", ""),
        more(0, "{\"x\""),
        more(0, ":1}"),
        call(1, "b", "g", ""),
        more(1, "{}"),
    ];
    let (events, response) = stream(&hello(), &deltas, "tool_calls");
    assert_eq!(
        checked(&events, &response)[2..],
        [
            "output_item.added 0 function_call in_progress",
            "function_call_arguments.delta 0 {\"x\"",
            "function_call_arguments.delta 0 :1}",
            "function_call_arguments.done 0 {\"x\":1}",
            "output_item.done 0 function_call completed",
            "output_item.added 1 function_call in_progress",
            "function_call_arguments.delta 1 {}",
            "function_call_arguments.done 1 {}",
            "output_item.done 1 function_call completed",
            "completed completed",
        ]
    );
    let digits = ID.strip_prefix("resp_").unwrap();
    let expected = json!({
        "id": format!("fc_{digits}10000"), "type": "function_call", "status": "completed", "arguments": "{\"x\":1}",
        "call_id": "a", "name": "f",
    });
    assert_eq!(response["output"][0], expected);
}

#[test]
fn interleaved_calls_stay_open_until_their_arguments_are_complete() {
    let deltas = [
        call(1, "b", "g", "{\"y\""),
        call(0, "a", "f", "{"),
        more(1, ":2}"),
        more(0, "}"),
        more(0, "\n"),
        json!({"content": " "}),
        json!({"content": "Done"}),
        more(0, "ignored"),
    ];
    let (events, response) = stream(&hello(), &deltas, "tool_calls");
    assert_eq!(
        checked(&events, &response)[2..],
        [
            "output_item.added 0 function_call in_progress",
            "function_call_arguments.delta 0 {\"y\"",
            "output_item.added 1 function_call in_progress",
            "function_call_arguments.delta 1 {",
            "function_call_arguments.delta 0 :2}",
            "function_call_arguments.delta 1 }",
            "function_call_arguments.delta 1 \n",
            "function_call_arguments.done 0 {\"y\":2}",
            "output_item.done 0 function_call completed",
            "function_call_arguments.done 1 {}\n",
            "output_item.done 1 function_call completed",
            "output_item.added 2 message in_progress",
            "content_part.added 2 0 output_text",
            "output_text.delta 2 0 Done",
            "output_text.done 2 0 Done",
            "content_part.done 2 0 output_text",
            "output_item.done 2 message completed",
            "completed completed",
        ]
    );
}

#[test]
fn calls_without_id_index_or_arguments_are_completed() {
    let deltas = [
        json!({"content": "Let me see.", "tool_calls": [{"function": {"name": "f"}}]}),
        json!({"tool_calls": [{"id": "", "function": {"name": "g", "arguments": "{\"a\":1}"}}]}),
    ];
    let (events, response) = stream(&hello(), &deltas, "tool_calls");
    assert_eq!(
        checked(&events, &response)[2..],
        [
            "output_item.added 0 message in_progress",
            "content_part.added 0 0 output_text",
            "output_text.delta 0 0 Let me see.",
            "output_text.done 0 0 Let me see.",
            "content_part.done 0 0 output_text",
            "output_item.done 0 message completed",
            "output_item.added 1 function_call in_progress",
            "output_item.added 2 function_call in_progress",
            "function_call_arguments.delta 2 {\"a\":1}",
            "function_call_arguments.delta 1 {}",
            "function_call_arguments.done 1 {}",
            "output_item.done 1 function_call completed",
            "function_call_arguments.done 2 {\"a\":1}",
            "output_item.done 2 function_call completed",
            "completed completed",
        ]
    );
    let output = response["output"].as_array().unwrap();
    assert!(output[1]["call_id"].as_str().unwrap().starts_with("call_"));
    assert_ne!(output[1]["call_id"], output[2]["call_id"]);
}

#[test]
fn call_whose_name_follows_is_added_with_its_name() {
    let deltas = [
        json!({"tool_calls": [{"index": 0, "id": "a", "function": {"arguments": "{\"x\""}}]}),
        json!({"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": ":1}"}}]}),
    ];
    let (events, response) = stream(&hello(), &deltas, "tool_calls");
    assert_eq!(
        checked(&events, &response)[2..5],
        [
            "output_item.added 0 function_call in_progress",
            "function_call_arguments.delta 0 {\"x\"",
            "function_call_arguments.delta 0 :1}",
        ]
    );
    assert_eq!((&response["output"][0]["name"], &response["output"][0]["call_id"]), (&json!("f"), &json!("a")));
}

#[test]
fn custom_tool_call_has_its_input() {
    let document = json!({"input": "Hi", "tools": [{"type": "custom", "name": "shell"}]});
    let (events, response) =
        stream(&document, &[call(0, "a", "shell", "{\"input\":\"l"), more(0, "s\"}")], "tool_calls");
    assert_eq!(
        checked(&events, &response)[2..],
        [
            "output_item.added 0 custom_tool_call in_progress",
            "custom_tool_call_input.delta 0 ls",
            "custom_tool_call_input.done 0 ls",
            "output_item.done 0 custom_tool_call completed",
            "completed completed",
        ]
    );
    assert_eq!(response["output"][0]["input"], "ls");
    let (_, response) = stream(&document, &[call(0, "a", "shell", "ls -l")], "tool_calls");
    assert_eq!(response["output"][0]["input"], "ls -l");
}
