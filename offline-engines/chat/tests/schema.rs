//! Structured outputs: every document validates against its schema, and every error names the path in the schema.

#![expect(clippy::unwrap_used, reason = "a panic in a helper fails the calling test")]

use offline_chat::{Error, FinishReason, Format, Request, Role, Turn, complete, complete_unless};
use serde_json::{Map, Value, json};

/// User messages: with values to extract, without, and with one value of every kind.
const QUESTIONS: [&str; 3] =
    ["Extract: Alice is 30 years old and lives in Paris.", "", "red 5 \"quoted\" 2026-02-03 a@b.example 中文"];

fn document(schema: &Value, question: &str, seed: i64) -> Result<Value, Error> {
    let format = Format::JsonSchema(schema.clone());
    let request = Request { turns: vec![Turn::user(question)], format, seed: Some(seed), ..Request::default() };
    let reply = complete(&request)?;
    assert_eq!(reply.choices[0].finish_reason, FinishReason::Stop);
    Ok(serde_json::from_str(&reply.choices[0].pieces.concat()).unwrap())
}

fn assert_documents_validate(schema: &Value) {
    let validator = jsonschema::options().should_validate_formats(true).build(schema).unwrap();
    for question in QUESTIONS {
        for seed in 0..3 {
            let document = document(schema, question, seed).unwrap_or_else(|error| panic!("{error}\n{schema:#}"));
            let errors: Vec<_> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{errors:?}\n{schema:#}\n{document:#}");
        }
    }
}

#[test]
fn documents_validate_against_common_schemas() {
    // An object with all of its members required and no others, as structured outputs demand.
    let closed = |properties: Value| {
        let required: Vec<_> = properties.as_object().unwrap().keys().cloned().collect();
        json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
    };
    let schemas = [
        closed(json!({"name": {"type": "string"}, "age": {"type": "integer"}, "city": {"type": ["string", "null"]}})),
        closed(
            json!({"steps": {"type": "array", "items": closed(json!({"explanation": {"type": "string"}, "output": {"type": "string"}}))},
                      "final_answer": {"type": "string"}}),
        ),
        closed(
            json!({"kind": {"type": "string", "enum": ["red", "green"]}, "fixed": {"const": {"a": [1]}}, "level": {"enum": [1, 2, null]}}),
        ),
        closed(
            json!({"item": {"anyOf": [closed(json!({"street": {"type": "string"}})), closed(json!({"name": {"type": "string"}}))]},
                      "maybe": {"anyOf": [{"type": "null"}, {"type": "number"}]}}),
        ),
        json!({"$defs": {"node": {"type": "object", "properties": {"value": {"type": "number"}, "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
               "required": ["value", "next"], "additionalProperties": false}}, "type": "object", "properties": {"list": {"$ref": "#/$defs/node"}},
               "required": ["list"], "additionalProperties": false}),
        json!({"type": "object", "properties": {"type": {"enum": ["div", "button"]}, "children": {"type": "array", "items": {"$ref": "#"}},
               "attributes": {"type": "array", "items": closed(json!({"name": {"type": "string"}, "value": {"type": "string"}}))}},
               "required": ["type", "children", "attributes"], "additionalProperties": false}),
        closed(
            json!({"n1": {"type": "number", "minimum": 1.25, "maximum": 1.5}, "n2": {"type": "integer", "exclusiveMinimum": 99, "multipleOf": 7},
                      "n3": {"type": "number", "multipleOf": 0.1, "minimum": 0.25}, "n4": {"type": "integer", "maximum": -3},
                      "n5": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.01}, "n6": {"type": "integer", "multipleOf": 2.5, "minimum": 1}}),
        ),
        closed(
            json!({"a": {"type": "string", "minLength": 50}, "b": {"type": "string", "maxLength": 3}, "c": {"type": "string", "maxLength": 0},
                      "d": {"type": "string", "pattern": "^@[a-zA-Z0-9_]+$"}, "e": {"type": "string", "pattern": "^[a-z]{3}$", "minLength": 3},
                      "f": {"type": "string", "pattern": "^\\d{4}-[A-F]{2}$"}, "g": {"type": "string", "pattern": "[xyz]", "minLength": 20, "maxLength": 20}}),
        ),
        closed(
            ["date-time", "date", "time", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"]
                .into_iter()
                .map(|format| (format.to_owned(), json!({"type": "string", "format": format})))
                .collect::<Map<_, _>>()
                .into(),
        ),
        closed(
            json!({"tags": {"type": "array", "items": {"type": "string"}, "minItems": 3, "maxItems": 5, "uniqueItems": true},
                      "one": {"type": "array", "items": {"type": "integer"}, "maxItems": 1}, "none": {"type": "array", "items": {"type": "string"}, "maxItems": 0},
                      "grid": {"type": "array", "minItems": 2, "items": {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}},
                      "pair": {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": false}}),
        ),
        json!({"allOf": [{"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
                         {"properties": {"a": {"minLength": 12}, "b": {"type": "integer"}}, "required": ["b"]}]}),
        json!({"type": "object", "additionalProperties": {"type": "integer", "minimum": 3}, "minProperties": 2}),
        json!({"$defs": {"a~/b": {"type": "string", "maxLength": 4}}, "type": "object", "properties": {"x": {"$ref": "#/$defs/a~0~1b", "minLength": 2}}, "required": ["x", "y"]}),
        json!({"oneOf": [{"type": "object", "properties": {"k": {"const": "a"}}, "required": ["k"]}, {"type": "object", "properties": {"k": {"const": "b"}}, "required": ["k"]}]}),
        json!({"type": "object", "properties": {"é 中": {"type": "boolean"}, "": {"type": "null"}}, "required": ["é 中", ""]}),
        json!({"type": "array", "items": {"enum": [1, 2, 3]}, "minItems": 3, "uniqueItems": true}),
        json!({"type": "integer", "minimum": 9_007_199_254_740_993_i64}),
        json!({}),
        json!(true),
        json!({"type": "null"}),
    ];
    schemas.iter().for_each(assert_documents_validate);
}

#[test]
fn values_from_the_text_are_used() {
    let schema = json!({"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}, "required": ["name", "age"]});
    assert_eq!(document(&schema, QUESTIONS[0], 1).unwrap()["age"], 30);
    assert_eq!(document(&schema, "Alice is 30 years old.", 1).unwrap(), json!({"name": "Alice", "age": 30}));
}

#[test]
fn unsatisfiable_schema_is_an_error_that_names_the_path() {
    let root = "response_format.json_schema.schema";
    let object = |member: Value| json!({"type": "object", "properties": {"x": member}, "required": ["x"]});
    let infinite = json!({"$defs": {"n": {"type": "object", "properties": {"n": {"$ref": "#/$defs/n"}}, "required": ["n"]}}, "$ref": "#/$defs/n"});
    let at_x = format!("{root}.properties.x");
    let cases = [
        (json!("no"), root.to_owned()),
        (json!(false), root.to_owned()),
        (infinite, root.to_owned()),
        (json!({"$ref": "#/$defs/missing"}), root.to_owned()),
        (json!({"$ref": "#"}), root.to_owned()),
        (json!({"allOf": [{"$ref": "#"}]}), root.to_owned()),
        (object(json!({"type": "string", "pattern": "^(?!a)b$"})), at_x.clone()),
        (object(json!({"type": "string", "minLength": 1_000_000_000})), at_x.clone()),
        (object(json!({"type": "array", "minItems": 1_000_000_000})), at_x.clone()),
        (object(json!({"type": "integer", "minimum": 3, "maximum": 2})), at_x.clone()),
        (object(json!({"enum": ["a"], "type": "integer"})), at_x.clone()),
        (object(json!({"type": "text"})), at_x.clone()),
        (object(json!({"not": {}})), at_x.clone()),
        (json!({"type": "object", "required": ["y"], "additionalProperties": false}), root.to_owned()),
        (object(json!({"allOf": [{"type": "string"}, {"type": "integer"}]})), at_x),
    ];
    for (schema, field) in cases {
        let error = document(&schema, "go", 0).expect_err(&schema.to_string());
        assert_eq!(error.field, field, "{schema}: {error}");
    }
}

#[test]
fn exponentially_growing_schema_is_an_error() {
    let mut definitions = Map::new();
    for level in 0..20 {
        let next = json!({"$ref": format!("#/$defs/d{}", level + 1)});
        let properties: Map<_, _> = (0..10).map(|at| (format!("p{at}"), next.clone())).collect();
        let required: Vec<_> = properties.keys().cloned().collect();
        definitions
            .insert(format!("d{level}"), json!({"type": "object", "properties": properties, "required": required}));
    }
    definitions.insert("d20".into(), json!({"type": "string"}));
    assert!(document(&json!({"$ref": "#/$defs/d0", "$defs": definitions}), "go", 0).is_err());
}

/// A linear congruential generator.
struct TestRng(u64);

impl TestRng {
    fn below(&mut self, count: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % count
    }

    fn pick<'a>(&mut self, options: &[&'a str]) -> &'a str {
        options[usize::try_from(self.below(options.len() as u64)).unwrap()]
    }
}

/// Returns a random satisfiable schema within the subset of structured outputs.
fn random_schema(rng: &mut TestRng, depth: u64) -> Value {
    match rng.below(if depth == 0 { 8 } else { 12 }) {
        0 => {
            let min = rng.below(9);
            json!({"type": "string", "minLength": min, "maxLength": min + rng.below(9)})
        }
        1 => json!({"type": ["integer", "null"], "minimum": rng.below(50), "maximum": 50 + rng.below(50)}),
        2 => json!({"type": "number", "exclusiveMinimum": -5, "maximum": rng.below(5), "multipleOf": 0.25}),
        3 => json!({"enum": ["one", 2, null, rng.below(3) == 0]}),
        4 => json!({"type": "boolean"}),
        5 => {
            json!({"type": "string", "format": rng.pick(&["date", "uuid", "email", "ipv4", "time"])})
        }
        6 => {
            json!({"type": "string", "pattern": rng.pick(&["^a+b?$", "^[0-9]{2,4}$", "(x|y)z", "^\\w{3} \\S+$"])})
        }
        7 => json!({"$ref": "#/$defs/tree"}),
        8 => {
            json!({"type": "array", "items": random_schema(rng, depth - 1), "minItems": rng.below(3), "maxItems": 2 + rng.below(3)})
        }
        9 => json!({"anyOf": [random_schema(rng, depth - 1), random_schema(rng, depth - 1)]}),
        _ => {
            let properties: Map<String, Value> = (0..rng.below(5))
                .map(|at| {
                    (
                        ["name", "age", "city", "tags", "note"][usize::try_from(at).unwrap()].to_owned(),
                        random_schema(rng, depth - 1),
                    )
                })
                .collect();
            let required: Vec<_> = properties.keys().filter(|_| rng.below(2) == 0).cloned().collect();
            json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
        }
    }
}

#[test]
fn documents_validate_against_random_schemas() {
    let mut rng = TestRng(2026);
    for _ in 0..300 {
        let tree = json!({"type": "object", "properties": {"label": {"type": "string"}, "kids": {"type": "array", "items": {"$ref": "#/$defs/tree"}}},
            "required": ["label", "kids"], "additionalProperties": false});
        let inner = random_schema(&mut rng, 3);
        assert_documents_validate(
            &json!({"$defs": {"tree": tree}, "type": "object", "properties": {"root": inner}, "required": ["root"], "additionalProperties": false}),
        );
    }
}

#[test]
fn json_object_format_yields_an_object_and_max_tokens_cuts_it() {
    let request =
        Request { turns: vec![Turn::user("Give me JSON")], format: Format::JsonObject, n: 3, ..Request::default() };
    for choice in complete(&request).unwrap().choices {
        let object: Value = serde_json::from_str(&choice.pieces.concat()).unwrap();
        assert!(object["note"].as_str().unwrap().contains("CHAT_BASE_URL"), "{object}");
    }
    let cut = complete(&Request { max_tokens: Some(5), n: 1, ..request }).unwrap();
    assert_eq!((cut.choices[0].finish_reason, cut.completion_tokens), (FinishReason::Length, 5));
}

/// With 20,000 values, comparing each with each takes minutes in an unoptimised build.
#[test]
fn long_enums_and_lists_of_names_take_linear_time() {
    let numbers: Vec<Value> = (0..20_000).map(Value::from).collect();
    let names: Vec<Value> = (0..20_000).map(|number| format!("member-{number}").into()).collect();
    let types: Vec<Value> = std::iter::repeat_n(json!("integer"), 20_000).collect();
    for schema in [
        json!({"enum": numbers}),
        json!({"allOf": [{"enum": numbers}, {"enum": numbers}]}),
        json!({"type": "array", "minItems": 3, "items": {"enum": numbers}}),
        json!({"allOf": [{"type": types}, {"type": types, "minimum": 1}]}),
    ] {
        document(&schema, "", 0).unwrap();
    }
    let required = json!({"allOf": [{"required": names}, {"required": names, "minProperties": 1}], "type": "object"});
    // More members than a document may have.
    assert!(document(&required, "", 0).is_err());
}

#[test]
fn schema_of_too_many_steps_and_a_cancelled_request_are_errors() {
    let words: Vec<_> = (0..2_000).map(|number| format!("word {number}")).collect();
    let item = json!({"anyOf": [{"enum": words}]});
    let schema = json!({"type": "array", "items": item, "minItems": 2000});
    let error = document(&schema, "", 0).unwrap_err();
    assert!(error.message.contains("too complex"), "{error}");
    // References to overlapping parts, each one level deeper than the one before, are within the bound.
    let mut nested = json!({"type": "string"});
    for _ in 0..50 {
        nested = json!({"type": "object", "properties": {"a": nested, "b": {"enum": words[..200]}}});
    }
    let refs: Vec<_> =
        (0..50).map(|depth| json!({"$ref": format!("#/$defs/n{}", "/properties/a".repeat(depth))})).collect();
    let schema =
        json!({"$defs": {"n": nested}, "type": "object", "properties": {"x": {"anyOf": refs}}, "required": ["x"]});
    assert!(document(&schema, "", 0).is_ok());

    let request = Request { format: Format::JsonSchema(schema), ..Request::default() };
    let calls = std::cell::Cell::new(0);
    // Cancelled from the fourth query on.
    let cancelled = || calls.replace(calls.get() + 1) >= 3;
    assert!(complete_unless(&request, &cancelled).unwrap_err().message.contains("cancelled"));
}

#[test]
fn schema_in_the_prompt_is_satisfied_as_one_in_the_response_format_is() {
    let schema = json!({"title": "User", "type": "object", "required": ["name", "age"],
        "properties": {"name": {"title": "Name", "type": "string"}, "age": {"title": "Age", "type": "integer"}}});
    // As Instructor writes it in its modes JSON and MD_JSON.
    let system = format!(
        "As a genius expert, your task is to understand the content and provide the parsed objects in json that match the following \
         json_schema:\n\n{schema:#}\n\nMake sure to return an instance of the JSON, not the schema itself"
    );
    let question = "Jason is 25 years old";
    let fenced =
        format!("{question}\n\nReturn the correct JSON response within a ```json codeblock. not the JSON_SCHEMA");
    for (format, question) in
        [(Format::JsonObject, question), (Format::Text, question), (Format::Text, fenced.as_str())]
    {
        let turns = vec![Turn { role: Role::System, ..Turn::user(system.clone()) }, Turn::user(question)];
        let reply = complete(&Request { turns, format, ..Request::default() }).unwrap();
        let content = reply.choices[0].pieces.concat();
        let inner = content.strip_prefix("```json\n").and_then(|rest| rest.strip_suffix("\n```"));
        assert_eq!(inner.is_some(), question.contains("```"), "{content}");
        let document: Value = serde_json::from_str(inner.unwrap_or(&content)).unwrap();
        assert_eq!(document, json!({"name": "Jason", "age": 25}), "{content}");
    }
    // Prose remains for a schema that no document satisfies.
    let impossible = r#"JSON schema: {"type": "object", "properties": {"a": false}, "required": ["a"]}"#;
    let reply = complete(&Request { turns: vec![Turn::user(impossible)], ..Request::default() }).unwrap();
    assert!(reply.choices[0].pieces.concat().contains("CHAT_BASE_URL"));
}
