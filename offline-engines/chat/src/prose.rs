//! Writes prose replies from the phrase templates.
//!
//! Every reply begins with the disclosure that no language model is connected. An image or video prompt ends with it
//! instead, because such a reply is often passed on to an image engine.

use crate::conversation::Conversation;
use crate::intent::Intent;
use crate::language::Language;
use crate::phrases::{self, Phrases};
use crate::rng::Rng;
use crate::words::{shorten, words};

/// Maximum length of a quoted tool result, in characters.
const MAX_RESULT_CHARS: usize = 2000;

/// Writes the reply for choice `index`. `start` is the offset into the phrase tables that all choices of a request share;
/// `rng` selects the optional phrases.
pub(crate) fn compose(conversation: &Conversation<'_>, start: usize, index: usize, rng: &mut Rng) -> String {
    let variant = start.wrapping_add(index);
    let phrases = phrases::for_language(conversation.language);
    if conversation.results.is_empty()
        && let Intent::Prompt { video } = conversation.intent
    {
        let mut parts = vec![prompt(conversation, phrases, video, variant, rng), phrases.short_disclosure.to_owned()];
        parts.extend(alternative_note(phrases, index));
        return parts.join("\n\n");
    }

    let mut parts = vec![nth(phrases.disclosures, variant).to_owned()];
    if let Some(earlier) = conversation.earlier {
        let count = conversation.user_turns.to_string();
        parts.push(fill(phrases.context, &[("count", &count), ("earlier", &shorten(earlier, 60))]));
    }
    if !conversation.attachments.is_empty() {
        parts.push(fill(phrases.attachments, &[("kinds", &kinds(conversation))]));
    }
    parts.push(body(conversation, phrases, variant, rng));
    parts.extend(alternative_note(phrases, index));
    parts.join("\n\n")
}

fn body(conversation: &Conversation<'_>, phrases: &Phrases, variant: usize, rng: &mut Rng) -> String {
    if !conversation.results.is_empty() {
        let result: String = conversation.results.join("\n").chars().take(MAX_RESULT_CHARS).collect();
        return fill(phrases.tool_result, &[("result", &result.replace('\n', "\n> "))]);
    }
    match conversation.intent {
        Intent::Greeting => format!("{}\n\n{}", nth(phrases.greetings, variant), rng.pick(phrases.suggestions)),
        Intent::Echo(text) => fill(phrases.echo, &[("text", text)]),
        // Not reached: `compose` handles prompts itself. A valid reply costs less here than a panic.
        Intent::Prompt { video } => prompt(conversation, phrases, video, variant, rng),
        Intent::Story => story(conversation, phrases, rng),
        Intent::Code(example) => fill(phrases.code, &[("language", example.language), ("code", example.code)]),
        Intent::Other if conversation.last.is_empty() => phrases.no_user_message.to_owned(),
        Intent::Other => {
            let template = nth(phrases.fallbacks, variant);
            let reply = fill(template, &[("topic", &conversation.topic()), ("question", &conversation.quote())]);
            format!("{reply}\n\n{}", rng.pick(phrases.suggestions))
        }
    }
}

/// Writes a prompt for an image or video engine: subject, light, colours, style.
fn prompt(conversation: &Conversation<'_>, phrases: &Phrases, video: bool, variant: usize, rng: &mut Rng) -> String {
    let subject = subject(conversation.last).unwrap_or_else(|| nth(phrases.scenes, variant).to_owned());
    // A subject named by the user is the same in all choices, so light and palette advance with the variant too. The quotients
    // shift the tables against each other, so that a combination repeats later than the shortest table.
    let light = nth(phrases.lights, variant + variant / phrases.scenes.len());
    let palette = nth(phrases.palettes, variant + variant / phrases.lights.len());
    let mut parts = vec![subject.as_str(), light, palette, rng.pick(phrases.styles)];
    if video {
        parts.push(rng.pick(phrases.camera_moves));
    }
    let mut prompt = parts.join(phrases.comma) + phrases.period;
    if let Some(first) = prompt.get(..1).map(str::to_uppercase) {
        prompt.replace_range(..1, &first);
    }
    prompt
}

/// Returns the subject that the text names: "a red fox" in "an image of a red fox". "A landscape image" names none.
fn subject(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let markers = [
        " image of ",
        " picture of ",
        " photo of ",
        " painting of ",
        " illustration of ",
        " video of ",
        " clip of ",
        " about ",
        " showing ",
    ];
    let start = markers.iter().filter_map(|marker| lower.find(marker).map(|at| at + marker.len())).min()?;
    let rest = text[start..].split(['.', '?', '!', '\n', '"', ',']).next()?.trim();
    (!rest.is_empty()).then(|| shorten(rest, 120))
}

fn story(conversation: &Conversation<'_>, phrases: &Phrases, rng: &mut Rng) -> String {
    let story = &phrases.story;
    let text = fill(
        story.template,
        &[
            ("hero", rng.pick(story.heroes)),
            ("place", rng.pick(story.places)),
            ("find", rng.pick(story.finds)),
            ("trouble", rng.pick(story.troubles)),
        ],
    );
    let about = words(conversation.last).iter().any(|word| word == "about") || conversation.last.contains("关于");
    let topic = conversation.topic();
    let topic = topic.strip_suffix("的故事").unwrap_or(&topic);
    if about { format!("{}\n\n{text}", fill(story.about, &[("topic", topic)])) } else { text }
}

/// Lists the kinds of the attachments, each once.
fn kinds(conversation: &Conversation<'_>) -> String {
    let name = |kind: &str| match (conversation.language, kind) {
        (Language::English, "image") => "an image",
        (Language::English, "audio") => "a sound recording",
        (Language::English, _) => "a file",
        (Language::Chinese, "image") => "图片",
        (Language::Chinese, "audio") => "录音",
        (Language::Chinese, _) => "文件",
    };
    let mut names: Vec<_> = conversation.attachments.iter().map(|kind| name(kind)).collect();
    names.sort_unstable();
    names.dedup();
    match conversation.language {
        Language::English => names.join(" and "),
        Language::Chinese => names.join("和"),
    }
}

/// Returns the entry for a variant, starting over at the end of the table.
fn nth<'a>(table: &[&'a str], variant: usize) -> &'a str {
    table[variant % table.len()]
}

/// Returns a numbered note once the disclosures start to repeat, so that no two choices have the same text.
fn alternative_note(phrases: &Phrases, index: usize) -> Option<String> {
    (index >= phrases.disclosures.len()).then(|| fill(phrases.alternative, &[("number", &(index + 1).to_string())]))
}

/// Replaces `{name}` by its value. A single pass, so that braces within values are not expanded.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        filled.push_str(&rest[..open]);
        rest = &rest[open..];
        let found =
            values.iter().find(|(name, _)| rest[1..].strip_prefix(name).is_some_and(|tail| tail.starts_with('}')));
        if let Some((name, value)) = found {
            filled.push_str(value);
            rest = &rest[name.len() + 2..];
        } else {
            filled.push('{');
            rest = &rest[1..];
        }
    }
    filled + rest
}
