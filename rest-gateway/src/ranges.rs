//! Which bytes of a file a request wants, and whether it has them already (RFC 9110, sections 13 and 14).

use http::{HeaderMap, HeaderName, Method, header};
use triptych_proto::v1::Media;

/// What to send of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All of it.
    Whole,
    /// `length` bytes from `offset`; neither reaches beyond the end.
    Part {
        /// The first byte, from 0.
        offset: u64,
        /// How many, at least 1.
        length: u64,
    },
    /// Nothing: the client's copy is good.
    NotModified,
    /// Nothing: the range begins at or beyond the end.
    Unsatisfiable,
}

/// Whether the answer depends on what the file is like, and not only on its bytes.
pub(crate) fn conditional(headers: &HeaderMap) -> bool {
    headers.contains_key(header::RANGE) || headers.contains_key(header::IF_NONE_MATCH)
}

/// What the headers ask of this file. A range that cannot be read, or that has several parts, asks for the whole, and so
/// does any range but that of a GET, for which alone ranges are defined.
pub(crate) fn wanted(method: &Method, headers: &HeaderMap, media: &Media) -> Wanted {
    if lines(headers, header::IF_NONE_MATCH).any(|tags| matches(tags, &media.etag)) {
        return Wanted::NotModified;
    }
    if method != Method::GET {
        return Wanted::Whole;
    }
    let text = |name| lines(headers, name).next();
    // A strong comparison; a date never matches, as we send none.
    if text(header::IF_RANGE).is_some_and(|tag| tag != quoted(&media.etag)) {
        return Wanted::Whole;
    }
    text(header::RANGE).and_then(|range| part(range, media.size_bytes)).unwrap_or(Wanted::Whole)
}

fn lines(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok()).map(str::trim)
}

/// The validator as headers carry it.
pub(crate) fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}

/// The weak comparison with each of a list of tags.
fn matches(tags: &str, etag: &str) -> bool {
    tags == "*" || tags.split(',').any(|tag| tag.trim().trim_start_matches("W/") == quoted(etag))
}

fn part(range: &str, size: u64) -> Option<Wanted> {
    let (unit, range) = range.split_once('=')?;
    let (first, last) = range.trim().split_once('-').filter(|_| unit.trim().eq_ignore_ascii_case("bytes"))?;
    // `parse` would take a sign.
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>().ok())?;
    let (offset, end) = match (first.trim(), last.trim()) {
        ("", suffix) => (size.saturating_sub(number(suffix)?), size),
        (first, "") => (number(first)?, size),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first, last.saturating_add(1).min(size).max(if last < first { return None } else { 0 }))
        }
    };
    Some(if offset < size { Wanted::Part { offset, length: end - offset } } else { Wanted::Unsatisfiable })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(headers: &[(&str, &str)]) -> Wanted {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        wanted(&Method::GET, &map, &crate::testing::clip())
    }

    #[test]
    fn ranges_are_cut_to_the_file() {
        let part = |offset, length| Wanted::Part { offset, length };
        for (range, expected) in [
            ("bytes=0-3", part(0, 4)),
            ("bytes=3-", part(3, 7)),
            ("bytes=-4", part(6, 4)),
            ("bytes=-40", part(0, 10)),
            ("bytes=8-99", part(8, 2)),
            ("Bytes = 9-9", part(9, 1)),
            ("bytes=10-", Wanted::Unsatisfiable),
            ("bytes=10-20", Wanted::Unsatisfiable),
            ("bytes=-0", Wanted::Unsatisfiable),
            ("bytes=5-2", Wanted::Whole),
            ("bytes=0-1,3-4", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=0-18446744073709551615", part(0, 10)),
            ("pages=1-2", Wanted::Whole),
        ] {
            assert_eq!(ask(&[("range", range)]), expected, "{range}");
        }
    }

    #[test]
    fn a_validator_decides_before_the_range_does() {
        for (headers, expected) in [
            ([("if-none-match", "\"e1\""), ("range", "bytes=0-3")], Wanted::NotModified),
            ([("if-none-match", "\"x\", W/\"e1\""), ("range", "bytes=0-3")], Wanted::NotModified),
            ([("if-none-match", "*"), ("range", "bytes=0-3")], Wanted::NotModified),
            ([("if-none-match", "\"x\""), ("range", "bytes=0-3")], Wanted::Part { offset: 0, length: 4 }),
            ([("if-none-match", "\"x\""), ("if-none-match", "\"e1\"")], Wanted::NotModified),
            ([("if-none-match", "\"x\""), ("if-none-match", "\"y\"")], Wanted::Whole),
            ([("if-range", "\"e1\""), ("range", "bytes=0-3")], Wanted::Part { offset: 0, length: 4 }),
            ([("if-range", "\"x\""), ("range", "bytes=0-3")], Wanted::Whole),
            ([("if-range", "Wed, 21 Oct 2015 07:28:00 GMT"), ("range", "bytes=0-3")], Wanted::Whole),
        ] {
            assert_eq!(ask(&headers), expected, "{headers:?}");
        }
    }
}
