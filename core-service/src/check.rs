//! What the doors of all panels check in the same words.

use openai_dialect::extra_members;

use crate::error::Error;

/// Most characters of a prompt.
const LONGEST_PROMPT: usize = 32_000;

/// A prompt says something, in at most 32,000 characters.
pub(crate) fn prompt(prompt: &str) -> Result<(), Error> {
    if prompt.trim().is_empty() {
        return Err(Error::invalid("prompt", "is required: say what to show"));
    }
    let length = prompt.chars().count();
    if length > LONGEST_PROMPT {
        return Err(Error::invalid("prompt", format!("must have at most {LONGEST_PROMPT} characters, not {length}")));
    }
    Ok(())
}

/// An `extra_json` is a JSON object or empty, and never gives a second value to one of `members`, which have fields.
/// What a field cannot hold, a null or an empty list or object, may stand there.
pub(crate) fn extra(field: &str, extra_json: &str, members: &[&str]) -> Result<(), Error> {
    if extra_json.is_empty() {
        return Ok(());
    }
    let extras = extra_members(extra_json).ok_or_else(|| Error::invalid(field, "must be a JSON object, or empty"))?;
    let repeats = |name: &str, value: &str| members.contains(&name) && !matches!(value, "null" | "[]" | "{}");
    match extras.iter().find(|(name, value)| repeats(name, value)) {
        Some((name, _)) => {
            Err(Error::invalid(field, format!("must not repeat `{name}`, which has a field of its own")))
        }
        None => Ok(()),
    }
}
