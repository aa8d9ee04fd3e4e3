//! The W3C trace context.

use std::str::FromStr;

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

/// The identity of a span, of another service or of this one, as in the headers `traceparent` and `tracestate`.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceParent(pub(super) SpanContext);

impl TraceParent {
    /// Parses the headers. `None` for an invalid `traceparent`; an invalid `tracestate` counts as empty.
    pub fn parse(traceparent: &str, tracestate: Option<&str>) -> Option<Self> {
        let mut parts = traceparent.split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let is_hex = |text: &str, length| {
            text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        };
        // Version 255 is invalid; later versions than 0 may have further parts.
        let is_valid = is_hex(version, 2)
            && version != "ff"
            && is_hex(trace, 32)
            && is_hex(span, 16)
            && is_hex(flags, 2)
            && (version != "00" || parts.next().is_none());
        if !is_valid {
            return None;
        }
        let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
        // Of the flags, only `sampled` is passed on.
        let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()? & TraceFlags::SAMPLED.to_u8());
        let state = tracestate.and_then(|state| TraceState::from_str(state).ok()).unwrap_or_default();
        // `true`: a span of another service.
        let context = SpanContext::new(trace, span, flags, true, state);
        context.is_valid().then_some(Self(context))
    }

    /// Returns the header `traceparent` for a call that this span makes.
    pub fn header(&self) -> String {
        let (trace, span, flags) = (self.0.trace_id(), self.0.span_id(), self.0.trace_flags().to_u8());
        format!("00-{trace}-{span}-{flags:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_header_is_returned_as_it_was_parsed() {
        let header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let parent = TraceParent::parse(header, Some("vendor=value")).unwrap();
        assert_eq!(parent.header(), header);
        assert_eq!(parent.0.trace_state().header(), "vendor=value");
        let later = format!("01{}-more", &header[2..]);
        assert_eq!(TraceParent::parse(&later, None).unwrap().header(), header);
    }

    #[test]
    fn invalid_headers_are_ignored() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        for invalid in [
            String::new(),
            format!("00-{trace}-b7ad6b7169203331"),
            format!("ff-{trace}-b7ad6b7169203331-01"),
            format!("00-{trace}-b7ad6b7169203331-01-more"),
            format!("00-{trace}-0000000000000000-01"),
            format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)),
            format!("00-{}-b7ad6b7169203331-01", trace.to_uppercase()),
        ] {
            assert_eq!(TraceParent::parse(&invalid, None), None, "{invalid}");
        }
    }
}
