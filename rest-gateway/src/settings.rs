//! What an operator can set about the REST side.

use std::time::Duration;

use serde::{Deserialize, Deserializer};

use crate::links::LinkSigner;

/// Bounds, timeouts and addresses of the REST side. Durations are read as seconds (a number) or as a text with its
/// unit: `250ms`, `10s`, `2m`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where clients reach this gateway, without a slash at the end: `https://ai.example.org`. Links in answers begin
    /// with it. Absent: links follow the `Host` of each request.
    pub public_base_url: Option<String>,
    /// Threads that serve connections, each with a runtime of its own, where a connection and its calls stay. 0: the
    /// runtime of whoever serves.
    pub threads: usize,
    /// Signs the links to media, and then takes signed ones only. Absent: links are plain and never expire.
    #[serde(skip)]
    pub link_signer: Option<LinkSigner>,
    /// Longest request body, after decompression, in bytes.
    pub body_limit_bytes: usize,
    /// Longest request head, in bytes.
    pub head_limit_bytes: usize,
    /// How long a new connection may take to send the head of its first request.
    #[serde(deserialize_with = "duration")]
    pub header_timeout: Duration,
    /// How long a connection may stay idle between requests.
    #[serde(deserialize_with = "duration")]
    pub idle_timeout: Duration,
    /// How long a body may take; one more second is given for each 64 KiB received.
    #[serde(deserialize_with = "duration")]
    pub body_timeout: Duration,
    /// How long calls in flight may go on after a stop was asked for.
    #[serde(deserialize_with = "duration")]
    pub drain: Duration,
    /// After this much silence an event stream sends a comment.
    #[serde(deserialize_with = "duration")]
    pub heartbeat: Duration,
    /// Whether `X-Forwarded-Proto` and `X-Forwarded-Host` decide what links look like. Only right behind a proxy that
    /// sets both.
    pub trust_forwarded: bool,
    /// Browser origins that may read answers; `*` stands for all of them.
    pub cors_allow_origins: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            public_base_url: None,
            threads: 0,
            link_signer: None,
            body_limit_bytes: 64 << 20,
            head_limit_bytes: 64 << 10,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            body_timeout: Duration::from_secs(30),
            drain: Duration::from_secs(30),
            heartbeat: Duration::from_secs(15),
            trust_forwarded: false,
            cors_allow_origins: Vec::new(),
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Seconds(f64),
    Text(String),
}

fn duration<'de, D: Deserializer<'de>>(source: D) -> Result<Duration, D::Error> {
    let parsed = match Written::deserialize(source)? {
        Written::Seconds(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Written::Text(text) => parse(text.trim()),
    };
    let positive = parsed.filter(|duration| !duration.is_zero());
    positive.ok_or_else(|| serde::de::Error::custom("must be a positive duration, for instance `250ms`, `10s` or `2m`"))
}

fn parse(text: &str) -> Option<Duration> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (amount, unit) = text.split_at(split);
    let amount: f64 = amount.parse().ok()?;
    let seconds = match unit.trim_start() {
        "ms" => amount / 1000.0,
        "" | "s" => amount,
        "m" | "min" => amount * 60.0,
        "h" => amount * 3600.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_and_without_a_unit() {
        let read: Settings =
            serde_json::from_str(r#"{"drain": 2, "heartbeat": "250ms", "body_timeout": "1.5m"}"#).unwrap();
        assert_eq!(read.drain, Duration::from_secs(2));
        assert_eq!(read.heartbeat, Duration::from_millis(250));
        assert_eq!(read.body_timeout, Duration::from_secs(90));
        assert_eq!(read.header_timeout, Settings::default().header_timeout);
    }

    #[test]
    fn a_duration_that_is_none_is_refused_with_what_would_be_right() {
        for wrong in [r#"{"drain": "soon"}"#, r#"{"drain": 0}"#, r#"{"drain": "-1s"}"#, r#"{"drain": "5 parsecs"}"#] {
            let error = serde_json::from_str::<Settings>(wrong).unwrap_err().to_string();
            assert!(error.contains("must be a positive duration"), "{wrong}: {error}");
        }
    }
}
