//! Numbers within bounds and on a grid.

use serde_json::{Number, Value};

use super::accept::{fits_number, is_multiple};
use super::{Place, Writer};
use crate::Error;

/// Up to here every whole number is exact as a double.
const EXACT: f64 = 9_007_199_254_740_992.0;
/// Grid points looked at before giving up.
const TRIES: u32 = 1_000;

impl Writer<'_> {
    pub(super) fn number(&mut self, schema: &Value, place: &Place, whole: bool) -> Result<Value, Error> {
        let bound = |keyword: &str| schema.get(keyword).and_then(Value::as_f64);
        let step = bound("multipleOf").filter(|step| *step > 0.0);
        // Whole numbers on a fine grid: the grid's whole points, unless the grid itself is whole.
        let grid = match (whole, step) {
            (true, Some(step)) if step.fract() == 0.0 => step,
            (true, _) => 1.0,
            (false, Some(step)) => step,
            (false, None) => 0.5,
        };
        let least = [bound("minimum"), bound("exclusiveMinimum")].into_iter().flatten().reduce(f64::max);
        let most = [bound("maximum"), bound("exclusiveMaximum")].into_iter().flatten().reduce(f64::min);

        let taste = taste(&place.name) + f64::from(u32::try_from(self.salt).unwrap_or(0));
        let wish = (taste / grid).round() * grid;
        let fits = |value: f64| -> Option<Value> {
            let number = spell(value, grid, whole)?;
            (fits_number(schema, &number) && (!whole || value.fract() == 0.0)).then_some(Value::Number(number))
        };
        if let Some(value) = fits(wish) {
            return Ok(value);
        }
        let start = match (least, most) {
            (Some(least), _) => (least / grid).ceil(),
            (None, Some(most)) => (most / grid).floor(),
            (None, None) => 0.0,
        };
        let direction = if least.is_some() || most.is_none() { 1.0 } else { -1.0 };
        let skip = f64::from(u32::try_from(self.salt % 8).unwrap_or(0));
        let mut offsets = std::iter::once(skip).chain((0..TRIES).map(f64::from));
        if let Some(value) = offsets.find_map(|offset| fits((start + direction * offset) * grid)) {
            return Ok(value);
        }
        // A gap narrower than the grid still has a middle.
        if let (Some(least), Some(most), false, None) = (least, most, whole, step)
            && let Some(number) =
                Number::from_f64(f64::midpoint(least, most)).filter(|number| fits_number(schema, number))
        {
            return Ok(Value::Number(number));
        }
        // Bounds beyond a double's exact range are honoured as they are written.
        let literal = ["minimum", "maximum"].into_iter().filter_map(|keyword| schema.get(keyword)).find_map(|bound| {
            let number =
                bound.as_number().filter(|number| fits_number(schema, number) && (!whole || !number.is_f64()))?;
            Some(Value::Number(number.clone()))
        });
        literal.ok_or_else(|| place.refuse("no number found that is within the bounds and a multiple of `multipleOf`"))
    }
}

/// `value` as JSON writes it, without the dust of binary fractions: 3 × 0.1 is 0.3.
fn spell(value: f64, grid: f64, whole: bool) -> Option<Number> {
    if !value.is_finite() {
        return None;
    }
    if value.fract() == 0.0 && value.abs() <= EXACT && (whole || is_multiple(1.0, grid) || grid.fract() == 0.0) {
        // In range and without a fraction, so nothing is lost.
        return format!("{value:.0}").parse::<i64>().ok().map(Number::from);
    }
    if whole {
        return None;
    }
    let decimals = (0..=15).find(|decimals| format!("{grid:.decimals$}").parse() == Ok(grid)).unwrap_or(15);
    format!("{value:.decimals$}").parse().ok().and_then(Number::from_f64)
}

/// A number one would expect under such a name.
fn taste(name: &str) -> f64 {
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
        .find(|(word, _)| super::spaced(&name).split(' ').any(|part| part == *word))
        .map_or(1.0, |(_, value)| *value)
}
