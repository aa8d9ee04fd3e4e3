//! Tool calls: selects the tool and writes its arguments.

use serde_json::{Map, Value};

use crate::completion::{Choice, FinishReason, ToolCall};
use crate::conversation::Conversation;
use crate::entities::Entities;
use crate::error::Error;
use crate::intent::Intent;
use crate::request::{Request, Tool, ToolChoice};
use crate::rng::Rng;
use crate::schema::{self, OptionalMembers, VisitBudget};
use crate::tokens;
use crate::words::{split_identifier, words};

/// Maximum number of parallel tool calls in one choice.
const MAX_CALLS: usize = 4;

/// Selects the tool to call; returns `None` if the reply is text.
pub(crate) fn select<'a>(request: &'a Request, conversation: &Conversation<'_>) -> Result<Option<&'a Tool>, Error> {
    match &request.tool_choice {
        ToolChoice::None => Ok(None),
        ToolChoice::Named(name) => request
            .tools
            .iter()
            .find(|tool| tool.name == *name)
            .map(Some)
            .ok_or_else(|| Error::new("tool_choice", format!("function `{name}` is not one of the `tools`"))),
        ToolChoice::Required => best_match(request, conversation)
            .or_else(|| request.tools.first())
            .map(Some)
            .ok_or_else(|| Error::new("tool_choice", "`required` needs at least one entry in `tools`")),
        // The result of a call is reported, not requested again.
        ToolChoice::Auto if !conversation.results.is_empty() || conversation.last.is_empty() => Ok(None),
        ToolChoice::Auto if conversation.intent == Intent::Greeting => Ok(None),
        ToolChoice::Auto => match request.tools.as_slice() {
            [only] => Ok(Some(only)),
            _ => Ok(best_match(request, conversation)),
        },
    }
}

/// Returns the tool that shares most words with the last user message; the first one among equals.
fn best_match<'a>(request: &'a Request, conversation: &Conversation<'_>) -> Option<&'a Tool> {
    let wanted = stems(conversation.last);
    let score = |tool: &Tool| {
        let parameters = tool
            .parameters
            .get("properties")
            .and_then(Value::as_object)
            .map(|properties| properties.keys().map(String::as_str).collect::<Vec<_>>().join(" "));
        let shared = |text: &str| stems(&split_identifier(text)).iter().filter(|stem| wanted.contains(stem)).count();
        // Names weigh most: descriptions also mention what a tool does not do.
        4 * shared(&tool.name) + 2 * shared(&tool.description) + shared(&parameters.unwrap_or_default())
    };
    let mut best: Option<(usize, &Tool)> = None;
    for tool in &request.tools {
        let score = score(tool);
        if score > best.map_or(0, |(score, _)| score) {
            best = Some((score, tool));
        }
    }
    best.map(|(_, tool)| tool)
}

/// Words that do not help to select a tool, each between two spaces.
const STOP_WORDS: &str = " a an the of for in on to and or is are be it what how do does can you me my i get set with from by at this that \
    given current please function use used returns return 的 了 在 是 我 你 有 一 个 请 和 ";

/// Returns the first five letters of each word, without stop words, so that "forecasts" matches "forecast".
fn stems(text: &str) -> Vec<String> {
    let mut stems: Vec<String> = words(text)
        .into_iter()
        .filter(|word| !STOP_WORDS.contains(&format!(" {word} ")))
        .map(|word| word.chars().take(5).collect())
        .collect();
    stems.sort_unstable();
    stems.dedup();
    stems
}

/// Returns the choice that calls `tool`, and its number of tokens.
pub(crate) fn call(
    request: &Request,
    tool: &Tool,
    entities: &Entities,
    rng: &mut Rng,
    budget: &VisitBudget<'_>,
) -> Result<(Choice, u64), Error> {
    let position = request.tools.iter().position(|other| std::ptr::eq(other, tool)).unwrap_or(0);
    let field = format!("tools[{position}].function.parameters");
    let schema = arguments_schema(&tool.parameters);

    // The members that are not required are those that the text mentions; `skip` names of the text belong to earlier calls.
    let mut documents =
        vec![schema::document(&schema, &field, entities, OptionalMembers::Mentioned { skip: 0 }, rng, budget)?];
    if request.parallel_tool_calls {
        // One call for each name in the text: "the weather in Paris and London".
        for skip in 1..entities.names.len().min(MAX_CALLS) {
            let next = schema::document(&schema, &field, entities, OptionalMembers::Mentioned { skip }, rng, budget)?;
            // The name does not fit any argument, so a second call would repeat an earlier one.
            if documents.contains(&next) {
                break;
            }
            documents.push(next);
        }
        // Two names in the arguments of one call ("from Paris to London") belong to the same call.
        if !documents.iter().all(|document| count_names(document, entities) == 1) {
            documents.truncate(1);
        }
    }

    let mut choice = Choice { pieces: Vec::new(), tool_calls: Vec::new(), finish_reason: FinishReason::ToolCalls };
    let mut used = 0;
    for document in documents {
        let limit = request.max_tokens.map(|max| max.saturating_sub(used));
        let overhead = tokens::PER_FUNCTION + tokens::count_tokens(&tool.name);
        let remaining = limit.map(|limit| limit.saturating_sub(overhead));
        let pieces = tokens::pieces(&document.to_string(), remaining);
        used += overhead.min(limit.unwrap_or(overhead)) + pieces.tokens;
        let arguments = pieces.texts.concat();
        choice.tool_calls.push(ToolCall { id: call_id(rng), name: tool.name.clone(), arguments, pieces: pieces.texts });
        if pieces.truncated {
            choice.finish_reason = FinishReason::Length;
            break;
        }
    }
    Ok((choice, used))
}

/// Returns the schema of the arguments. Arguments are always an object, even if the schema omits the type.
fn arguments_schema(parameters: &Value) -> Value {
    match parameters.as_object() {
        Some(schema) if schema.contains_key("type") || schema.contains_key("$ref") => parameters.clone(),
        Some(schema) => {
            let mut schema = schema.clone();
            schema.insert("type".to_owned(), "object".into());
            Value::Object(schema)
        }
        None => Value::Object(Map::from_iter([("type".to_owned(), "object".into())])),
    }
}

/// Counts the members whose value is a name from the text.
fn count_names(document: &Value, entities: &Entities) -> usize {
    let is_name = |value: &&Value| value.as_str().is_some_and(|text| entities.names.iter().any(|name| name == text));
    document.as_object().map_or(0, |members| members.values().filter(is_name).count())
}

fn call_id(rng: &mut Rng) -> String {
    const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let tail: String = (0..24).map(|_| char::from(rng.pick(LETTERS))).collect();
    format!("call_{tail}")
}
