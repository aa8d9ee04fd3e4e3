//! Requests that continue earlier responses, and calls of functions.

use serde_json::json;

use super::{body, completion, create, get, id, output_text, text};
use crate::test_server::with_local_and_remote_core;

#[tokio::test]
async fn previous_response_id_continues_a_conversation_of_three_turns() {
    with_local_and_remote_core(async |server| {
        let mut previous = json!({});
        for (turn, (input, answer)) in [("One", "1"), ("Two", "2"), ("Three", "3")].into_iter().enumerate() {
            server.upstream.enqueue(text(answer));
            let response = create(server, &body(input, &previous)).await;
            assert_eq!(output_text(&response), answer);
            let received = server.upstream.received().await.json();
            assert_eq!(received["messages"].as_array().unwrap().len(), 2 * turn + 1, "{received}");
            previous = json!({"previous_response_id": id(&response)});
        }
        server.upstream.enqueue(text("4"));
        create(server, &body("Four", &previous)).await;
        let received = server.upstream.received().await.json();
        let texts: Vec<_> = received["messages"].as_array().unwrap().iter().map(|m| m["content"].to_string()).collect();
        for (text, expected) in texts.iter().zip(["One", "1", "Two", "2", "Three", "3", "Four"]) {
            assert!(text.contains(expected), "{texts:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn function_call_and_its_output_make_the_round_trip() {
    with_local_and_remote_core(async |server| {
        let call = json!({"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{\"at\":1}"}});
        server.upstream.enqueue(completion(&json!({"role": "assistant", "content": null, "tool_calls": [call]}), "tool_calls"));
        let tools = json!([{"type": "function", "name": "look", "parameters": {"type": "object", "properties": {"at": {"type": "integer"}}}, "strict": false}]);
        let first = create(server, &body("Look", &json!({"tools": tools}))).await;
        let item = &first["output"][0];
        assert_eq!((&item["type"], &item["name"], &item["call_id"]), (&json!("function_call"), &json!("look"), &json!("call_1")));
        let received = server.upstream.received().await.json();
        assert_eq!(received["tools"][0]["function"]["name"], "look", "{received}");

        server.upstream.enqueue(text("A boat."));
        let output = json!([{"type": "function_call_output", "call_id": "call_1", "output": "boat"}]);
        let request = json!({"model": first["model"], "input": output, "tools": tools, "previous_response_id": id(&first)});
        assert_eq!(output_text(&create(server, &request).await), "A boat.");
        let messages = server.upstream.received().await.json()["messages"].clone();
        assert_eq!(messages[1]["tool_calls"][0]["id"], "call_1", "{messages}");
        assert_eq!((&messages[2]["role"], &messages[2]["tool_call_id"]), (&json!("tool"), &json!("call_1")), "{messages}");
    })
    .await;
}

#[tokio::test]
async fn item_reference_stands_for_an_item_of_a_stored_response() {
    with_local_and_remote_core(async |server| {
        server.upstream.enqueue(text("Blue."));
        let first = create(server, &body("Which color?", &json!({}))).await;
        server.upstream.skip_requests(1).await;
        server.upstream.enqueue(text("Because."));
        let input = json!([
            {"role": "user", "content": "Which color?"},
            {"type": "item_reference", "id": first["output"][0]["id"]},
            {"role": "user", "content": "Why?"},
        ]);
        let second = create(server, &json!({"model": first["model"], "input": input})).await;
        let messages = server.upstream.received().await.json()["messages"].clone();
        assert!(messages[1].to_string().contains("Blue."), "{messages}");
        let (status, items) = get(server, &format!("/v1/responses/{}/input_items?order=asc", id(&second))).await;
        assert_eq!((status, items["data"].as_array().unwrap().len()), (200, 3), "{items}");
    })
    .await;
}
