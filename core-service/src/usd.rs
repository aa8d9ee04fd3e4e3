//! Amounts of money.

use std::{fmt, iter::Sum, ops::AddAssign};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// An amount of US dollars in millionths, so that sums are exact.
///
/// Settings and JSON write it as a decimal number in a text, `"12.50"`, because a JSON number could lose digits. A TOML integer
/// such as `12` is accepted too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Usd {
    micros: i64,
}

/// The digits after the decimal point.
const DECIMALS: usize = 6;
const MICROS_PER_USD: i64 = 1_000_000;

impl Usd {
    /// No money.
    pub const ZERO: Self = Self { micros: 0 };

    /// Returns an amount of millionths of a dollar.
    pub const fn from_micros(micros: i64) -> Self {
        Self { micros }
    }

    /// Returns the amount in millionths of a dollar.
    pub const fn micros(self) -> i64 {
        self.micros
    }

    /// Parses a decimal number that is not negative and has up to six decimals: `12.50`.
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(whole) || !is_number(decimals) || decimals.len() > DECIMALS {
            return None;
        }
        let decimals: i64 = format!("{decimals:0<DECIMALS$}").parse().ok()?;
        let whole: i64 = whole.parse().ok()?;
        Some(Self { micros: whole.checked_mul(MICROS_PER_USD)?.checked_add(decimals)? })
    }

    /// Returns `count / per` times this amount, rounded up to a millionth. Saturates. A `per` of 0 counts as 1.
    #[must_use]
    pub fn times(self, count: u64, per: u64) -> Self {
        // Does not overflow: each factor has at most 64 bits, and one is signed.
        let micros = (i128::from(self.micros) * i128::from(count)).div_ceil_by(per);
        Self { micros: i64::try_from(micros).unwrap_or(i64::MAX) }
    }

    /// Returns the sum. Saturates.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self { micros: self.micros.saturating_add(other.micros) }
    }

    /// Returns the difference, which may be negative. Saturates.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self { micros: self.micros.saturating_sub(other.micros) }
    }
}

/// Division of non-negative numbers that rounds up.
trait DivCeil {
    fn div_ceil_by(self, per: u64) -> Self;
}

impl DivCeil for i128 {
    fn div_ceil_by(self, per: u64) -> Self {
        let per = Self::from(per.max(1));
        (self + per - 1).div_euclid(per)
    }
}

impl AddAssign for Usd {
    fn add_assign(&mut self, other: Self) {
        *self = self.plus(other);
    }
}

impl Sum for Usd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Self::plus)
    }
}

impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&triptych_proto::usd::usd(self.micros))
    }
}

impl Serialize for Usd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Usd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Amount {
            Whole(u32),
            Decimal(String),
        }
        let amount = match Amount::deserialize(deserializer) {
            Ok(Amount::Whole(dollars)) => Some(Self { micros: i64::from(dollars) * MICROS_PER_USD }),
            Ok(Amount::Decimal(text)) => Self::parse(&text),
            Err(_) => None,
        };
        amount.ok_or_else(|| {
            D::Error::custom(
                "must be an amount of US dollars: a text with up to six decimals, such as \"12.50\", or a whole number",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_up_to_six_decimals() {
        for (text, micros, written) in [
            ("0", 0, "0.00"),
            ("12.50", 12_500_000, "12.50"),
            ("0.000001", 1, "0.000001"),
            ("3.1", 3_100_000, "3.10"),
            ("9223372036854.775807", i64::MAX, "9223372036854.775807"),
        ] {
            let amount = Usd::parse(text).unwrap();
            assert_eq!((amount.micros(), amount.to_string().as_str()), (micros, written));
        }
        for text in ["", ".", "1.", ".5", "-1", "+1", "1e3", "1.0000001", "1,5", " 1", "9223372036854.775808"] {
            assert_eq!(Usd::parse(text), None, "{text}");
        }
        assert_eq!(Usd::from_micros(-1_500_000).to_string(), "-1.50");
    }

    #[test]
    fn products_are_rounded_up_once() {
        let price = Usd::parse("0.15").unwrap();
        assert_eq!(price.times(1, 1_000_000).micros(), 1);
        assert_eq!(price.times(10_000_000, 1_000_000), Usd::parse("1.50").unwrap());
        assert_eq!(price.times(0, 1_000_000), Usd::ZERO);
        assert_eq!(Usd::from_micros(i64::MAX).times(u64::MAX, 1).micros(), i64::MAX);
    }

    #[test]
    fn settings_accept_text_and_integers_but_no_floating_point_numbers() {
        #[derive(Deserialize)]
        struct Setting {
            amount: Usd,
        }
        let parse = |text: &str| toml::from_str::<Setting>(&format!("amount = {text}")).map(|setting| setting.amount);
        assert_eq!(parse("\"12.5\"").unwrap().micros(), 12_500_000);
        assert_eq!(parse("12").unwrap().micros(), 12_000_000);
        for text in ["12.5", "-1", "\"a\"", "true"] {
            assert!(parse(text).unwrap_err().to_string().contains("US dollars"), "{text}");
        }
    }
}
