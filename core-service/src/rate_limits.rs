//! The state of rate limits, as clients see it: the header fields of OpenAI's API.

use std::{fmt::Write as _, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue};
use tonic::metadata::MetadataMap;

/// The state of the rate limits that apply to a call. If both the key and its team have a limit, that with less remaining.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RateLimits {
    /// Requests per minute.
    pub requests: Option<RateState>,
    /// Tokens per minute.
    pub tokens: Option<RateState>,
}

/// The state of one rate limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateState {
    /// How many per minute are permitted.
    pub limit: u32,
    /// How many are permitted now.
    pub remaining: u32,
    /// When all of them will be permitted again.
    pub reset: Duration,
}

/// The keys of the metadata, which are header fields over REST: limit, remaining, reset.
static REQUESTS: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit-requests"),
    HeaderName::from_static("x-ratelimit-remaining-requests"),
    HeaderName::from_static("x-ratelimit-reset-requests"),
];
static TOKENS: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit-tokens"),
    HeaderName::from_static("x-ratelimit-remaining-tokens"),
    HeaderName::from_static("x-ratelimit-reset-tokens"),
];

impl RateLimits {
    /// Adds the state to the metadata of a response or status.
    pub(crate) fn write(&self, metadata: &mut MetadataMap) {
        // As headers: their names are parsed already.
        self.write_headers(metadata.as_mut());
    }

    /// Adds the state to the headers of a response.
    pub(crate) fn write_headers(&self, headers: &mut HeaderMap) {
        for (state, [limit, remaining, reset]) in [(self.requests, &REQUESTS), (self.tokens, &TOKENS)] {
            let Some(state) = state else { continue };
            headers.insert(limit, state.limit.into());
            headers.insert(remaining, state.remaining.into());
            // Digits and letters are valid in a header.
            if let Ok(text) = HeaderValue::try_from(duration(state.reset)) {
                headers.insert(reset, text);
            }
        }
    }
}

/// Returns whether headers have the state of the limits of requests and of tokens.
pub(crate) fn are_in(headers: &HeaderMap) -> (bool, bool) {
    (headers.contains_key(&REQUESTS[0]), headers.contains_key(&TOKENS[0]))
}

/// Returns a duration as OpenAI writes it, rounded up: `12ms`, `1s`, `6m0s`, `1h0m0s`.
fn duration(duration: Duration) -> String {
    let millis = duration.as_nanos().div_ceil(1_000_000);
    if millis < 1000 {
        return format!("{millis}ms");
    }
    let seconds = millis.div_ceil(1000);
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let mut text = String::new();
    // Writing to a string cannot fail.
    if hours > 0 {
        let _ = write!(text, "{hours}h");
    }
    if hours > 0 || minutes > 0 {
        let _ = write!(text, "{minutes}m");
    }
    let _ = write!(text, "{}s", seconds % 60);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_openai_does() {
        for (millis, text) in [
            (0, "0ms"),
            (12, "12ms"),
            (999, "999ms"),
            (1000, "1s"),
            (1001, "2s"),
            (60_000, "1m0s"),
            (360_000, "6m0s"),
            (3_661_000, "1h1m1s"),
        ] {
            assert_eq!(duration(Duration::from_millis(millis)), text);
        }
        assert_eq!(duration(Duration::from_nanos(1)), "1ms");
    }
}
