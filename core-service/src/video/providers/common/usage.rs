//! The amounts of a reported usage. An amount that is not plausible counts as not reported, so that the file is charged instead.

use crate::{json::members::Members, usd::Usd};

/// The longest usage that is plausible, in seconds.
const MAX_SECONDS: f64 = 24.0 * 60.0 * 60.0;

/// Returns a positive number of seconds, in milliseconds.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in the range of the target type")]
pub(in crate::video::providers) fn millis(members: &Members<'_>, name: &str) -> Option<u64> {
    let seconds: f64 = members.text(name)?.trim().parse().ok()?;
    let millis = (seconds * 1000.0).round();
    (seconds <= MAX_SECONDS && millis >= 1.0).then_some(millis as u64)
}

/// Returns a positive amount of a unit of which one dollar has `per_dollar`, rounded up to a millionth of a dollar.
pub(in crate::video::providers) fn cost(members: &Members<'_>, name: &str, per_dollar: u64) -> Option<Usd> {
    let amount = Usd::parse(members.text(name)?.trim())?.times(1, per_dollar);
    (amount > Usd::ZERO).then_some(amount)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::members::read_object;

    #[test]
    fn amounts_are_read_from_numbers_and_texts_and_implausible_ones_count_as_absent() {
        let read = |value: &str| {
            let text = format!(r#"{{"a":{value}}}"#);
            read_object(text.as_bytes(), |members| (millis(&members, "a"), cost(&members, "a", 100))).unwrap()
        };
        assert_eq!(read("5"), (Some(5_000), Usd::parse("0.05")));
        assert_eq!(read("\" 5.5 \""), (Some(5_500), Usd::parse("0.055")));
        assert_eq!(read("0.00001"), (None, Usd::parse("0.000001")));
        assert_eq!(read("86401"), (None, Usd::parse("864.01")));
        for value in ["0", "-5", "1e400", "\"many\"", "NaN", "null", "true", "{}", "[5]"] {
            assert_eq!(read(value), (None, None), "{value}");
        }
        let absent = read_object(b"{}", |members| (millis(&members, "a"), cost(&members, "a", 100))).unwrap();
        assert_eq!(absent, (None, None));
    }
}
