//! One pass over a JSON text for what a parser that skips members would let through: depth and lone surrogates.

use memchr::memchr2;

use crate::error::GatewayError;

/// How deep arrays and objects may nest; serde_json's own bound, here for skipped members as well.
pub(super) const DEPTH: usize = 128;

/// Fails where the text nests too deep or an escape is half a character. Anything else that is wrong with it is left
/// to the parser.
pub(super) fn check(text: &[u8]) -> Result<(), GatewayError> {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        at += 1;
        match byte {
            b'"' => at = string(text, at)?,
            b'[' | b'{' => {
                depth += 1;
                if depth > DEPTH {
                    return Err(fault(text, at, &format!("arrays and objects nest deeper than {DEPTH}")));
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// Walks through a string that begins at `at`, behind its quote; the place behind the closing one.
fn string(text: &[u8], mut at: usize) -> Result<usize, GatewayError> {
    loop {
        let Some(found) = text.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) else { return Ok(text.len()) };
        at += found;
        if text[at] == b'"' {
            return Ok(at + 1);
        }
        match unit(text, at) {
            Some(0xD800..=0xDBFF) if matches!(unit(text, at + 6), Some(0xDC00..=0xDFFF)) => at += 12,
            Some(0xD800..=0xDFFF) => return Err(fault(text, at + 1, "an escape is half of a surrogate pair")),
            Some(_) => at += 6,
            None => at += 2,
        }
    }
}

/// The UTF-16 unit of a `\uXXXX` escape at `at`.
fn unit(text: &[u8], at: usize) -> Option<u16> {
    let escape = text.get(at..at + 6)?;
    let digits = std::str::from_utf8(escape.strip_prefix(b"\\u")?).ok()?;
    u16::from_str_radix(digits, 16).ok()
}

fn fault(text: &[u8], at: usize, what: &str) -> GatewayError {
    let before = &text[..at.min(text.len())];
    let line = 1 + memchr::memchr_iter(b'\n', before).count();
    let column = before.len() - memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
    GatewayError::invalid_json(format!("the body is not valid JSON: {what} at line {line} column {column}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_bounded_even_where_nobody_looks() {
        let nested = |levels: usize| format!("{{\"unread\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
        assert!(check(nested(127).as_bytes()).is_ok());
        let error = check(nested(128).as_bytes()).unwrap_err();
        assert!(error.message().ends_with("nest deeper than 128 at line 1 column 138"), "{error}");
    }

    #[test]
    fn brackets_and_quotes_within_strings_do_not_count() {
        let text = format!(r#"{{"a":"{}\"[","b":"\\"}}"#, "[".repeat(500));
        assert!(check(text.as_bytes()).is_ok());
    }

    #[test]
    fn half_a_surrogate_pair_is_refused_and_a_whole_one_is_not() {
        for whole in [r#""\ud83d\ude00""#, r#""\uD83D\uDE00 \u00e9""#, r#""\\ud800""#, r#""\u""#] {
            assert!(check(whole.as_bytes()).is_ok(), "{whole}");
        }
        for half in [r#""\ud800""#, r#""\ude00""#, r#""\ud83d \ude00""#, r#""\ud83dA""#, r#"{"unread":["\udfff"]}"#] {
            assert_eq!(check(half.as_bytes()).unwrap_err().code(), "invalid_json", "{half}");
        }
    }
}
