//! The period of a list of usage: its first and its last day, in UTC.

use std::time::SystemTime;

use triptych_proto::time::Timestamp;

use crate::error::Error;

/// The length of the text of a day, in bytes.
const DAY_LENGTH: usize = "YYYY-MM-DD".len();
/// The length of the part of a day that names its month.
const MONTH_LENGTH: usize = "YYYY-MM".len();

/// Validates the first and the last day of a list, both included. An empty last day means today; an empty
/// first day means the first day of the month of the last day.
///
/// # Errors
/// [`Error::InvalidField`] for a text that is not a day, or a last day before the first.
pub(super) fn days(first: String, last: String) -> Result<(String, String), Error> {
    let has_last = !last.is_empty();
    let last = if has_last { day("last_day", last)? } else { today() };
    let first = if first.is_empty() { format!("{}-01", &last[..MONTH_LENGTH]) } else { day("first_day", first)? };
    if first > last {
        let error = if has_last {
            Error::invalid("last_day", format!("must not be before first_day, {first}; it is {last}"))
        } else {
            Error::invalid(
                "first_day",
                format!("must not be after today, {last}, unless last_day is given; it is {first}"),
            )
        };
        return Err(error);
    }
    Ok((first, last))
}

fn today() -> String {
    let mut now = Timestamp::from(SystemTime::now()).to_string();
    now.truncate(DAY_LENGTH);
    now
}

/// Returns the text if it is a day that exists.
fn day(field: &str, text: String) -> Result<String, Error> {
    let has_form = text.len() == DAY_LENGTH
        && text
            .bytes()
            .enumerate()
            .all(|(at, byte)| if at == 4 || at == 7 { byte == b'-' } else { byte.is_ascii_digit() });
    if has_form
        && format!("{text}T00:00:00Z").parse::<Timestamp>().is_ok_and(|time| time.to_string().starts_with(&text))
    {
        return Ok(text);
    }
    Err(Error::invalid(field, "must be a day in the form YYYY-MM-DD, for example \"2026-11-28\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn period(first: &str, last: &str) -> Option<(String, String)> {
        days(first.to_owned(), last.to_owned()).ok()
    }

    #[test]
    fn absent_days_are_today_and_the_first_of_the_month() {
        let (first, last) = period("", "").unwrap();
        assert!(first.ends_with("-01") && last.starts_with(&first[..MONTH_LENGTH]), "{first} {last}");
        assert_eq!(period("", "2028-02-29"), Some(("2028-02-01".to_owned(), "2028-02-29".to_owned())));
    }

    #[test]
    fn days_that_do_not_exist_or_are_in_the_wrong_order_are_refused() {
        assert!(period("2026-11-28", "2026-11-28").is_some());
        for (first, last) in [
            ("2026-11-28", "2026-11-27"),
            ("2026-02-30", "2026-12-01"),
            ("2026-13-01", "2027-01-01"),
            ("2026-1-1", "2026-12-01"),
            ("28.11.2026", "2026-12-01"),
            ("2026-11-28T00:00:00Z", "2026-12-01"),
            ("", "tomorrow"),
            ("9999-01-01", ""),
        ] {
            assert_eq!(period(first, last), None, "{first} {last}");
        }
    }
}
