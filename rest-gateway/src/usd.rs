//! Amounts of money in JSON and CSV.

/// The digits after the decimal point of an amount.
const DECIMALS: usize = 6;

/// Parses a decimal number of US dollars that is not negative and has up to six decimals. Returns millionths of a dollar.
pub(crate) fn parse_usd(text: &str) -> Option<i64> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(decimals) || decimals.len() > DECIMALS {
        return None;
    }
    let decimals: i64 = format!("{decimals:0<DECIMALS$}").parse().ok()?;
    whole.parse::<i64>().ok()?.checked_mul(1_000_000)?.checked_add(decimals)
}

/// Returns an amount of millionths of a US dollar as a decimal number of dollars: at least two decimals, and no further zeros at
/// the end.
pub(crate) fn usd(micros: i64) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    let micros = micros.unsigned_abs();
    let decimals = format!("{:06}", micros % 1_000_000);
    let (cents, rest) = decimals.split_at(2);
    format!("{sign}{}.{cents}{}", micros / 1_000_000, rest.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::{parse_usd, usd};

    #[test]
    fn amounts_have_two_to_six_decimals() {
        for (micros, text) in [
            (0, "0.00"),
            (1, "0.000001"),
            (400_000, "0.40"),
            (12_345_000, "12.345"),
            (-1_500_000, "-1.50"),
            (i64::MAX, "9223372036854.775807"),
            (i64::MIN, "-9223372036854.775808"),
        ] {
            assert_eq!(usd(micros), text);
            assert_eq!(parse_usd(text), (micros >= 0).then_some(micros));
        }
        for wrong in ["", ".5", "1.", "1.0000001", "-1", "1e3", "9223372036855", "1 "] {
            assert_eq!(parse_usd(wrong), None, "{wrong}");
        }
        assert_eq!(parse_usd("12"), Some(12_000_000));
    }
}
