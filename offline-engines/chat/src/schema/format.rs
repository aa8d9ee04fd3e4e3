//! The `format` keyword of strings: examples and validation.

use crate::entities::{is_date, is_email};
use crate::rng::Rng;

/// Returns a value of the format for the array item at `index`, or `None` for an unknown format.
pub(super) fn example(format: &str, index: usize, rng: &mut Rng) -> Option<String> {
    // 1 to 28: a valid day in every month.
    let nth = index % 28 + 1;
    Some(match format {
        "date-time" => format!("2026-01-{nth:02}T12:00:00Z"),
        "date" => format!("2026-01-{nth:02}"),
        "time" => format!("12:{nth:02}:00Z"),
        "duration" => format!("PT{nth}H30M"),
        "email" | "idn-email" => format!("someone{nth}@example.com"),
        "hostname" | "idn-hostname" => format!("host{nth}.example.com"),
        "ipv4" => format!("192.0.2.{nth}"),
        "ipv6" => format!("2001:db8::{nth:x}"),
        "uri" | "iri" | "uri-reference" | "iri-reference" | "url" => format!("https://example.com/{nth}"),
        "uuid" => {
            let (high, low) = (rng.next(), rng.next());
            // The version (4) and variant bits of RFC 9562.
            let (third, fourth) = ((high & 0x0fff) | 0x4000, (low >> 48 & 0x3fff) | 0x8000);
            format!(
                "{:08x}-{:04x}-{third:04x}-{fourth:04x}-{:012x}",
                high >> 32,
                high >> 16 & 0xffff,
                low & 0xffff_ffff_ffff
            )
        }
        _ => return None,
    })
}

/// Returns whether a text has the format. Unknown formats are accepted.
///
/// Stricter than the specifications: a rejected text is replaced by a placeholder, whereas an invalid one would end up in
/// the document.
pub(super) fn matches(text: &str, format: &str) -> bool {
    match format {
        "email" | "idn-email" => is_email(text),
        "date" => is_date(text),
        "uri" | "iri" | "url" | "uri-reference" | "iri-reference" => {
            let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
            rest.is_some_and(|rest| {
                !rest.is_empty()
                    && rest.chars().all(|c| c.is_ascii_alphanumeric() || "-._~/?&=#".contains(c))
                    && rest.matches('#').count() < 2
            })
        }
        "ipv4" => text.parse::<std::net::Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<std::net::Ipv6Addr>().is_ok(),
        "hostname" => {
            let label =
                |label: &str| !label.is_empty() && label.len() < 64 && label.chars().all(|c| c.is_ascii_alphanumeric());
            text.split('.').all(label)
        }
        "uuid" => {
            let parts: Vec<_> =
                text.split('-').map(|part| part.chars().filter(char::is_ascii_hexdigit).count()).collect();
            parts == [8, 4, 4, 4, 12] && text.len() == 36
        }
        "date-time" => text
            .strip_suffix('Z')
            .and_then(|text| text.split_once('T'))
            .is_some_and(|(date, time)| is_date(date) && is_time(time)),
        "time" => text.strip_suffix('Z').is_some_and(is_time),
        "duration" => text.strip_prefix("PT").is_some_and(|rest| {
            // "2H30M", the form that `example` writes, or a single unit.
            let rest =
                rest.strip_suffix("H30M").unwrap_or_else(|| rest.strip_suffix(['H', 'M', 'S']).unwrap_or_default());
            !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit())
        }),
        _ => true,
    }
}

fn is_time(text: &str) -> bool {
    let parts: Vec<_> = text.split(':').collect();
    let below = |at: usize, limit: u32| {
        parts.get(at).is_some_and(|part| part.len() == 2 && part.parse().is_ok_and(|value: u32| value < limit))
    };
    parts.len() == 3 && below(0, 24) && below(1, 60) && below(2, 60)
}
