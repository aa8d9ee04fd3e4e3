//! Writes numbers within bounds (`minimum`, `maximum`) that are multiples of a step (`multipleOf`).

use serde_json::{Number, Value};

use super::position::SchemaPosition;
use super::validate::{is_multiple, is_valid_number};
use crate::error::Error;
use crate::words::split_identifier;

/// 2^53: every integer up to it is exact as a double.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;
/// Number of multiples to try.
const MAX_TRIES: u32 = 1_000;

/// The numbers that a `type` of JSON Schema allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NumberType {
    Integer,
    Number,
}

/// Writes a number for the schema. `index` is the index of the array item, by which values differ.
pub(super) fn write(
    schema: &Value,
    position: &SchemaPosition,
    index: usize,
    number_type: NumberType,
) -> Result<Value, Error> {
    let integer = number_type == NumberType::Integer;
    let bound = |keyword: &str| schema.get(keyword).and_then(Value::as_f64);
    let step = bound("multipleOf").filter(|step| *step > 0.0);
    // Candidates are multiples of `grid`: the step, or 1 or 0.5 without one.
    // Integers with a fractional `multipleOf` are searched in steps of 1; `fits` then checks the multiple.
    let grid = match (integer, step) {
        (true, Some(step)) if step.fract() == 0.0 => step,
        (true, _) => 1.0,
        (false, Some(step)) => step,
        (false, None) => 0.5,
    };
    let min = [bound("minimum"), bound("exclusiveMinimum")].into_iter().flatten().reduce(f64::max);
    let max = [bound("maximum"), bound("exclusiveMaximum")].into_iter().flatten().reduce(f64::min);

    let typical = typical_value(&position.name) + f64::from(u32::try_from(index).unwrap_or(0));
    let preferred = (typical / grid).round() * grid;
    let fits = |value: f64| -> Option<Value> {
        let number = to_number(value, grid, integer)?;
        (is_valid_number(schema, &number) && (!integer || value.fract() == 0.0)).then_some(Value::Number(number))
    };
    if let Some(value) = fits(preferred) {
        return Ok(value);
    }
    let start = match (min, max) {
        (Some(min), _) => (min / grid).ceil(),
        (None, Some(max)) => (max / grid).floor(),
        (None, None) => 0.0,
    };
    let direction = if min.is_some() || max.is_none() { 1.0 } else { -1.0 };
    // Array items start at different multiples, so that they differ.
    let skip = f64::from(u32::try_from(index % 8).unwrap_or(0));
    let mut offsets = std::iter::once(skip).chain((0..MAX_TRIES).map(f64::from));
    if let Some(value) = offsets.find_map(|offset| fits((start + direction * offset) * grid)) {
        return Ok(value);
    }
    // The bounds may be closer together than the default step: try their midpoint.
    if let (Some(min), Some(max), false, None) = (min, max, integer, step)
        && let Some(number) = Number::from_f64(f64::midpoint(min, max)).filter(|number| is_valid_number(schema, number))
    {
        return Ok(Value::Number(number));
    }
    // Bounds beyond the exact range of doubles: try the bounds themselves, as written.
    let literal = ["minimum", "maximum"].into_iter().filter_map(|keyword| schema.get(keyword)).find_map(|bound| {
        let number =
            bound.as_number().filter(|number| is_valid_number(schema, number) && (!integer || !number.is_f64()))?;
        Some(Value::Number(number.clone()))
    });
    literal.ok_or_else(|| position.error("no number found within the bounds that is a multiple of `multipleOf`"))
}

/// Converts to a JSON number, rounded to the decimals of the step: 3 × 0.1 becomes 0.3.
fn to_number(value: f64, grid: f64, integer: bool) -> Option<Number> {
    if !value.is_finite() {
        return None;
    }
    if value.fract() == 0.0 && value.abs() <= MAX_EXACT && (integer || is_multiple(1.0, grid) || grid.fract() == 0.0) {
        // In range and without a fraction, so nothing is lost.
        return format!("{value:.0}").parse::<i64>().ok().map(Number::from);
    }
    if integer {
        return None;
    }
    let decimals = (0..=15).find(|decimals| format!("{grid:.decimals$}").parse() == Ok(grid)).unwrap_or(15);
    format!("{value:.decimals$}").parse().ok().and_then(Number::from_f64)
}

/// Returns a plausible value for a member name, 1 if the name is not known.
fn typical_value(name: &str) -> f64 {
    let name = name.to_lowercase();
    let table: &[(&str, f64)] = &[
        ("year", 2026.0),
        ("month", 6.0),
        ("latitude", 48.85),
        ("longitude", 2.35),
        ("lat", 48.85),
        ("lon", 2.35),
        ("age", 30.0),
        ("temperature", 21.0),
        ("price", 9.5),
        ("percent", 50.0),
        ("score", 0.5),
        ("confidence", 0.5),
        ("probability", 0.5),
        ("limit", 10.0),
        ("rating", 4.0),
        ("minutes", 30.0),
        ("width", 1024.0),
        ("height", 1024.0),
    ];
    table
        .iter()
        .find(|(word, _)| split_identifier(&name).split(' ').any(|part| part == *word))
        .map_or(1.0, |(_, value)| *value)
}
