//! JSON Schemas in prompts, instead of in `response_format`. Libraries write them for models without structured outputs, such
//! as Instructor in its JSON modes and LangChain in its output parsers.

use serde_json::{Deserializer, Value};

use crate::request::{Request, Role};

/// How many opening braces of a message are tried. A message has a schema, and perhaps an example of one.
const MAX_TRIES: usize = 256;

/// A schema that the content should satisfy because a message says so.
#[derive(Debug, PartialEq)]
pub(crate) struct PromptedSchema {
    pub(crate) schema: Value,
    /// Whether the document is to be in a code block of Markdown.
    pub(crate) is_fenced: bool,
    /// The last user message without the schema, and without lines about the format.
    pub(crate) question: String,
}

impl PromptedSchema {
    /// Finds the schema of the last user message, or else of a system message. `None` if neither mentions one.
    pub(crate) fn find(request: &Request) -> Option<Self> {
        let turns = &request.turns;
        let last = turns.iter().rev().find(|turn| turn.role == Role::User);
        let system = turns.iter().rev().filter(|turn| turn.role == Role::System);
        let texts: Vec<&str> = last.into_iter().chain(system).map(|turn| turn.text.as_str()).collect();
        let (schema, place) = texts.iter().find_map(|text| schema_in(text))?;
        let is_fenced = texts.iter().any(|text| asks_for_code_block(text));
        let question = last.map_or("", |turn| &turn.text).replace(place, " ");
        let is_about_format = |line: &str| ["json", "schema"].iter().any(|word| line.to_lowercase().contains(word));
        let question = question.lines().filter(|line| !is_about_format(line)).collect::<Vec<_>>().join("\n");
        Some(Self { schema, is_fenced, question })
    }
}

/// Returns the last schema in a text that announces one, and its place: LangChain's parsers explain by an example first.
fn schema_in(text: &str) -> Option<(Value, &str)> {
    let words = text.to_lowercase();
    if !(words.contains("json") && words.contains("schema")) {
        return None;
    }
    let mut found = None;
    let mut rest = text;
    for _ in 0..MAX_TRIES {
        let Some(start) = rest.find('{') else { break };
        rest = &rest[start..];
        let mut values = Deserializer::from_str(rest).into_iter::<Value>();
        match values.next() {
            Some(Ok(value)) => {
                let (place, after) = rest.split_at(values.byte_offset());
                if is_schema(&value) {
                    found = Some((value, place));
                }
                rest = after;
            }
            Some(Err(_)) | None => rest = &rest[1..],
        }
    }
    found
}

/// Returns whether the value is the schema of an object, and not an instance of one.
fn is_schema(value: &Value) -> bool {
    let has_object = |name: &str| value.get(name).is_some_and(Value::is_object);
    has_object("properties") || has_object("$defs") && value.get("$ref").is_some_and(Value::is_string)
}

fn asks_for_code_block(text: &str) -> bool {
    let words = text.to_lowercase();
    ["codeblock", "code block", "```json"].iter().any(|phrase| words.contains(phrase))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Turn;

    fn find(turns: Vec<Turn>) -> Option<PromptedSchema> {
        PromptedSchema::find(&Request { turns, ..Request::default() })
    }

    #[test]
    fn last_schema_of_the_message_counts_and_is_no_part_of_the_question() {
        let text = r#"Conform to the JSON schema. Example: {"properties": {"foo": {"type": "string"}}} has the instance {"foo": "bar"}.
Here is the output schema: {"properties": {"age": {"type": "integer"}}, "required": ["age"]}
Alice is 30 {"#;
        let found = find(vec![Turn::user(text)]).expect("a schema");
        assert_eq!(found.schema["required"][0], "age");
        assert!(!found.is_fenced && found.question == "Alice is 30 {", "{found:?}");
    }

    #[test]
    fn system_message_counts_and_earlier_user_messages_do_not() {
        let schema = r#"json_schema: {"properties": {"age": {"type": "integer"}}}"#;
        let system = Turn { role: Role::System, ..Turn::user(schema) };
        assert!(find(vec![system, Turn::user("Alice, within a ```json codeblock")]).expect("a schema").is_fenced);
        assert_eq!(find(vec![Turn::user(schema), Turn::assistant("{}"), Turn::user("thanks")]), None);
        assert_eq!(find(vec![Turn::user(r#"JSON without a schema: {"properties": 1}"#)]), None);
    }

    #[test]
    fn many_braces_are_tried_in_linear_time() {
        let text = format!("json schema {}", "{".repeat(1 << 20));
        assert_eq!(find(vec![Turn::user(text)]), None);
    }
}
