//! Checks a ready-made scalar (a default, an enum member, a value from the text) against its schema.

use std::cmp::Ordering;

use serde_json::{Number, Value};

use super::resolve::list;
use super::{pattern, string};

/// Whether the value satisfies every keyword that speaks about scalars. Containers are only held to `type`, `enum` and
/// `const`: the caller must not offer others.
pub(crate) fn accepts(schema: &Value, value: &Value) -> bool {
    let fits_type = match schema.get("type") {
        Some(Value::String(name)) => has_type(value, name),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).any(|name| has_type(value, name)),
        Some(_) | None => true,
    };
    fits_type
        && schema.get("const").is_none_or(|fixed| fixed == value)
        && (schema.get("enum").is_none() || list(schema, "enum").contains(value))
        && match value {
            Value::Number(number) => fits_number(schema, number),
            Value::String(text) => fits_text(schema, text),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => true,
        }
}

fn has_type(value: &Value, name: &str) -> bool {
    match value {
        Value::Null => name == "null",
        Value::Bool(_) => name == "boolean",
        Value::Number(number) => name == "number" || (name == "integer" && is_whole(number)),
        Value::String(_) => name == "string",
        Value::Array(_) => name == "array",
        Value::Object(_) => name == "object",
    }
}

fn is_whole(number: &Number) -> bool {
    number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|value| value.fract() == 0.0)
}

pub(crate) fn fits_number(schema: &Value, number: &Number) -> bool {
    let order = |keyword: &str| schema.get(keyword).and_then(Value::as_number).and_then(|bound| compare(number, bound));
    let step = schema.get("multipleOf").and_then(Value::as_f64);
    order("minimum").is_none_or(Ordering::is_ge)
        && order("maximum").is_none_or(Ordering::is_le)
        && order("exclusiveMinimum").is_none_or(Ordering::is_gt)
        && order("exclusiveMaximum").is_none_or(Ordering::is_lt)
        && step.is_none_or(|step| number.as_f64().is_some_and(|value| is_multiple(value, step)))
}

/// Whole numbers exactly, however large; others as doubles.
fn compare(left: &Number, right: &Number) -> Option<Ordering> {
    match (left.as_i128(), right.as_i128()) {
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
    }
}

/// In decimals, as people mean it: 0.3 is a multiple of 0.1 although the two nearest binary numbers are not.
pub(crate) fn is_multiple(value: f64, step: f64) -> bool {
    let ratio = value / step;
    step > 0.0 && (ratio - ratio.round()).abs() < 1e-9
}

pub(crate) fn fits_text(schema: &Value, text: &str) -> bool {
    let count = text.chars().count() as u64;
    schema.get("minLength").and_then(Value::as_u64).is_none_or(|least| count >= least)
        && schema.get("maxLength").and_then(Value::as_u64).is_none_or(|most| count <= most)
        && schema.get("format").and_then(Value::as_str).is_none_or(|format| string::has_format(text, format))
        && schema.get("pattern").and_then(Value::as_str).is_none_or(|wanted| pattern::matches(wanted, text))
}
