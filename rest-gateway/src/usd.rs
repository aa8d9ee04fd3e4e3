//! Amounts of money in JSON and CSV.

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
    use super::usd;

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
        }
    }
}
