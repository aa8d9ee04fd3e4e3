//! Repairs text that is not quite JSON, as some upstreams send it.
//!
//! JSON escapes a character beyond U+FFFF as a surrogate pair, two escapes (`\ud83d\ude00`) with a high and a low
//! half. Upstreams that cut texts send the halves apart; half a pair is no character, and serde_json refuses it.

use std::fmt::Write as _;

/// The offset between the code of a surrogate and the private-use character that stands for it, U+10F800 to U+10FFFF. A
/// Rust string cannot hold the surrogate itself.
const MARK_OFFSET: u32 = 0x0010_F800 - 0xD800;

/// Returns JSON text in which
///
/// - a leading byte order mark is missing,
/// - `NaN`, `Infinity` and `-Infinity`, as Python writes them, are `null`,
/// - halves of surrogate pairs (`\ud83d` alone) and invalid UTF-8 are U+FFFD,
/// - control characters in strings are escaped.
pub fn sanitized(text: &[u8]) -> String {
    repaired(text, |_| char::REPLACEMENT_CHARACTER)
}

/// Like [`sanitized`], but the half of a surrogate pair at the start or end of a string is replaced by a private-use
/// character, which [`surrogate`] converts back: the other half may be in another document.
pub(crate) fn with_marked_halves(text: &[u8]) -> String {
    repaired(text, mark)
}

/// Returns the private-use character for a surrogate.
fn mark(code: u32) -> char {
    char::from_u32(code + MARK_OFFSET).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// Returns the surrogate that a private-use character stands for.
pub(crate) fn surrogate(character: char) -> Option<u32> {
    u32::from(character).checked_sub(MARK_OFFSET).filter(|code| (0xD800..0xE000).contains(code))
}

/// Returns the character of a surrogate pair.
pub(crate) fn joined(high: u32, low: u32) -> Option<char> {
    let is_pair = is_high(high) && (0xDC00..0xE000).contains(&low);
    is_pair.then(|| char::from_u32(0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00))).flatten()
}

/// Returns whether a code is the first half of a surrogate pair.
pub(crate) fn is_high(code: u32) -> bool {
    (0xD800..0xDC00).contains(&code)
}

/// Repairs a text. `at_boundary` returns the character for the half of a surrogate pair at the start or end of a
/// string.
fn repaired(text: &[u8], at_boundary: fn(u32) -> char) -> String {
    let text = String::from_utf8_lossy(text);
    let mut rest = text.trim_start_matches('\u{feff}');
    let mut out = String::with_capacity(rest.len());
    while let Some(character) = rest.chars().next() {
        if character == '"' {
            rest = repaired_string(rest, &mut out, at_boundary);
            continue;
        }
        let word = ["-Infinity", "Infinity", "NaN"].into_iter().find(|word| rest.starts_with(word));
        match word {
            Some(_) => out.push_str("null"),
            None => out.push(character),
        }
        rest = &rest[word.map_or(character.len_utf8(), str::len)..];
    }
    out
}

/// Appends the string at the start of `text` to `out`; returns the text after it.
fn repaired_string<'a>(text: &'a str, out: &mut String, at_boundary: fn(u32) -> char) -> &'a str {
    out.push('"');
    let (mut rest, mut at_start) = (&text[1..], true);
    loop {
        let mut characters = rest.chars();
        let Some(character) = characters.next() else { return rest };
        let mut length = character.len_utf8();
        match character {
            '"' => {
                out.push('"');
                return &rest[length..];
            }
            '\\' => match unit(rest) {
                Some(code) if (0xD800..0xE000).contains(&code) => {
                    length = 6;
                    if unit(&rest[6..]).is_some_and(|low| joined(code, low).is_some()) {
                        length = 12;
                        out.push_str(&rest[..length]);
                    } else if at_start && !is_high(code) || is_high(code) && rest[6..].starts_with('"') {
                        out.push(at_boundary(code));
                    } else {
                        out.push(char::REPLACEMENT_CHARACTER);
                    }
                }
                Some(_) | None => {
                    length += characters.next().map_or(0, char::len_utf8);
                    out.push_str(&rest[..length]);
                }
            },
            // Writing to a string cannot fail.
            '\0'..='\u{1f}' => drop(write!(out, "\\u{:04x}", u32::from(character))),
            _ => out.push(character),
        }
        rest = &rest[length..];
        at_start = false;
    }
}

/// Returns the code of the escape `\uXXXX`, six bytes long, at the start of `text`.
fn unit(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    u32::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_is_not_quite_json_is_repaired() {
        for (text, expected) in [
            ("\u{feff}{}", "{}"),
            (r#"{"a":-Infinity,"NaN":[NaN,Infinity]}"#, r#"{"a":null,"NaN":[null,null]}"#),
            (r#""cut \ud83d""#, "\"cut \u{fffd}\""),
            (r#""\ude00\ud83d\ude00\ud83dx""#, "\"\u{fffd}\\ud83d\\ude00\u{fffd}x\""),
            (r#""\\ud83d \" é""#, r#""\\ud83d \" é""#),
            ("\"a\nb\"", r#""a\u000ab""#),
            (r#""open \"#, r#""open \"#),
            (r#""\ud83"#, r#""\ud83"#),
        ] {
            assert_eq!(sanitized(text.as_bytes()), expected, "{text}");
        }
        assert_eq!(sanitized(b"\"\xff\""), "\"\u{fffd}\"");
    }

    #[test]
    fn halves_at_the_ends_of_strings_are_marked() {
        let marked = with_marked_halves(br#"["a\ud83d","\ude00b\ud83dc"]"#);
        let halves: Vec<_> = marked.chars().filter_map(surrogate).collect();
        assert_eq!(halves, [0xd83d, 0xde00]);
        assert_eq!(joined(halves[0], halves[1]), Some('\u{1f600}'));
        assert!(marked.contains('\u{fffd}'));
    }
}
