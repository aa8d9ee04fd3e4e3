//! Integers with a zero fraction, such as `3.0`: JSON Schema counts them among the integers, and some clients send them.

use serde_json::Value;

/// 2^53: beyond it, a double cannot represent every integer.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// Returns the integer that a number stands for; `None` for one with a fraction, and for one beyond 2^53.
#[expect(clippy::cast_possible_truncation, reason = "bounded by MAX_EXACT")]
pub(crate) fn exact_integer(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() <= MAX_EXACT).then_some(number as i64)
}

/// Returns the value as an integer, if it is one.
pub(crate) fn as_integer(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| exact_integer(value.as_f64()?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::as_integer;

    #[test]
    fn zero_fraction_is_an_integer() {
        for (value, integer) in [
            (json!(3), Some(3)),
            (json!(3.0), Some(3)),
            (json!(-3e2), Some(-300)),
            (json!(i64::MIN), Some(i64::MIN)),
            (json!(3.5), None),
            (json!(1e30), None),
            (json!(u64::MAX), None),
            (json!("3"), None),
            (json!(true), None),
        ] {
            assert_eq!(as_integer(&value), integer, "{value}");
        }
    }
}
