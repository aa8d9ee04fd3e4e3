//! The deadline of a call, in gRPC's notation.

use std::time::Duration;

use http::HeaderMap;

use crate::headers::GRPC_TIMEOUT;

/// Returns the time that the header `grpc-timeout` allows for a call: at most eight digits and a unit. `None` without a valid header.
pub(super) fn of(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(GRPC_TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    let amount = digits.parse::<u32>().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(u64::from(amount) * 3600),
        "M" => Duration::from_secs(u64::from(amount) * 60),
        "S" => Duration::from_secs(amount.into()),
        "m" => Duration::from_millis(amount.into()),
        "u" => Duration::from_micros(amount.into()),
        "n" => Duration::from_nanos(amount.into()),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_those_of_grpc_and_other_values_set_no_deadline() {
        let of = |text: &str| of(&HeaderMap::from_iter([(GRPC_TIMEOUT, text.parse().unwrap())]));
        let texts = ["2H", "2M", "2S", "2m", "2u", "2n"];
        let nanos = [7_200_000_000_000, 120_000_000_000, 2_000_000_000, 2_000_000, 2_000, 2];
        assert_eq!(texts.map(|text| of(text).unwrap().as_nanos()), nanos);
        for text in ["", "5", "m", "1.5m", "-1m", "5x"] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
