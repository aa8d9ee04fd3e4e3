//! Checks a JSON text for errors that serde_json does not detect in values that it ignores or keeps as raw text: deep
//! nesting, lone surrogates and invalid UTF-8.
//!
//! serde_json checks none of the three when it ignores a value, and only UTF-8 when it keeps one raw. Syntax is left to the
//! parser, which reads the text next.

use memchr::memchr2;

use crate::error::GatewayError;

/// The maximum nesting depth of arrays and objects: one more than serde_json accepts in the values that it parses, so
/// that nothing which it parses is refused here.
const MAX_DEPTH: usize = 128;

/// Checks a JSON text.
///
/// # Errors
/// 400 `invalid_json`. The message names line and column, or the byte offset of invalid UTF-8.
pub(super) fn check(text: &[u8]) -> Result<(), GatewayError> {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        at += 1;
        match byte {
            b'"' => at = check_string(text, at)?,
            b'[' | b'{' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(error_at(text, at, &format!("arrays and objects nest deeper than {MAX_DEPTH}")));
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            // Not valid JSON outside a string. Checks only the encoding of the rest: if it is UTF-8, the parser reports the error.
            0x80.. => return check_utf8(text, at - 1, text.len()),
            _ => {}
        }
    }
    Ok(())
}

/// Checks a string that begins at `at`, after its opening quote. Returns the position after the closing quote.
fn check_string(text: &[u8], mut at: usize) -> Result<usize, GatewayError> {
    loop {
        let found = text.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest));
        let end = found.map_or(text.len(), |found| at + found);
        check_utf8(text, at, end)?;
        at = end;
        match text.get(at) {
            None => return Ok(at),
            Some(b'"') => return Ok(at + 1),
            Some(_backslash) => {}
        }
        match parse_unicode_escape(text, at) {
            Some(0xD800..=0xDBFF) if matches!(parse_unicode_escape(text, at + 6), Some(0xDC00..=0xDFFF)) => at += 12,
            Some(0xD800..=0xDFFF) => return Err(error_at(text, at + 1, "an escape is half of a surrogate pair")),
            Some(_) => at += 6,
            // Skips the backslash, and an ASCII character after it. Any other character is left to the UTF-8 check.
            None => at += 1 + usize::from(text.get(at + 1).is_some_and(u8::is_ascii)),
        }
    }
}

/// Checks `text[from..to]`, which begins and ends between characters.
fn check_utf8(text: &[u8], from: usize, to: usize) -> Result<(), GatewayError> {
    match std::str::from_utf8(text.get(from..to).unwrap_or_default()) {
        Ok(_) => Ok(()),
        Err(error) => {
            let at = from + error.valid_up_to();
            Err(GatewayError::invalid_json(format!("the body is not UTF-8 at byte {at}")))
        }
    }
}

/// Parses a `\uXXXX` escape at `at`, which is six bytes long.
fn parse_unicode_escape(text: &[u8], at: usize) -> Option<u16> {
    let escape = text.get(at..at + 6)?;
    let digits = std::str::from_utf8(escape.strip_prefix(b"\\u")?).ok()?;
    u16::from_str_radix(digits, 16).ok()
}

/// Returns the error with the line and the column of the byte before `at`, from 1, as serde_json counts them.
fn error_at(text: &[u8], at: usize, message: &str) -> GatewayError {
    let before = &text[..at.min(text.len())];
    let line = 1 + memchr::memchr_iter(b'\n', before).count();
    let column = before.len() - memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
    GatewayError::invalid_json(format!("the body is not valid JSON: {message} at line {line} column {column}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nesting_is_bounded_in_unknown_members_too() {
        let nested = |levels: usize| format!("{{\"unknown\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
        assert!(check(nested(127).as_bytes()).is_ok());
        let error = check(nested(128).as_bytes()).unwrap_err();
        assert!(error.message().ends_with("nest deeper than 128 at line 1 column 139"), "{error}");
    }

    #[test]
    fn brackets_and_escaped_quotes_in_strings_do_not_count() {
        let text = format!(r#"{{"a":"{}\"[","b":"\\"}}"#, "[".repeat(500));
        assert!(check(text.as_bytes()).is_ok());
    }

    #[test]
    fn lone_surrogate_is_refused_and_a_pair_is_not() {
        for pair in [r#""\ud83d\ude00""#, r#""\uD83D\uDE00 \u00e9""#, r#""\\ud800""#, r#""\u""#] {
            assert!(check(pair.as_bytes()).is_ok(), "{pair}");
        }
        for lone in [r#""\ud800""#, r#""\ude00""#, r#""\ud83d \ude00""#, r#""\ud83dA""#, r#"{"unknown":["\udfff"]}"#] {
            assert_eq!(check(lone.as_bytes()).unwrap_err().code(), "invalid_json", "{lone}");
        }
    }

    #[test]
    fn invalid_utf_8_is_refused_within_and_outside_of_strings() {
        for (text, at) in [
            (b"{\"a\":\"\xC3\"}".as_slice(), 6),
            (b"{\"a\":\"x\\n\xE4\xBD\"}", 9),
            (b"{\"a\":\"\\\xFF\"}", 7),
            (b"{\xFF}", 1),
            (b"{\"a\":1}\xFF", 7),
            (b"\"unterminated \xFF", 14),
        ] {
            let error = check(text).unwrap_err();
            assert_eq!(error.message(), format!("the body is not UTF-8 at byte {at}"), "{text:?}");
        }
        for valid in ["{\"\u{e4}\":\"\u{1f600}\\n\u{4f60}\"}", "\"\\\u{e4}\"", "{\u{e4}}"] {
            assert!(check(valid.as_bytes()).is_ok(), "{valid}");
        }
    }
}
