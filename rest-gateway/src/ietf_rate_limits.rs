//! The header fields `RateLimit-Policy` and `RateLimit` of the IETF (draft-ietf-httpapi-ratelimit-headers-10), made from OpenAI's
//! headers, which the core sends with every response to a call with a rate limit.
//!
//! Still a draft, so they are sent only if `rest.ietf_rate_limits` is set.

use std::fmt::Write as _;

use http::{HeaderMap, HeaderName, HeaderValue};
use humantime_serde::re::humantime;

/// The limits: `"requests";q=120;w=60`, with the quota `q` for a window of `w` seconds.
pub(crate) const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// Their state: `"requests";r=119;t=1`, with the remaining quota `r`, which is complete again after `t` seconds.
pub(crate) const STATE: HeaderName = HeaderName::from_static("ratelimit");

/// All limits are per minute.
const WINDOW_SECONDS: u32 = 60;

/// The names of the limits, with OpenAI's headers for limit, remaining and reset.
const LIMITS: [(&str, [&str; 3]); 2] = [
    ("requests", ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"]),
    ("tokens", ["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"]),
];

/// Adds both header fields to a response that has OpenAI's headers.
pub(crate) fn add(headers: &mut HeaderMap) {
    let (mut policy, mut state) = (String::new(), String::new());
    for (name, fields) in LIMITS {
        let [limit, remaining, reset] = fields.map(|field| headers.get(field).and_then(|value| value.to_str().ok()));
        let (Some(limit), Some(remaining), Some(reset)) = (limit, remaining, reset) else { continue };
        let Ok(reset) = humantime::parse_duration(reset) else { continue };
        let separator = if policy.is_empty() { "" } else { ", " };
        // Writing to a string cannot fail.
        let _ = write!(policy, "{separator}\"{name}\";q={limit};w={WINDOW_SECONDS}");
        let _ = write!(state, "{separator}\"{name}\";r={remaining};t={}", reset.as_millis().div_ceil(1000));
    }
    for (name, text) in [(POLICY, policy), (STATE, state)] {
        if !text.is_empty()
            && let Ok(value) = HeaderValue::try_from(text)
        {
            headers.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers: HeaderMap = fields
            .iter()
            .map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        add(&mut headers);
        headers
    }

    #[test]
    fn both_limits_become_items_of_the_lists() {
        let headers = added(&[
            ("x-ratelimit-limit-requests", "120"),
            ("x-ratelimit-remaining-requests", "119"),
            ("x-ratelimit-reset-requests", "500ms"),
            ("x-ratelimit-limit-tokens", "1000"),
            ("x-ratelimit-remaining-tokens", "0"),
            ("x-ratelimit-reset-tokens", "1m0s"),
        ]);
        assert_eq!(headers[POLICY], r#""requests";q=120;w=60, "tokens";q=1000;w=60"#);
        assert_eq!(headers[STATE], r#""requests";r=119;t=1, "tokens";r=0;t=60"#);
    }

    #[test]
    fn response_without_rate_limits_is_unchanged() {
        assert!(added(&[]).is_empty());
    }
}
