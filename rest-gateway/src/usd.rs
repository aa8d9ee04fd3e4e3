//! Amounts of money in requests.

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

#[cfg(test)]
mod tests {
    use triptych_proto::usd::usd;

    use super::parse_usd;

    #[test]
    fn amounts_are_numbers_with_up_to_six_decimals_that_are_not_negative() {
        for micros in [0, 1, 400_000, 12_345_000, i64::MAX] {
            assert_eq!(parse_usd(&usd(micros)), Some(micros));
        }
        assert_eq!(parse_usd("12"), Some(12_000_000));
        for wrong in ["", ".5", "1.", "1.0000001", "-1", "-1.50", "1e3", "9223372036855", "1 "] {
            assert_eq!(parse_usd(wrong), None, "{wrong}");
        }
    }
}
