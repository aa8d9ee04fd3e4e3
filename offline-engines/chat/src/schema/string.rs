//! Texts of a given format, pattern and length.

use serde_json::Value;

use super::{Fill, Place, Writer, accept, pattern, spaced};
use crate::Error;
use crate::facts::{is_date, is_email};

/// Longer texts are refused rather than made up.
const LONGEST: u64 = 16_384;

impl Writer<'_> {
    pub(super) fn string(&mut self, schema: &Value, place: &Place) -> Result<Value, Error> {
        let length = |keyword: &str| schema.get(keyword).and_then(Value::as_u64);
        let (least, most) = (length("minLength").unwrap_or(0), length("maxLength").unwrap_or(LONGEST));
        if least > LONGEST {
            return Err(place.refuse(format!("asks for more than {LONGEST} characters")));
        }
        if least > most {
            return Err(place.refuse("`minLength` is above `maxLength`"));
        }
        let format = schema.get("format").and_then(Value::as_str);
        if let Some(text) = format.and_then(|format| self.of_format(format)) {
            return Some(text)
                .filter(|text| accept::fits_text(schema, text))
                .map(Value::from)
                .ok_or_else(|| place.refuse("`format` does not go together with the given length or pattern"));
        }
        if let Some(wanted) = schema.get("pattern").and_then(Value::as_str) {
            return pattern::example(wanted, least, most.min(LONGEST), self.salt)
                .map(Value::from)
                .map_err(|problem| place.refuse(problem));
        }
        let mut text = self.made_up_text(place);
        let count = text.chars().count() as u64;
        if count > most {
            text = text.chars().take(usize::try_from(most).unwrap_or(usize::MAX)).collect();
        }
        if count < least {
            let missing = usize::try_from(least - count).unwrap_or(0);
            text.extend(" and so on".chars().cycle().take(missing));
        }
        Ok(text.into())
    }

    /// A text for a place about which nothing is known but its name. Says that it is made up where there is room.
    pub(super) fn made_up_text(&mut self, place: &Place) -> String {
        let name = spaced(&place.name);
        let nth = if self.salt == 0 { String::new() } else { format!(" {}", self.salt + 1) };
        let has = |options: &[&str]| name.split(' ').any(|word| options.contains(&word));
        if has(&["city", "location", "place", "town", "destination"]) {
            return ["Paris", "London", "Tokyo", "Berlin"][self.salt % 4].to_owned();
        }
        if has(&["country"]) {
            return ["France", "Japan", "Kenya", "Peru"][self.salt % 4].to_owned();
        }
        if has(&["language"]) {
            return "English".to_owned();
        }
        if has(&["currency"]) {
            return "EUR".to_owned();
        }
        if has(&["date", "day"]) {
            return format!("2026-01-{:02}", 1 + self.salt % 28);
        }
        if has(&["url", "uri", "link"]) {
            return format!("https://example.com/{}", self.salt + 1);
        }
        if has(&["email"]) {
            return format!("someone{}@example.com", self.salt + 1);
        }
        if has(&["color", "colour"]) {
            return ["blue", "green", "amber", "red"][self.salt % 4].to_owned();
        }
        if self.fill == Fill::Everything && has(&PROSE) {
            return format!("Made up by Triptych's offline engine{nth}; set CHAT_BASE_URL for a real answer.");
        }
        if name.is_empty() { format!("sample text{nth}") } else { format!("sample {name}{nth}") }
    }

    fn of_format(&mut self, format: &str) -> Option<String> {
        let nth = self.salt % 28 + 1;
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
                let (high, low) = (self.rng.next(), self.rng.next());
                // The bits that say "version 4, standard variant".
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
}

/// Names under which a reader expects sentences.
const PROSE: [&str; 14] = [
    "answer",
    "description",
    "explanation",
    "reason",
    "reasoning",
    "response",
    "reply",
    "summary",
    "text",
    "content",
    "message",
    "output",
    "comment",
    "note",
];

/// Whether a text from elsewhere is of a format. Strict: a text in doubt is not used, another is made up instead.
pub(super) fn has_format(text: &str, format: &str) -> bool {
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
            text.rsplit('.').enumerate().all(|(at, part)| {
                label(part)
                    || (at > 0
                        && part.len() < 64
                        && !part.is_empty()
                        && part.chars().all(|c| c.is_ascii_alphanumeric()))
            })
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
