//! Tool calls: selection and arguments.

#![expect(clippy::unwrap_used, reason = "a panic in a helper fails the calling test")]

use offline_chat::{Error, FinishReason, Request, Role, Tool, ToolCall, ToolChoice, Turn, complete};
use serde_json::{Value, json};

fn weather() -> Tool {
    Tool {
        name: "get_weather".into(),
        description: "Get the current weather for a location".into(),
        parameters: json!({"type": "object", "properties": {
            "location": {"type": "string", "description": "City name"},
            "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]}
        }, "required": ["location"]}),
    }
}

fn tool(name: &str, properties: &Value, required: &Value) -> Tool {
    let parameters =
        json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false});
    Tool { name: name.into(), description: String::new(), parameters }
}

fn calls(text: &str, tools: Vec<Tool>, parallel_tool_calls: bool) -> Vec<ToolCall> {
    let schemas: Vec<_> = tools.iter().map(|tool| (tool.name.clone(), tool.parameters.clone())).collect();
    let request = Request { turns: vec![Turn::user(text)], tools, parallel_tool_calls, ..Request::default() };
    let choice = complete(&request).unwrap().choices.remove(0);
    for call in &choice.tool_calls {
        let schema = &schemas.iter().find(|(name, _)| *name == call.name).unwrap().1;
        let arguments: Value = serde_json::from_str(&call.arguments).unwrap();
        assert!(jsonschema::is_valid(schema, &arguments), "{schema} {arguments}");
        assert_eq!(call.pieces.concat(), call.arguments);
        assert!(call.id.len() == 29 && call.id.starts_with("call_"), "{}", call.id);
        assert_eq!(choice.finish_reason, FinishReason::ToolCalls);
        assert!(choice.pieces.is_empty());
    }
    choice.tool_calls
}

fn arguments(text: &str, tool: Tool) -> Value {
    serde_json::from_str(&calls(text, vec![tool], false)[0].arguments).unwrap()
}

#[test]
fn arguments_are_taken_from_the_user_message() {
    assert_eq!(arguments("What's the weather in Paris?", weather()), json!({"location": "Paris"}));
    assert_eq!(
        arguments("weather in new york in fahrenheit", weather()),
        json!({"location": "New York", "unit": "fahrenheit"})
    );
    assert_eq!(arguments("北京的天气怎么样？", weather()), json!({"location": "北京"}));
    let flight = tool(
        "book_flight",
        &json!({"origin": {"type": "string"}, "destination": {"type": "string"}, "passengers": {"type": "integer", "minimum": 1},
               "date": {"type": "string", "format": "date"}}),
        &json!(["origin", "destination", "passengers", "date"]),
    );
    assert_eq!(
        arguments("Book a flight from Paris to London for 3 passengers on 2026-05-04", flight),
        json!({"origin": "Paris", "destination": "London", "passengers": 3, "date": "2026-05-04"})
    );
    let add = tool("add", &json!({"a": {"type": "number"}, "b": {"type": "number"}}), &json!(["a", "b"]));
    assert_eq!(arguments("add 2.5 and 40", add), json!({"a": 2.5, "b": 40}));
    let search = tool(
        "search",
        &json!({"query": {"type": "string"}, "limit": {"type": "integer", "default": 5}}),
        &json!(["query", "limit"]),
    );
    assert_eq!(arguments("search for \"rust traits\"", search), json!({"query": "rust traits", "limit": 5}));
    let calculate = tool("calculate", &json!({"expression": {"type": "string"}}), &json!(["expression"]));
    assert_eq!(arguments("What is 12 * (3 + 4)?", calculate), json!({"expression": "12 * (3 + 4)"}));
}

#[test]
fn two_places_yield_two_calls_only_with_parallel_tool_calls() {
    let text = "What's the weather in Paris and London?";
    let both = calls(text, vec![weather()], true);
    let places: Vec<_> = both.iter().map(|call| call.arguments.as_str()).collect();
    assert_eq!(places, [r#"{"location":"Paris"}"#, r#"{"location":"London"}"#]);
    assert_ne!(both[0].id, both[1].id);
    assert_eq!(calls(text, vec![weather()], false).len(), 1);
    let trip = tool("route", &json!({"from": {"type": "string"}, "to": {"type": "string"}}), &json!(["from", "to"]));
    assert_eq!(calls("route from Paris to London", vec![trip], true).len(), 1);
}

#[test]
fn best_matching_tool_is_called_and_a_greeting_calls_none() {
    let mail = tool(
        "send_email",
        &json!({"to": {"type": "string", "format": "email"}, "body": {"type": "string"}}),
        &json!(["to", "body"]),
    );
    let tools = vec![weather(), mail];
    assert_eq!(calls("Please email bo@example.com", tools.clone(), true)[0].name, "send_email");
    assert!(calls("Please email bo@example.com", tools.clone(), true)[0].arguments.contains("bo@example.com"));
    assert_eq!(calls("weather tomorrow?", tools.clone(), true)[0].name, "get_weather");
    assert!(calls("Sing something", tools.clone(), true).is_empty());
    assert!(calls("Hello!", vec![weather()], true).is_empty());
    assert_eq!(calls("Will I need an umbrella in Rome?", vec![weather()], true)[0].arguments, r#"{"location":"Rome"}"#);
}

#[test]
fn tool_choice_is_followed_and_is_an_error_without_that_tool() {
    let complete_with = |tool_choice, tools| {
        complete(&Request { turns: vec![Turn::user("Hello!")], tools, tool_choice, ..Request::default() })
    };
    for choice in [ToolChoice::Required, ToolChoice::Named("get_weather".into())] {
        assert_eq!(complete_with(choice, vec![weather()]).unwrap().choices[0].tool_calls[0].name, "get_weather");
    }
    assert!(complete_with(ToolChoice::None, vec![weather()]).unwrap().choices[0].tool_calls.is_empty());
    for unavailable in [ToolChoice::Required, ToolChoice::Named("get_weather".into())] {
        assert_eq!(complete_with(unavailable, vec![]).unwrap_err().field, "tool_choice");
    }
}

#[test]
fn tool_result_is_reported_instead_of_requested_again() {
    let result =
        Turn { role: Role::Tool, text: "21 degrees".into(), tool_call_id: Some("call_1".into()), ..Turn::default() };
    let turns = vec![Turn::user("Weather in Paris?"), Turn::assistant(""), result];
    let reply = complete(&Request { turns, tools: vec![weather()], ..Request::default() }).unwrap();
    assert!(reply.choices[0].tool_calls.is_empty());
    assert!(reply.choices[0].pieces.concat().contains("21 degrees"));
}

#[test]
fn max_tokens_cuts_arguments() {
    let request = Request {
        turns: vec![Turn::user("Weather in Paris?")],
        tools: vec![weather()],
        // The call's overhead and the tool's name count too, so 13 tokens end within the arguments.
        max_tokens: Some(13),
        ..Request::default()
    };
    let reply = complete(&request).unwrap();
    assert_eq!((reply.choices[0].finish_reason, reply.completion_tokens), (FinishReason::Length, 13));
    assert!(r#"{"location":"Paris"}"#.starts_with(&reply.choices[0].tool_calls[0].arguments));
}

#[test]
fn tool_without_parameters_gets_an_empty_object_and_unsupported_parameters_are_an_error() {
    for parameters in [Value::Null, json!({}), json!({"type": "object", "properties": {}})] {
        let ping = Tool { name: "ping".into(), description: String::new(), parameters };
        let request = Request { turns: vec![Turn::user("ping it")], tools: vec![ping], ..Request::default() };
        assert_eq!(complete(&request).unwrap().choices[0].tool_calls[0].arguments, "{}");
    }
    let broken = tool("broken", &json!({"x": {"not": {}}}), &json!(["x"]));
    let request = Request { turns: vec![Turn::user("go")], tools: vec![broken], ..Request::default() };
    let Error { field, .. } = complete(&request).unwrap_err();
    assert_eq!(field, "tools[0].function.parameters.properties.x");
}
