//! Validation that the services share.

use openai_dialect::extra_members;

use crate::{error::Error, json::is_equivalent};

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
/// without `members`, which have one, in any case. Values that a field cannot represent are allowed: null, the empty list and the empty
/// object.
pub(crate) fn extra(field: &str, extra_json: &str, members: &[&str]) -> Result<(), Error> {
    extra_without(field, extra_json, |name, is_value| {
        members.iter().copied().find(|member| is_equivalent(name, member)).filter(|member| is_value || name != *member)
    })
}

/// Validates an `extra_json` like [`extra`], but a member may occur in it under its exact name if its own field is not set, for a value
/// that the field cannot represent. `members` are pairs of the name and whether the field is set.
pub(crate) fn extra_beside(field: &str, extra_json: &str, members: &[(&str, bool)]) -> Result<(), Error> {
    extra_without(field, extra_json, |name, is_value| {
        let (member, is_set) = members.iter().find(|(member, _)| is_equivalent(name, member))?;
        (is_value && *is_set || name != *member).then_some(*member)
    })
}

/// Validates an `extra_json`: `field_of` returns the field that a member must be set with; its flag tells whether a field can represent the
/// value. An upstream that ignores case would take
/// `Model` for `model`, and serve another model than the one that was checked and is billed.
fn extra_without<'a>(
    field: &str,
    extra_json: &str,
    field_of: impl Fn(&str, bool) -> Option<&'a str>,
) -> Result<(), Error> {
    if extra_json.is_empty() {
        return Ok(());
    }
    let extras = extra_members(extra_json).ok_or_else(|| Error::invalid(field, "must be a JSON object or empty"))?;
    let is_value = |value: &str| !matches!(value, "null" | "[]" | "{}");
    match extras.iter().find_map(|(name, value)| Some((name, field_of(name, is_value(value))?))) {
        Some((name, member)) => {
            Err(Error::invalid(field, format!("must not contain `{name}`; set the field `{member}` instead")))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn member_with_a_field_is_rejected_in_any_case_unless_the_field_is_unset_and_the_name_exact() {
        let members = [("model", true), ("n", false)];
        for extra_json in [r#"{"model":"x"}"#, r#"{"MODEL":"x"}"#, r#"{"N":4}"#, r#"{"MODEL":null}"#] {
            let result = extra_beside("extra_json", extra_json, &members);
            assert!(matches!(result, Err(Error::InvalidField { .. })), "{extra_json}: {result:?}");
        }
        for extra_json in ["", r#"{"n":4}"#, r#"{"model":null,"top_k":1}"#] {
            assert!(extra_beside("extra_json", extra_json, &members).is_ok(), "{extra_json}");
        }
        let error = extra("extra_json", r#"{"\u017fize":"1x1"}"#, &["size"]).unwrap_err();
        assert_eq!(error.to_string(), "extra_json: must not contain `\u{17f}ize`; set the field `size` instead");
    }
}
