//! Prose. Every answer says first what is speaking; a prompt says it last, because a prompt goes on to an image engine.

use crate::phrases::{self, Phrases};
use crate::reading::{Intent, Language, Reading, clip, words};
use crate::rng::Rng;

/// How much of a tool's result is repeated, in characters.
const LONGEST_RESULT: usize = 2000;

/// Puts an answer together: choice number `index` of a request whose choices start `start` steps into the tables; `rng`
/// adds colour.
pub(crate) fn compose(reading: &Reading<'_>, start: usize, index: usize, rng: &mut Rng) -> String {
    let variant = start.wrapping_add(index);
    let say = phrases::of(reading.language);
    if reading.results.is_empty()
        && let Intent::Prompt { moving } = reading.intent
    {
        let mut parts = vec![prompt(reading, say, moving, variant, rng), say.honesty_short.to_owned()];
        parts.extend(numbered(say, index));
        return parts.join("\n\n");
    }

    let mut parts = vec![turn_of(say.honesty, variant).to_owned()];
    if let Some(earlier) = reading.earlier {
        let count = reading.user_turns.to_string();
        parts.push(fill(say.context, &[("count", &count), ("earlier", &clip(earlier, 60))]));
    }
    if !reading.attachments.is_empty() {
        parts.push(fill(say.attachments, &[("kinds", &kinds(reading))]));
    }
    parts.push(body(reading, say, variant, rng));
    parts.extend(numbered(say, index));
    parts.join("\n\n")
}

fn body(reading: &Reading<'_>, say: &Phrases, variant: usize, rng: &mut Rng) -> String {
    if !reading.results.is_empty() {
        let result: String = reading.results.join("\n").chars().take(LONGEST_RESULT).collect();
        return fill(say.result, &[("result", &result.replace('\n', "\n> "))]);
    }
    match reading.intent {
        Intent::Greeting => format!("{}\n\n{}", turn_of(say.greeting, variant), rng.pick(say.try_next)),
        Intent::Echo(said) => fill(say.echo, &[("said", said)]),
        // Prompts were answered before; should one come here, it is still a fair answer.
        Intent::Prompt { moving } => prompt(reading, say, moving, variant, rng),
        Intent::Story => story(reading, say, rng),
        Intent::Code(example) => fill(say.code, &[("language", example.language), ("code", example.code)]),
        Intent::Other if reading.last.is_empty() => say.nothing_asked.to_owned(),
        Intent::Other => {
            let frame = turn_of(say.other, variant);
            let asked = fill(frame, &[("topic", &reading.topic()), ("question", &reading.quote())]);
            format!("{asked}\n\n{}", rng.pick(say.try_next))
        }
    }
}

/// A prompt that an image or video engine can paint: subject, light, colours, manner.
fn prompt(reading: &Reading<'_>, say: &Phrases, moving: bool, variant: usize, rng: &mut Rng) -> String {
    let subject = subject(reading.last).unwrap_or_else(|| turn_of(say.scenes, variant).to_owned());
    // Own subjects repeat over the choices, so light and palette walk on with the variant too.
    let light = turn_of(say.lights, variant + variant / say.scenes.len());
    let palette = turn_of(say.palettes, variant + variant / say.lights.len());
    let mut parts = vec![subject.as_str(), light, palette, rng.pick(say.styles)];
    if moving {
        parts.push(rng.pick(say.moves));
    }
    let mut prompt = parts.join(say.comma) + say.period;
    if let Some(first) = prompt.get(..1).map(str::to_uppercase) {
        prompt.replace_range(..1, &first);
    }
    prompt
}

/// "... an image of a red fox" names its subject; "... a landscape image" leaves it open.
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
    (!rest.is_empty()).then(|| clip(rest, 120))
}

fn story(reading: &Reading<'_>, say: &Phrases, rng: &mut Rng) -> String {
    let story = &say.story;
    let told = fill(
        story.frame,
        &[
            ("hero", rng.pick(story.heroes)),
            ("place", rng.pick(story.places)),
            ("find", rng.pick(story.finds)),
            ("trouble", rng.pick(story.troubles)),
        ],
    );
    let about = words(reading.last).iter().any(|word| word == "about") || reading.last.contains("关于");
    let topic = reading.topic();
    let topic = topic.strip_suffix("的故事").unwrap_or(&topic);
    if about { format!("{}\n\n{told}", fill(story.about, &[("topic", topic)])) } else { told }
}

fn kinds(reading: &Reading<'_>) -> String {
    let name = |kind: &str| match (reading.language, kind) {
        (Language::English, "image") => "an image",
        (Language::English, "audio") => "a sound recording",
        (Language::English, _) => "a file",
        (Language::Chinese, "image") => "图片",
        (Language::Chinese, "audio") => "录音",
        (Language::Chinese, _) => "文件",
    };
    let mut names: Vec<_> = reading.attachments.iter().map(|kind| name(kind)).collect();
    names.sort_unstable();
    names.dedup();
    match reading.language {
        Language::English => names.join(" and "),
        Language::Chinese => names.join("和"),
    }
}

fn turn_of<'a>(table: &[&'a str], variant: usize) -> &'a str {
    table[variant % table.len()]
}

/// The openings tell the first choices apart; once they begin to repeat, a number does it.
fn numbered(say: &Phrases, index: usize) -> Option<String> {
    (index >= say.honesty.len()).then(|| fill(say.numbered, &[("number", &(index + 1).to_string())]))
}

/// One pass over the template, so that braces in a user's words stay what they are.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        filled.push_str(&rest[..open]);
        rest = &rest[open..];
        let hit =
            values.iter().find(|(name, _)| rest[1..].strip_prefix(name).is_some_and(|tail| tail.starts_with('}')));
        if let Some((name, value)) = hit {
            filled.push_str(value);
            rest = &rest[name.len() + 2..];
        } else {
            filled.push('{');
            rest = &rest[1..];
        }
    }
    filled + rest
}
