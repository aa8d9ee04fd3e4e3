//! Rebuilds a response from its events, as the accumulators of OpenAI's clients do.

use openai_dialect::responses::Event;
use serde_json::{Value, json};

/// The output that the events have added up to.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    output: Vec<Value>,
    done: Vec<bool>,
}

impl Replay {
    /// Replays all events and returns the output. Fails for a gap in the sequence numbers, and for an event that does not
    /// fit those before.
    pub(crate) fn of(events: &[Event]) -> Value {
        let mut replay = Self::default();
        for (number, event) in (0..).zip(events) {
            let data: Value = serde_json::from_str(&event.data).unwrap();
            assert_eq!((event.sequence_number, &data["sequence_number"]), (number, &json!(number)));
            assert_eq!(data["type"], event.name);
            replay.push(event.name, &data);
        }
        Value::Array(replay.output)
    }

    fn push(&mut self, name: &str, data: &Value) {
        match name {
            "response.created" | "response.queued" | "response.in_progress" => {
                assert_eq!(data["response"]["output"], json!([]));
            }
            "response.completed" | "response.incomplete" => {
                assert!(self.done.iter().all(|done| *done), "an item has not ended");
                assert_eq!(data["response"]["output"], Value::Array(self.output.clone()));
            }
            // A failed response also has the items that have not ended.
            "response.failed" => self.output.clone_from(data["response"]["output"].as_array().unwrap()),
            "response.output_item.added" => {
                assert_eq!(data["output_index"], json!(self.output.len()));
                self.output.push(data["item"].clone());
                self.done.push(false);
            }
            "response.output_item.done" => {
                let index = self.index(data);
                let (before, after) = (&mut self.output[index], &data["item"]);
                for name in ["type", "id", "call_id", "name", "content", "summary", "arguments", "input"] {
                    assert_eq!(without_logprobs(&before[name]), without_logprobs(&after[name]), "{name}");
                }
                *before = after.clone();
                self.done[index] = true;
            }
            _ => self.push_part(name, data),
        }
    }

    fn push_part(&mut self, name: &str, data: &Value) {
        let index = self.index(data);
        let item = &mut self.output[index];
        assert_eq!(item["id"], data["item_id"], "{name}");
        let (list, position) = match data.get("summary_index") {
            Some(position) => ("summary", position),
            None => ("content", &data["content_index"]),
        };
        let position = usize::try_from(position.as_u64().unwrap_or_default()).unwrap();
        let append =
            |text: &mut Value| *text = json!(format!("{}{}", text.as_str().unwrap(), data["delta"].as_str().unwrap()));
        match name {
            "response.content_part.added" | "response.reasoning_summary_part.added" => {
                assert_eq!(item[list].as_array().unwrap().len(), position);
                item[list].as_array_mut().unwrap().push(data["part"].clone());
            }
            "response.output_text.delta"
            | "response.reasoning_text.delta"
            | "response.reasoning_summary_text.delta" => {
                append(&mut item[list][position]["text"]);
            }
            "response.refusal.delta" => append(&mut item[list][position]["refusal"]),
            "response.function_call_arguments.delta" => append(&mut item["arguments"]),
            "response.custom_tool_call_input.delta" => append(&mut item["input"]),
            "response.output_text.done" | "response.reasoning_text.done" | "response.reasoning_summary_text.done" => {
                assert_eq!(item[list][position]["text"], data["text"]);
            }
            "response.refusal.done" => assert_eq!(item[list][position]["refusal"], data["refusal"]),
            "response.content_part.done" | "response.reasoning_summary_part.done" => {
                assert_eq!(without_logprobs(&item[list][position]), without_logprobs(&data["part"]));
            }
            "response.output_text.annotation.added" => {
                let annotations = item[list][position]["annotations"].as_array_mut().unwrap();
                assert_eq!(data["annotation_index"], json!(annotations.len()));
                annotations.push(data["annotation"].clone());
            }
            "response.function_call_arguments.done" => {
                assert_eq!((&item["arguments"], &item["name"]), (&data["arguments"], &data["name"]));
            }
            "response.custom_tool_call_input.done" => assert_eq!(item["input"], data["input"]),
            name => assert!(name.starts_with("response.image_generation_call."), "{name}"),
        }
    }

    /// Returns the position of the item that an event concerns, which must not have ended.
    fn index(&self, data: &Value) -> usize {
        let index = usize::try_from(data["output_index"].as_u64().unwrap()).unwrap();
        assert!(!self.done[index], "the item has ended before {data}");
        index
    }
}

fn without_logprobs(value: &Value) -> Value {
    let mut value = value.clone();
    match &mut value {
        Value::Object(part) => drop(part.remove("logprobs")),
        Value::Array(parts) => parts.iter_mut().for_each(|part| *part = without_logprobs(part)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    value
}

/// Returns an event in short form: its name, its positions, and what it adds.
pub(crate) fn summary(event: &Event) -> String {
    let data: Value = serde_json::from_str(&event.data).unwrap();
    let name = event.name.strip_prefix("response.").unwrap_or(event.name);
    let mut words = vec![name.to_owned()];
    for position in ["output_index", "content_index", "summary_index", "partial_image_index", "annotation_index"] {
        words.extend(data.get(position).map(Value::to_string));
    }
    for member in ["delta", "text", "refusal", "arguments", "input", "partial_image_b64"] {
        words.extend(data[member].as_str().map(str::to_owned));
    }
    for object in ["response", "item", "part", "annotation"] {
        for member in ["type", "status", "url"] {
            words.extend(data[object][member].as_str().map(str::to_owned));
        }
    }
    words.join(" ")
}
