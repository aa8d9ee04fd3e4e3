//! Exact amounts of money from the text of JSON numbers.

use core_service::usd::Usd;

/// The decimals of an amount.
const DECIMALS: i32 = 6;

/// An amount, and whether it has been rounded up to a millionth of a dollar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) usd: Usd,
    pub(super) is_rounded: bool,
}

/// Returns `10^scale` times a JSON number, such as `1.5e-07`. `None` for text that is no number, for negative numbers and for those
/// that are too large.
pub(super) fn amount(number: &str, scale: i32) -> Option<Amount> {
    let (mantissa, exponent) = match number.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse().ok()?),
        None => (number, 0_i32),
    };
    let (whole, decimals) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() || ![whole, decimals].iter().all(|digits| digits.bytes().all(|byte| byte.is_ascii_digit())) {
        return None;
    }
    let digits: i128 = format!("{whole}{decimals}").parse().ok()?;
    if digits == 0 {
        return Some(Amount { usd: Usd::ZERO, is_rounded: false });
    }
    let shift = exponent.checked_add(scale + DECIMALS)?.checked_sub(i32::try_from(decimals.len()).ok()?)?;
    let power = 10_i128.checked_pow(shift.unsigned_abs());
    let (micros, rest) = match (shift >= 0, power) {
        (true, power) => (digits.checked_mul(power?)?, 0),
        (false, Some(power)) => (digits / power, digits % power),
        // Less than a millionth.
        (false, None) => (0, digits),
    };
    let micros = i64::try_from(micros + i128::from(rest > 0)).ok()?;
    Some(Amount { usd: Usd::from_micros(micros), is_rounded: rest > 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact_and_rounded_up_beyond_a_millionth() {
        for (number, scale, expected, is_rounded) in [
            ("1.5e-07", 6, "0.15", false),
            ("2.5E-6", 6, "2.50", false),
            ("0.00000028", 6, "0.28", false),
            ("1e-05", 6, "10.00", false),
            ("0.000001234567891", 6, "1.234568", true),
            ("0.4", 0, "0.40", false),
            ("40", 0, "40.00", false),
            ("0", 6, "0.00", false),
            ("0.0e-9", 6, "0.00", false),
            ("1e-300", 6, "0.000001", true),
            // As a binary floating-point number: 0.30000000000000004.
            ("0.3", 0, "0.30", false),
        ] {
            let amount = amount(number, scale).unwrap_or_else(|| panic!("{number}"));
            assert_eq!((amount.usd.to_string().as_str(), amount.is_rounded), (expected, is_rounded), "{number}");
        }
        for text in ["-1e-6", "\"1\"", "null", "", ".5", "1e", "1e99", "true"] {
            assert_eq!(amount(text, 6), None, "{text}");
        }
    }
}
