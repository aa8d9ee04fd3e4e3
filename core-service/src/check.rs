//! Validation that the services share.

use openai_dialect::extra_members;

use crate::error::Error;

/// The maximum length of a prompt in characters: that of OpenAI's GPT image models.
const MAX_PROMPT_LENGTH: usize = 32_000;

/// Validates a prompt: not blank, at most 32,000 characters.
pub(crate) fn prompt(prompt: &str) -> Result<(), Error> {
    if prompt.trim().is_empty() {
        return Err(Error::invalid("prompt", "is required: describe the content to generate"));
    }
    let length = prompt.chars().count();
    if length > MAX_PROMPT_LENGTH {
        return Err(Error::invalid(
            "prompt",
            format!("must have at most {MAX_PROMPT_LENGTH} characters, not {length}"),
        ));
    }
    Ok(())
}

/// Validates an `extra_json`, the field of a gRPC request for JSON members that have no field of their own: empty, or a JSON object
/// without `members`, which have one. Values that a field cannot represent are allowed: null, the empty list and the empty object.
pub(crate) fn extra(field: &str, extra_json: &str, members: &[&str]) -> Result<(), Error> {
    extra_without(field, extra_json, |name| members.contains(&name))
}

/// Validates an `extra_json` like [`extra`], but a member may occur in it if its own field is not set, for a value that the field
/// cannot represent. `members` are pairs of the name and whether the field is set.
pub(crate) fn extra_beside(field: &str, extra_json: &str, members: &[(&str, bool)]) -> Result<(), Error> {
    extra_without(field, extra_json, |name| members.contains(&(name, true)))
}

fn extra_without(field: &str, extra_json: &str, has_field: impl Fn(&str) -> bool) -> Result<(), Error> {
    if extra_json.is_empty() {
        return Ok(());
    }
    let extras = extra_members(extra_json).ok_or_else(|| Error::invalid(field, "must be a JSON object or empty"))?;
    let repeats = |name: &str, value: &str| has_field(name) && !matches!(value, "null" | "[]" | "{}");
    match extras.iter().find(|(name, value)| repeats(name, value)) {
        Some((name, _)) => {
            Err(Error::invalid(field, format!("must not contain `{name}`; set the field `{name}` instead")))
        }
        None => Ok(()),
    }
}
