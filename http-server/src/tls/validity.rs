//! The period in which a certificate is valid, read from its DER encoding (RFC 5280, section 4.1).

use std::{
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

// Tags of DER elements.
const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// The version of a certificate, which certificates of version 1 lack.
const VERSION: u8 = 0xa0;

/// The period in which a certificate is valid, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// Its beginning.
    pub not_before: CertificateTime,
    /// Its end.
    pub not_after: CertificateTime,
}

impl Validity {
    /// Reads the period from a certificate in DER; `None` if it is not one.
    pub(super) fn of(certificate: &[u8]) -> Option<Self> {
        let (certificate, _) = element(certificate, SEQUENCE)?;
        let (signed, _) = element(certificate, SEQUENCE)?;
        let signed = element(signed, VERSION).map_or(signed, |(_, rest)| rest);
        let (_serial_number, rest) = element(signed, INTEGER)?;
        let (_signature_algorithm, rest) = element(rest, SEQUENCE)?;
        let (_issuer, rest) = element(rest, SEQUENCE)?;
        let (validity, _) = element(rest, SEQUENCE)?;
        let (not_before, rest) = CertificateTime::parse(validity)?;
        let (not_after, _) = CertificateTime::parse(rest)?;
        Some(Self { not_before, not_after })
    }

    /// Returns why the certificate is not valid at a time; `None` if it is.
    pub fn problem_at(&self, time: SystemTime) -> Option<String> {
        let now = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        if now > self.not_after.unix_seconds() {
            return Some(format!("expired at {}", self.not_after));
        }
        (now < self.not_before.unix_seconds()).then(|| format!("is not valid before {}", self.not_before))
    }
}

/// A time in a certificate: UTC, in seconds. Displays as `2027-01-31 12:00:00 UTC`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CertificateTime {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
}

impl CertificateTime {
    /// Returns the seconds since 1970.
    pub fn unix_seconds(&self) -> i64 {
        // The days of the Gregorian calendar, in years that begin with March so that a leap day is the last one. An era is 400 years,
        // which have 146,097 days; 719,468 days lie between the first of March of the year 0 and 1970. Before the month m, counted from
        // March as 0, there are (153 m + 2) / 5 days.
        let year = self.year - i64::from(self.month <= 2);
        let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let day_of_year = (153 * ((self.month + 9) % 12) + 2) / 5 + self.day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        let days = era * 146_097 + day_of_era - 719_468;
        ((days * 24 + self.hour) * 60 + self.minute) * 60 + self.second
    }

    /// Parses the time at the start of `der`, and returns the bytes after it.
    fn parse(der: &[u8]) -> Option<(Self, &[u8])> {
        let (text, rest, century) = match *der.first()? {
            UTC_TIME => element(der, UTC_TIME).map(|(text, rest)| (text, rest, None))?,
            GENERALIZED_TIME => {
                let (text, rest) = element(der, GENERALIZED_TIME)?;
                let (century, text) = text.split_at_checked(2)?;
                (text, rest, Some(number(century)?))
            }
            _ => return None,
        };
        let digits = text.strip_suffix(b"Z").filter(|digits| digits.len() == 12)?;
        let mut pairs = digits.chunks(2).map(number);
        let mut next = || pairs.next().flatten();
        let year = next()?;
        // Two digits stand for 1950 to 2049.
        let century = century.unwrap_or(if year >= 50 { 19 } else { 20 });
        let time = Self {
            year: century * 100 + year,
            month: next().filter(|month| (1..=12).contains(month))?,
            day: next().filter(|day| (1..=31).contains(day))?,
            hour: next().filter(|hour| *hour < 24)?,
            minute: next().filter(|minute| *minute < 60)?,
            second: next().filter(|second| *second < 60)?,
        };
        Some((time, rest))
    }
}

impl fmt::Display for CertificateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { year, month, day, hour, minute, second } = self;
        write!(f, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
    }
}

/// Returns the number with these two decimal digits.
fn number(digits: &[u8]) -> Option<i64> {
    match digits {
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => Some(i64::from(tens - b'0') * 10 + i64::from(ones - b'0')),
        _ => None,
    }
}

/// Returns the content of the element with this tag at the start of `der`, and the bytes after it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&length, rest) = der.strip_prefix(&[tag])?.split_first()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        // The length follows in as many bytes.
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Returns a DER element.
    fn der(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = u8::try_from(content.len()).unwrap();
        let header = if length < 0x80 { vec![tag, length] } else { vec![tag, 0x81, length] };
        [&header, content].concat()
    }

    /// Returns a certificate with nothing but what is read.
    fn certificate(not_before: &[u8], not_after: &[u8]) -> Vec<u8> {
        let validity = der(SEQUENCE, &[not_before, not_after].concat());
        let version = der(VERSION, &der(INTEGER, &[2]));
        // So long that the length has a second byte.
        let issuer = der(SEQUENCE, &[0; 0x90]);
        let signed = [version, der(INTEGER, &[1]), der(SEQUENCE, &[]), issuer, validity].concat();
        let length = u8::try_from(signed.len()).unwrap();
        der(SEQUENCE, &[&[SEQUENCE, 0x81, length], signed.as_slice()].concat())
    }

    fn utc(text: &[u8]) -> Vec<u8> {
        der(UTC_TIME, text)
    }

    #[test]
    fn both_forms_of_time_are_read() {
        let certificate = certificate(&utc(b"990228235959Z"), &der(GENERALIZED_TIME, b"20520301000000Z"));
        let validity = Validity::of(&certificate).unwrap();
        assert_eq!(validity.not_before.to_string(), "1999-02-28 23:59:59 UTC");
        assert_eq!(validity.not_after.to_string(), "2052-03-01 00:00:00 UTC");
    }

    #[test]
    fn times_are_unix_seconds() {
        for (text, seconds) in [
            (b"700101000000Z", 0),
            (b"000229120000Z", 951_825_600),
            (b"240301000000Z", 1_709_251_200),
            (b"491231235959Z", 2_524_607_999),
        ] {
            assert_eq!(CertificateTime::parse(&utc(text)).unwrap().0.unix_seconds(), seconds);
        }
    }

    #[test]
    fn certificate_is_valid_between_both_times() {
        let validity = Validity::of(&certificate(&utc(b"700101000010Z"), &utc(b"700101000020Z"))).unwrap();
        let problem = |seconds| validity.problem_at(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(problem(9).unwrap(), "is not valid before 1970-01-01 00:00:10 UTC");
        assert_eq!((problem(10), problem(20)), (None, None));
        assert_eq!(problem(21).unwrap(), "expired at 1970-01-01 00:00:20 UTC");
    }

    #[test]
    fn truncated_and_malformed_certificates_are_rejected() {
        let whole = certificate(&utc(b"700101000010Z"), &utc(b"700101000020Z"));
        for length in 0..whole.len() {
            assert_eq!(Validity::of(&whole[..length]), None, "{length}");
        }
        for time in [b"701301000010Z", b"700100000010Z", b"7001010000x0Z", b"700101000010+"] {
            assert_eq!(Validity::of(&certificate(&utc(time), &utc(b"700101000020Z"))), None);
        }
    }
}
