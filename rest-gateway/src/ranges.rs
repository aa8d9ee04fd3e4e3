//! Conditional and range requests for files (RFC 9110, sections 13 and 14): decides which part of a file a download
//! sends. The crate `headers` parses and compares the validators, `http_range_header` parses the range.

use headers::{ETag, HeaderMapExt, IfNoneMatch, IfRange};
use http::{HeaderMap, Method, header};
use http_range_header::{EndPosition, RangeUnsatisfiableError, StartPosition, parse_range_header};
use triptych_proto::v1::Media;

/// The part of a file that a response carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Selection {
    /// The whole file.
    Full,
    /// A range, which ends within the file.
    Range {
        /// The first byte, from 0.
        offset: u64,
        /// The number of bytes, at least 1.
        length: u64,
    },
    /// Nothing: the client's copy is current.
    NotModified,
    /// Nothing: the range begins beyond the last byte.
    Unsatisfiable,
}

/// Returns whether [`select`] depends on the description of the file, which the caller then has to get first. `If-Range` counts only
/// with a `Range`.
pub(crate) fn is_conditional(headers: &HeaderMap) -> bool {
    headers.contains_key(header::RANGE) || headers.contains_key(header::IF_NONE_MATCH)
}

/// Evaluates the conditional headers and the range of a request. A malformed range and a request for several ranges select
/// the whole file, which RFC 9110 allows; so does a range in any other method than GET, because the RFC defines ranges for GET only.
pub(crate) fn select(method: &Method, headers: &HeaderMap, media: &Media) -> Selection {
    let etag: Option<ETag> = quoted(&media.etag).parse().ok();
    let if_none_match = headers.typed_get::<IfNoneMatch>();
    if let (Some(etag), Some(condition)) = (&etag, if_none_match)
        && !condition.precondition_passes(etag)
    {
        return Selection::NotModified;
    }
    if method != Method::GET {
        return Selection::Full;
    }
    match headers.typed_try_get::<IfRange>() {
        Ok(None) => {}
        // A date never matches, because responses have no Last-Modified.
        Ok(Some(condition)) if !condition.is_modified(etag.as_ref(), None) => {}
        Ok(Some(_)) | Err(_) => return Selection::Full,
    }
    let range = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    range.and_then(|range| select_range(range, media.size_bytes)).unwrap_or(Selection::Full)
}

/// Returns an entity tag in the form of a header value.
pub(crate) fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}

/// Resolves a `Range` header against the size of the file. `None` if malformed, or if it has several ranges.
fn select_range(header: &str, size: u64) -> Option<Selection> {
    let (unit, ranges) = header.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    // Units are case-insensitive; `parse_range_header` accepts lower case only.
    let parsed = match parse_range_header(&format!("bytes={}", ranges.trim())) {
        Ok(parsed) => parsed,
        Err(RangeUnsatisfiableError::ZeroSuffix) => return Some(Selection::Unsatisfiable),
        Err(_) => return None,
    };
    let [range] = parsed.ranges.as_slice() else { return None };
    let offset = match range.start {
        StartPosition::Index(first) => first,
        StartPosition::FromLast(suffix) => size.saturating_sub(suffix),
    };
    let end = match range.end {
        EndPosition::Index(last) if last < offset => return None,
        EndPosition::Index(last) => last.saturating_add(1).min(size),
        EndPosition::LastByte => size,
    };
    Some(if offset < size { Selection::Range { offset, length: end - offset } } else { Selection::Unsatisfiable })
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    /// Evaluates a GET for the stub's clip, which has 10 bytes and the entity tag `e1`.
    fn select_get(headers: &[(&str, &str)]) -> Selection {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        select(&Method::GET, &map, &crate::testing::clip())
    }

    #[test]
    fn ranges_are_clamped_to_the_file() {
        let range = |offset, length| Selection::Range { offset, length };
        for (header, expected) in [
            ("bytes=0-3", range(0, 4)),
            ("bytes=3-", range(3, 7)),
            ("bytes=-4", range(6, 4)),
            ("bytes=-40", range(0, 10)),
            ("bytes=8-99", range(8, 2)),
            ("Bytes = 9-9", range(9, 1)),
            ("bytes=10-", Selection::Unsatisfiable),
            ("bytes=10-20", Selection::Unsatisfiable),
            ("bytes=-0", Selection::Unsatisfiable),
            ("bytes=5-2", Selection::Full),
            ("bytes=0-1,3-4", Selection::Full),
            ("bytes=0-99999999999999999999", Selection::Full),
            ("bytes=a-b", Selection::Full),
            ("bytes=+1-2", Selection::Full),
            ("bytes=-", Selection::Full),
            ("bytes=0-18446744073709551615", range(0, 10)),
            ("pages=1-2", Selection::Full),
        ] {
            assert_eq!(select_get(&[("range", header)]), expected, "{header}");
        }
    }

    #[test]
    fn validators_take_precedence_over_the_range() {
        for (headers, expected) in [
            ([("if-none-match", "\"e1\""), ("range", "bytes=0-3")], Selection::NotModified),
            ([("if-none-match", "\"x\", W/\"e1\""), ("range", "bytes=0-3")], Selection::NotModified),
            ([("if-none-match", "*"), ("range", "bytes=0-3")], Selection::NotModified),
            ([("if-none-match", "\"x\""), ("range", "bytes=0-3")], Selection::Range { offset: 0, length: 4 }),
            ([("if-none-match", "\"x\""), ("if-none-match", "\"e1\"")], Selection::NotModified),
            ([("if-none-match", "\"x\""), ("if-none-match", "\"y\"")], Selection::Full),
            ([("if-range", "\"e1\""), ("range", "bytes=0-3")], Selection::Range { offset: 0, length: 4 }),
            ([("if-range", "\"x\""), ("range", "bytes=0-3")], Selection::Full),
            ([("if-range", "Wed, 21 Oct 2015 07:28:00 GMT"), ("range", "bytes=0-3")], Selection::Full),
        ] {
            assert_eq!(select_get(&headers), expected, "{headers:?}");
        }
    }
}
