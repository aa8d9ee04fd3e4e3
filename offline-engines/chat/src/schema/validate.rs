//! Validates an existing scalar (a default, an enum member, a value from the text) against its schema.

use std::cmp::Ordering;

use serde_json::{Number, Value};

use super::resolve::list;
use super::{format, pattern};

/// Returns whether the value satisfies all keywords for scalars. Containers are checked against `type`, `enum` and `const`
/// only, so callers must pass no container whose other keywords matter.
pub(crate) fn is_valid(schema: &Value, value: &Value) -> bool {
    (schema.get("enum").is_none() || list(schema, "enum").contains(value)) && is_valid_member(schema, value)
}

/// Returns whether a member of the schema's `enum` satisfies the other keywords. Does not search the `enum`, so that checking
/// all of its members takes linear time.
pub(crate) fn is_valid_member(schema: &Value, value: &Value) -> bool {
    let type_matches = match schema.get("type") {
        Some(Value::String(name)) => has_type(value, name),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).any(|name| has_type(value, name)),
        Some(_) | None => true,
    };
    type_matches
        && schema.get("const").is_none_or(|fixed| fixed == value)
        && match value {
            Value::Number(number) => is_valid_number(schema, number),
            Value::String(text) => is_valid_string(schema, text),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => true,
        }
}

fn has_type(value: &Value, name: &str) -> bool {
    match value {
        Value::Null => name == "null",
        Value::Bool(_) => name == "boolean",
        Value::Number(number) => name == "number" || (name == "integer" && is_integer(number)),
        Value::String(_) => name == "string",
        Value::Array(_) => name == "array",
        Value::Object(_) => name == "object",
    }
}

fn is_integer(number: &Number) -> bool {
    number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|value| value.fract() == 0.0)
}

pub(crate) fn is_valid_number(schema: &Value, number: &Number) -> bool {
    let order = |keyword: &str| schema.get(keyword).and_then(Value::as_number).and_then(|bound| compare(number, bound));
    let step = schema.get("multipleOf").and_then(Value::as_f64);
    order("minimum").is_none_or(Ordering::is_ge)
        && order("maximum").is_none_or(Ordering::is_le)
        && order("exclusiveMinimum").is_none_or(Ordering::is_gt)
        && order("exclusiveMaximum").is_none_or(Ordering::is_lt)
        && step.is_none_or(|step| number.as_f64().is_some_and(|value| is_multiple(value, step)))
}

/// Compares integers exactly and other numbers as doubles.
fn compare(left: &Number, right: &Number) -> Option<Ordering> {
    match (left.as_i128(), right.as_i128()) {
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
    }
}

/// Returns whether `value` is a multiple of `step` in decimal arithmetic: 0.3 is a multiple of 0.1, although the nearest
/// doubles are not.
pub(crate) fn is_multiple(value: f64, step: f64) -> bool {
    let ratio = value / step;
    step > 0.0 && (ratio - ratio.round()).abs() < 1e-9
}

pub(crate) fn is_valid_string(schema: &Value, text: &str) -> bool {
    let length = text.chars().count() as u64;
    schema.get("minLength").and_then(Value::as_u64).is_none_or(|min| length >= min)
        && schema.get("maxLength").and_then(Value::as_u64).is_none_or(|max| length <= max)
        && schema.get("format").and_then(Value::as_str).is_none_or(|format| format::matches(text, format))
        && schema.get("pattern").and_then(Value::as_str).is_none_or(|wanted| pattern::matches(wanted, text))
}
