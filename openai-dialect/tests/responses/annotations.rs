//! Citations of the upstream as annotations of texts.

use serde_json::{Value, json};

use crate::upstream::{NOW, checked, completion, hello, request, stream, writer};

/// Returns an annotation in the form of chat completions.
fn citation(url: &str) -> Value {
    json!({"type": "url_citation", "url_citation": {"url": url, "title": "A page", "start_index": 0, "end_index": 2}})
}

/// Returns the same annotation in the form of the Responses API.
fn annotation(url: &str) -> Value {
    json!({"type": "url_citation", "url": url, "title": "A page", "start_index": 0, "end_index": 2})
}

/// Returns the annotations of the first text of a response.
fn annotations(response: &Value) -> &Value {
    &response["output"][0]["content"][0]["annotations"]
}

/// Returns the response to a request without streaming, for which the upstream sends this message.
fn complete(message: &Value) -> Value {
    let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
    let mut writer = writer(&request(&hello()));
    let mut events = writer.start();
    events.extend(writer.completion(completion(&json!({"id": "c", "created": 7, "model": "m", "choices": [choice]}))));
    events.extend(writer.finish(NOW));
    let response = serde_json::from_str(&writer.response_json()).unwrap();
    checked(&events, &response);
    response
}

#[test]
fn citations_become_annotations_of_the_text() {
    // The first one arrives before the text.
    let deltas = [
        json!({"annotations": [citation("a")]}),
        json!({"content": "Hi"}),
        json!({"content": "", "annotations": [citation("b"), {"type": "file"}]}),
    ];
    let (events, response) = stream(&hello(), &deltas, "stop");
    assert_eq!(
        checked(&events, &response)[2..8],
        [
            "output_item.added 0 message in_progress",
            "content_part.added 0 0 output_text",
            "output_text.delta 0 0 Hi",
            "output_text.annotation.added 0 0 0 url_citation a",
            "output_text.annotation.added 0 0 1 url_citation b",
            "output_text.done 0 0 Hi",
        ]
    );
    assert_eq!(annotations(&response), &json!([annotation("a"), annotation("b")]));
}

#[test]
fn citations_of_a_complete_response_belong_to_its_text() {
    let message = json!({"role": "assistant", "content": "Hi", "refusal": "no", "annotations": [citation("a")]});
    let response = complete(&message);
    assert_eq!(annotations(&response), &json!([annotation("a")]));
    assert_eq!(response["output"][0]["content"][1], json!({"type": "refusal", "refusal": "no"}));
}

#[test]
fn citation_gets_the_members_that_clients_require() {
    let bare = json!({"type": "url_citation", "url_citation": {"url": "a", "content": "x", "title": null, "start_index": 1.5}});
    let response = complete(&json!({"role": "assistant", "content": "Hi", "annotations": [bare]}));
    let expected =
        json!({"type": "url_citation", "url": "a", "title": "", "start_index": 0, "end_index": 0, "content": "x"});
    assert_eq!(annotations(&response), &json!([expected]));
}

#[test]
fn event_of_a_citation_is_one_line() {
    let text = r#"{"id": "c", "created": 7, "model": "m", "choices": [{"index": 0, "delta": {"content": "Hi", "annotations": [
        {"type": "url_citation", "url_citation":
            {"url": "a b", "x": [1,
             2]}}]}}]}"#;
    let chunk = openai_dialect::chat::read_chunk(text.as_bytes()).unwrap().response;
    let events = writer(&request(&hello())).chunk(chunk);
    let event = events.iter().find(|event| event.name == "response.output_text.annotation.added").unwrap();
    assert!(event.data.contains(r#""url":"a b""#) && event.data.contains(r#""x":[1,2]"#), "{}", event.data);
    assert!(!event.data.contains('\n'), "{}", event.data);
}

#[test]
fn annotations_of_other_types_are_left_out() {
    for value in [
        json!(null),
        json!("x"),
        json!([]),
        json!([1, {"type": "file", "file": {"hash": "h"}}, {"url_citation": {"url": "u"}}]),
        json!([{"type": "url_citation"}, {"type": "url_citation", "url_citation": {"title": "t"}}]),
        json!([{"type": "url_citation", "url_citation": {"url": 1}}]),
    ] {
        let response = complete(&json!({"role": "assistant", "content": "Hi", "annotations": value}));
        assert_eq!(annotations(&response), &json!([]), "{value}");
    }
}
