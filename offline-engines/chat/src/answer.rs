//! Decides what kind of reply a request gets, and cuts it where the request says.

use serde_json::{Value, json};

use crate::facts::Facts;
use crate::reading::{Language, Reading};
use crate::rng::{Rng, fingerprint};
use crate::schema::{self, Fill};
use crate::{Answer, Choice, Error, Finish, Format, Request, text, tokens, tools};

const SCHEMA_FIELD: &str = "response_format.json_schema.schema";

pub(crate) fn answer(request: &Request) -> Result<Answer, Error> {
    let reading = Reading::of(request);
    let facts = Facts::of(reading.last);
    let mut seeds = Rng::new(fingerprint(request));
    // All choices start from one place and take different steps from there, so that they differ by design.
    let start = seeds.below(1 << 16);
    let calls = tools::select(request, &reading)?;

    let mut reply = Answer { choices: Vec::new(), prompt_tokens: tokens::prompt(request), completion_tokens: 0 };
    for index in 0..request.n.max(1) {
        let mut rng = Rng::new(seeds.next());
        let (choice, used) = if let Some(tool) = calls {
            tools::call(request, tool, &facts, &mut rng)?
        } else {
            let content = content(request, &reading, &facts, (start, index as usize), &mut rng)?;
            cut(&content, request)
        };
        reply.completion_tokens += used;
        reply.choices.push(choice);
    }
    Ok(reply)
}

fn content(
    request: &Request,
    reading: &Reading<'_>,
    facts: &Facts,
    (start, index): (usize, usize),
    rng: &mut Rng,
) -> Result<String, Error> {
    Ok(match &request.format {
        Format::Text => text::compose(reading, start, index, rng),
        Format::JsonObject => some_object(reading, index).to_string(),
        Format::JsonSchema(schema) => {
            let document = schema::document(schema, SCHEMA_FIELD, facts, Fill::Everything, rng)?;
            document.to_string()
        }
    })
}

fn some_object(reading: &Reading<'_>, index: usize) -> Value {
    let note = match reading.language {
        Language::English => {
            "Made up by Triptych's built-in offline engine; set CHAT_BASE_URL to connect a real model."
        }
        Language::Chinese => "由 Triptych 内置离线引擎生成；设置 CHAT_BASE_URL 即可接入真正的模型。",
    };
    json!({
        "engine": "triptych-offline",
        "note": note,
        "question": reading.quote(),
        "user_turns": reading.user_turns,
        "choice": index,
    })
}

/// Stop texts first: what comes after one was never said, so it cannot count against the limit either.
fn cut(content: &str, request: &Request) -> (Choice, u64) {
    let stop = request.stop.iter().filter(|stop| !stop.is_empty()).filter_map(|stop| content.find(stop.as_str())).min();
    let kept = &content[..stop.unwrap_or(content.len())];
    let pieces = tokens::pieces(kept, request.max_tokens);
    let finish = if pieces.cut { Finish::Length } else { Finish::Stop };
    (Choice { pieces: pieces.texts, tool_calls: Vec::new(), finish }, pieces.tokens)
}
