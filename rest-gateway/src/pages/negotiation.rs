//! What the client of a page accepts: HTML or not, compressed or not (RFC 9110, sections 12.5.1 and 12.5.3).

use http::{HeaderMap, HeaderName, header};

/// Returns whether the client accepts HTML. curl accepts everything (`*/*`), and so does a client without the header.
pub(super) fn accepts_html(headers: &HeaderMap) -> bool {
    !headers.contains_key(header::ACCEPT)
        || ["text/html", "text/*", "*/*"].iter().any(|range| accepts(headers, &header::ACCEPT, range) == Some(true))
}

/// Returns whether the client accepts gzip. A client without the header is sent no compressed content.
pub(super) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let accepts = |coding| accepts(headers, &header::ACCEPT_ENCODING, coding);
    accepts("gzip").or_else(|| accepts("*")).unwrap_or(false)
}

/// Returns whether a header accepts this value, and `None` if it does not mention the value. A weight of 0 refuses it.
fn accepts(headers: &HeaderMap, name: &HeaderName, wanted: &str) -> Option<bool> {
    let lines = headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).find_map(|element| {
        let mut parts = element.split(';').map(str::trim);
        let is_wanted = parts.next().is_some_and(|value| value.eq_ignore_ascii_case(wanted));
        let weight = |part: &str| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q="))?.parse::<f32>().ok();
        is_wanted.then(|| parts.find_map(weight).is_none_or(|weight| weight > 0.0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn html_is_accepted_unless_the_header_names_other_types_only() {
        assert!(accepts_html(&HeaderMap::new()));
        for value in ["*/*", "text/html", "text/*;q=0.5", "application/json, */*;q=0.1", "TEXT/HTML;level=1"] {
            assert!(accepts_html(&headers(header::ACCEPT, value)), "{value}");
        }
        for value in ["application/json", "text/html;q=0", "text/event-stream, application/json", ""] {
            assert!(!accepts_html(&headers(header::ACCEPT, value)), "{value}");
        }
    }

    #[test]
    fn gzip_is_accepted_only_if_the_header_has_it_with_a_weight() {
        assert!(!accepts_gzip(&HeaderMap::new()));
        for value in ["gzip", "br, gzip;q=0.5", "*", "br;q=1.0, *;q=0.5", "GZIP"] {
            assert!(accepts_gzip(&headers(header::ACCEPT_ENCODING, value)), "{value}");
        }
        for value in ["", "br", "identity", "gzip;q=0", "gzip; q=0.000", "gzip;q=0, *"] {
            assert!(!accepts_gzip(&headers(header::ACCEPT_ENCODING, value)), "{value}");
        }
    }
}
