//! Function calls: whether, which, and with what.

use serde_json::{Map, Value};

use crate::facts::Facts;
use crate::reading::{Intent, Reading, words};
use crate::rng::Rng;
use crate::schema::{self, Fill};
use crate::{Choice, Error, Finish, Request, Tool, ToolCall, ToolChoice, tokens};

/// More than this is no comparison but a batch; one answer stays readable.
const MOST_CALLS: usize = 4;

/// The tool to call, or none when the answer is to be text.
pub(crate) fn select<'a>(request: &'a Request, reading: &Reading<'_>) -> Result<Option<&'a Tool>, Error> {
    match &request.tool_choice {
        ToolChoice::None => Ok(None),
        ToolChoice::Named(name) => request.tools.iter().find(|tool| tool.name == *name).map(Some).ok_or_else(|| {
            Error::new("tool_choice", format!("names the function `{name}`, which is not among the tools"))
        }),
        ToolChoice::Required => best(request, reading)
            .or_else(|| request.tools.first())
            .map(Some)
            .ok_or_else(|| Error::new("tool_choice", "is `required`, but there are no tools to choose from")),
        // A result that has arrived is to be told, not asked for again.
        ToolChoice::Auto if !reading.results.is_empty() || reading.last.is_empty() => Ok(None),
        ToolChoice::Auto if reading.intent == Intent::Greeting => Ok(None),
        ToolChoice::Auto => match request.tools.as_slice() {
            [only] => Ok(Some(only)),
            _ => Ok(best(request, reading)),
        },
    }
}

/// The tool that shares most words with the question; the first one among equals.
fn best<'a>(request: &'a Request, reading: &Reading<'_>) -> Option<&'a Tool> {
    let asked = stems(reading.last);
    let score = |tool: &Tool| {
        let parameters = tool
            .parameters
            .get("properties")
            .and_then(Value::as_object)
            .map(|properties| properties.keys().map(String::as_str).collect::<Vec<_>>().join(" "));
        let shared = |text: &str| stems(&schema::spaced(text)).iter().filter(|stem| asked.contains(stem)).count();
        // The name says what a tool is for; descriptions also say what it is not.
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

const FILLERS: &str = " a an the of for in on to and or is are be it what how do does can you me my i get set with from by at this that \
    given current please function use used returns return 的 了 在 是 我 你 有 一 个 请 和 ";

/// Words cut to their first letters: "forecasts" and "forecast" are one, fillers none.
fn stems(text: &str) -> Vec<String> {
    let mut stems: Vec<String> = words(text)
        .into_iter()
        .filter(|word| !FILLERS.contains(&format!(" {word} ")))
        .map(|word| word.chars().take(5).collect())
        .collect();
    stems.sort_unstable();
    stems.dedup();
    stems
}

/// The choice that calls `tool`, and what it costs in tokens.
pub(crate) fn call(request: &Request, tool: &Tool, facts: &Facts, rng: &mut Rng) -> Result<(Choice, u64), Error> {
    let position = request.tools.iter().position(|other| std::ptr::eq(other, tool)).unwrap_or(0);
    let field = format!("tools[{position}].function.parameters");
    let schema = arguments_schema(&tool.parameters);

    let mut documents = vec![schema::document(&schema, &field, facts, Fill::Evident { skip: 0 }, rng)?];
    if request.parallel_tool_calls {
        for skip in 1..facts.names.len().min(MOST_CALLS) {
            let next = schema::document(&schema, &field, facts, Fill::Evident { skip }, rng)?;
            // A second name that found no place in the arguments makes no second call.
            if documents.contains(&next) {
                break;
            }
            documents.push(next);
        }
        // With two names in one call ("from Paris to London") they belong together.
        if !documents.iter().all(|document| names_taken(document, facts) == 1) {
            documents.truncate(1);
        }
    }

    let mut choice = Choice { pieces: Vec::new(), tool_calls: Vec::new(), finish: Finish::ToolCalls };
    let mut used = 0;
    for document in documents {
        let limit = request.max_tokens.map(|most| most.saturating_sub(used));
        let head = tokens::PER_FUNCTION + tokens::count_tokens(&tool.name);
        let room = limit.map(|limit| limit.saturating_sub(head));
        let pieces = tokens::pieces(&document.to_string(), room);
        used += head.min(limit.unwrap_or(head)) + pieces.tokens;
        let arguments = pieces.texts.concat();
        choice.tool_calls.push(ToolCall { id: id(rng), name: tool.name.clone(), arguments, pieces: pieces.texts });
        if pieces.cut {
            choice.finish = Finish::Length;
            break;
        }
    }
    Ok((choice, used))
}

/// Arguments are always an object, even where the schema forgets to say so.
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

fn names_taken(document: &Value, facts: &Facts) -> usize {
    let is_name = |value: &&Value| value.as_str().is_some_and(|text| facts.names.iter().any(|name| name == text));
    document.as_object().map_or(0, |members| members.values().filter(is_name).count())
}

fn id(rng: &mut Rng) -> String {
    const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let tail: String = (0..24).map(|_| char::from(rng.pick(LETTERS))).collect();
    format!("call_{tail}")
}
