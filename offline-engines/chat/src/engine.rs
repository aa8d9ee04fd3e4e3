//! Selects the kind of reply, writes it, and cuts it at the request's limits.

use serde_json::{Value, json};

use crate::completion::{Choice, Completion, FinishReason};
use crate::conversation::Conversation;
use crate::entities::Entities;
use crate::error::Error;
use crate::fingerprint::fingerprint;
use crate::language::Language;
use crate::prompted_schema::PromptedSchema;
use crate::request::{Format, Request};
use crate::rng::Rng;
use crate::schema::{self, OptionalMembers, VisitBudget};
use crate::{prose, tokens, tools};

/// Path of the schema of [`Format::JsonSchema`] in an OpenAI request, for error messages.
const SCHEMA_FIELD: &str = "response_format.json_schema.schema";

/// Completes the conversation.
///
/// Takes microseconds to milliseconds, performs no I/O and never panics. The first call in a process also unpacks the
/// tokenizer (tens of milliseconds).
///
/// # Errors
///
/// Returns an error for a schema that no document can satisfy or that uses an unsupported keyword, and for a
/// `tool_choice` that matches no tool.
pub fn complete(request: &Request) -> Result<Completion, Error> {
    complete_unless(request, &|| false)
}

/// Completes the conversation, but stops with an error soon after `cancelled` returns true, which is called often. See
/// [`complete`].
///
/// # Errors
///
/// Those of [`complete`], and an error after the cancellation.
pub fn complete_unless(request: &Request, cancelled: &dyn Fn() -> bool) -> Result<Completion, Error> {
    let budget = VisitBudget::new(cancelled);
    let conversation = Conversation::from_request(request);
    let entities = Entities::extract(conversation.last);
    let mut seeds = Rng::new(fingerprint(request));
    // All choices start at the same offset into the phrase tables and add their index to it, so that they differ by
    // construction and not by chance. Any large range will do: the tables wrap around.
    let start = seeds.below(1 << 16);
    let tool = tools::select(request, &conversation)?;
    let prompted = match &request.format {
        Format::Text | Format::JsonObject => PromptedSchema::find(request),
        Format::JsonSchema(_) => None,
    };

    let mut completion =
        Completion { choices: Vec::new(), prompt_tokens: tokens::prompt(request), completion_tokens: 0 };
    for index in 0..request.n.max(1) {
        let mut rng = Rng::new(seeds.next());
        let (choice, used) = if let Some(tool) = tool {
            tools::call(request, tool, &entities, &mut rng, &budget)?
        } else {
            let prompted = prompted.as_ref().and_then(|prompted| prompted_document(prompted, &mut rng, &budget));
            let content = match prompted {
                Some(document) => document,
                None => content(request, &conversation, &entities, (start, index as usize), &mut rng, &budget)?,
            };
            apply_limits(&content, request)
        };
        completion.completion_tokens += used;
        completion.choices.push(choice);
    }
    Ok(completion)
}

/// Writes the content of choice `index`. `start` is the common offset of all choices into the phrase tables.
fn content(
    request: &Request,
    conversation: &Conversation<'_>,
    entities: &Entities,
    (start, index): (usize, usize),
    rng: &mut Rng,
    budget: &VisitBudget<'_>,
) -> Result<String, Error> {
    Ok(match &request.format {
        Format::Text => prose::compose(conversation, start, index, rng),
        Format::JsonObject => json_object(conversation, index).to_string(),
        Format::JsonSchema(schema) => {
            let document = schema::document(schema, SCHEMA_FIELD, entities, OptionalMembers::All, rng, budget)?;
            document.to_string()
        }
    })
}

/// Writes the document for a schema in the prompt; `None` if no document satisfies it. A prompt is not the place for an error.
fn prompted_document(prompted: &PromptedSchema, rng: &mut Rng, budget: &VisitBudget<'_>) -> Option<String> {
    let entities = Entities::extract(&prompted.question);
    let document = schema::document(&prompted.schema, "messages", &entities, OptionalMembers::All, rng, budget).ok()?;
    Some(if prompted.is_fenced { format!("```json\n{document:#}\n```") } else { document.to_string() })
}

/// The document for [`Format::JsonObject`], which prescribes no members.
fn json_object(conversation: &Conversation<'_>, index: usize) -> Value {
    let note = match conversation.language {
        Language::English => {
            "Made up by Triptych's built-in offline engine; set CHAT_BASE_URL to connect a real model."
        }
        Language::Chinese => "由 Triptych 内置离线引擎生成；设置 CHAT_BASE_URL 即可接入真正的模型。",
    };
    json!({
        "engine": "triptych-offline",
        "note": note,
        "question": conversation.quote(),
        "user_turns": conversation.user_turns,
        "choice": index,
    })
}

/// Applies `stop`, then `max_tokens`: text behind a stop sequence does not count against the token limit.
fn apply_limits(content: &str, request: &Request) -> (Choice, u64) {
    let stop = request.stop.iter().filter(|stop| !stop.is_empty()).filter_map(|stop| content.find(stop.as_str())).min();
    let kept = &content[..stop.unwrap_or(content.len())];
    let pieces = tokens::pieces(kept, request.max_tokens);
    let finish_reason = if pieces.truncated { FinishReason::Length } else { FinishReason::Stop };
    (Choice { pieces: pieces.texts, tool_calls: Vec::new(), finish_reason }, pieces.tokens)
}
