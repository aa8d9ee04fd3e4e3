//! Writes strings of a given format, pattern and length.

use serde_json::Value;

use super::optional_members::OptionalMembers;
use super::position::SchemaPosition;
use super::{format, pattern, validate};
use crate::error::Error;
use crate::rng::Rng;
use crate::words::split_identifier;

/// Maximum length of a generated string, in characters.
const MAX_LENGTH: u64 = 16_384;

/// Member names whose values are expected to be sentences.
const PROSE_NAMES: [&str; 14] = [
    "answer",
    "description",
    "explanation",
    "reason",
    "reasoning",
    "response",
    "reply",
    "summary",
    "text",
    "content",
    "message",
    "output",
    "comment",
    "note",
];

/// Writes a string for the schema. `index` is the index of the array item, by which values differ.
pub(super) fn write(
    schema: &Value,
    position: &SchemaPosition,
    index: usize,
    optional: OptionalMembers,
    rng: &mut Rng,
) -> Result<Value, Error> {
    let length = |keyword: &str| schema.get(keyword).and_then(Value::as_u64);
    let (min, max) = (length("minLength").unwrap_or(0), length("maxLength").unwrap_or(MAX_LENGTH));
    if min > MAX_LENGTH {
        return Err(position.error(format!("`minLength` must be at most {MAX_LENGTH}")));
    }
    if min > max {
        return Err(position.error("`minLength` must not exceed `maxLength`"));
    }
    let format = schema.get("format").and_then(Value::as_str);
    if let Some(text) = format.and_then(|format| format::example(format, index, rng)) {
        return Some(text)
            .filter(|text| validate::is_valid_string(schema, text))
            .map(Value::from)
            .ok_or_else(|| position.error("no text of this `format` satisfies the length and `pattern`"));
    }
    if let Some(wanted) = schema.get("pattern").and_then(Value::as_str) {
        return pattern::example(wanted, min, max.min(MAX_LENGTH), index)
            .map(Value::from)
            .map_err(|message| position.error(message));
    }
    let mut text = placeholder(&position.name, index, optional);
    let count = text.chars().count() as u64;
    if count > max {
        text = text.chars().take(usize::try_from(max).unwrap_or(usize::MAX)).collect();
    }
    if count < min {
        let missing = usize::try_from(min - count).unwrap_or(0);
        text.extend(" and so on".chars().cycle().take(missing));
    }
    Ok(text.into())
}

/// Returns a placeholder for a member of which only the name is known. A placeholder for prose says that it is made up.
pub(super) fn placeholder(name: &str, index: usize, optional: OptionalMembers) -> String {
    let name = split_identifier(name);
    let suffix = if index == 0 { String::new() } else { format!(" {}", index + 1) };
    let has = |options: &[&str]| name.split(' ').any(|word| options.contains(&word));
    if has(&["city", "location", "place", "town", "destination"]) {
        return ["Paris", "London", "Tokyo", "Berlin"][index % 4].to_owned();
    }
    if has(&["country"]) {
        return ["France", "Japan", "Kenya", "Peru"][index % 4].to_owned();
    }
    if has(&["language"]) {
        return "English".to_owned();
    }
    if has(&["currency"]) {
        return "EUR".to_owned();
    }
    if has(&["date", "day"]) {
        return format!("2026-01-{:02}", 1 + index % 28);
    }
    if has(&["url", "uri", "link"]) {
        return format!("https://example.com/{}", index + 1);
    }
    if has(&["email"]) {
        return format!("someone{}@example.com", index + 1);
    }
    if has(&["color", "colour"]) {
        return ["blue", "green", "amber", "red"][index % 4].to_owned();
    }
    if optional == OptionalMembers::All && has(&PROSE_NAMES) {
        return format!("Made up by Triptych's offline engine{suffix}; set CHAT_BASE_URL for a real answer.");
    }
    if name.is_empty() { format!("sample text{suffix}") } else { format!("sample {name}{suffix}") }
}
