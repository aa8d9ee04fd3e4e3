//! Formats amounts of money as text. Messages have them in millionths of a US dollar (micro-USD).

/// Returns an amount of millionths of a US dollar as a decimal number of dollars: at least two decimals, and no further zeros at
/// the end.
pub fn usd(micros: i64) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    let micros = micros.unsigned_abs();
    let (mut decimals, mut width) = (micros % 1_000_000, 6);
    while width > 2 && decimals % 10 == 0 {
        (decimals, width) = (decimals / 10, width - 1);
    }
    format!("{sign}{}.{decimals:0width$}", micros / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::usd;

    #[test]
    fn amounts_have_two_to_six_decimals() {
        for (micros, text) in [
            (0, "0.00"),
            (1, "0.000001"),
            (100, "0.0001"),
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
