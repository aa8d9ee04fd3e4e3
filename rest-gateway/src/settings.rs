//! Settings of the gateway: those fixed at start, and those that [`Gateway::reload`](crate::Gateway::reload) replaces.
//!
//! A configuration file has both kinds in one table, which [`Settings`] deserializes. Durations are written with their
//! unit, in the grammar of the `humantime` crate: `250ms`, `10s`, `1m 30s`.

use std::{num::NonZeroUsize, thread::available_parallelism, time::Duration};

use serde::{Deserialize, Deserializer, de::Error};

use crate::link_signer::LinkSigner;

/// Upper bound of `threads`; a larger number is taken for a typing error.
const MAX_THREADS: usize = 1024;

/// All settings of the gateway.
#[derive(Debug, Clone, Deserialize)]
#[serde(from = "SettingsTable")]
pub struct Settings {
    /// Settings that hold until the process ends.
    pub server: ServerSettings,
    /// Settings that can change while the gateway runs.
    pub runtime: RuntimeSettings,
}

/// Settings of the HTTP server, fixed at start.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// Where connections are served.
    pub threads: ConnectionThreads,
    /// Maximum length of a request head, in bytes.
    pub head_limit_bytes: usize,
    /// Maximum time from accepting a connection to the end of its first request head.
    pub header_timeout: Duration,
    /// Maximum time that a connection stays idle between requests.
    pub idle_timeout: Duration,
    /// Maximum time that calls in flight may continue after shutdown has begun.
    pub drain: Duration,
}

/// Settings that can change while the gateway runs. A request uses the values that hold when it needs them.
#[derive(Debug, Clone)]
pub struct RuntimeSettings {
    /// Base of the links in responses, without a trailing slash: `https://ai.example.org`. `None`: links begin with
    /// scheme and host of the request.
    pub public_base_url: Option<String>,
    /// Whether `X-Forwarded-Proto` and `X-Forwarded-Host` set scheme and host of links. Only safe behind a proxy that
    /// overwrites both.
    pub trust_forwarded: bool,
    /// Signs media links; unsigned ones are then refused. `None`: links are unsigned and never expire.
    pub link_signer: Option<LinkSigner>,
    /// Origins that browsers may call the API from; `*` allows every origin. Empty: no CORS headers.
    pub cors_allow_origins: Vec<String>,
    /// Maximum length of a request body, after decompression, in bytes.
    pub body_limit_bytes: usize,
    /// Maximum time for receiving a request body, extended by one second for each 64 KiB received.
    pub body_timeout: Duration,
    /// An event stream sends a comment after this much silence.
    pub heartbeat: Duration,
}

/// The threads that serve connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionThreads {
    /// The Tokio runtime that runs the server.
    Shared,
    /// This many threads, each with a single-threaded runtime. A connection stays on one of them.
    PerThread(NonZeroUsize),
}

impl ConnectionThreads {
    /// One thread for each CPU available to the process.
    pub fn per_cpu() -> Self {
        Self::PerThread(available_parallelism().unwrap_or(NonZeroUsize::MIN))
    }
}

impl Default for Settings {
    fn default() -> Self {
        SettingsTable::default().into()
    }
}

impl Default for ServerSettings {
    fn default() -> Self {
        Settings::default().server
    }
}

impl Default for RuntimeSettings {
    fn default() -> Self {
        Settings::default().runtime
    }
}

/// The configuration table. One flat struct, because serde cannot combine `flatten` with `deny_unknown_fields`.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SettingsTable {
    public_base_url: Option<String>,
    #[serde(deserialize_with = "threads")]
    threads: ConnectionThreads,
    body_limit_bytes: usize,
    head_limit_bytes: usize,
    #[serde(deserialize_with = "positive")]
    header_timeout: Duration,
    #[serde(deserialize_with = "positive")]
    idle_timeout: Duration,
    #[serde(deserialize_with = "positive")]
    body_timeout: Duration,
    #[serde(deserialize_with = "positive")]
    drain: Duration,
    #[serde(deserialize_with = "positive")]
    heartbeat: Duration,
    trust_forwarded: bool,
    cors_allow_origins: Vec<String>,
}

impl Default for SettingsTable {
    fn default() -> Self {
        Self {
            public_base_url: None,
            threads: ConnectionThreads::Shared,
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

impl From<SettingsTable> for Settings {
    fn from(table: SettingsTable) -> Self {
        let SettingsTable {
            public_base_url,
            threads,
            body_limit_bytes,
            head_limit_bytes,
            header_timeout,
            idle_timeout,
            body_timeout,
            drain,
            heartbeat,
            trust_forwarded,
            cors_allow_origins,
        } = table;
        Self {
            server: ServerSettings { threads, head_limit_bytes, header_timeout, idle_timeout, drain },
            runtime: RuntimeSettings {
                public_base_url,
                trust_forwarded,
                link_signer: None,
                cors_allow_origins,
                body_limit_bytes,
                body_timeout,
                heartbeat,
            },
        }
    }
}

/// Parses a number of threads; 0 stands for one per CPU.
fn threads<'de, D: Deserializer<'de>>(source: D) -> Result<ConnectionThreads, D::Error> {
    let count = usize::deserialize(source)?;
    match NonZeroUsize::new(count) {
        None => Ok(ConnectionThreads::per_cpu()),
        Some(count) if count.get() <= MAX_THREADS => Ok(ConnectionThreads::PerThread(count)),
        Some(_) => Err(Error::custom(format!("must be 0 to {MAX_THREADS}"))),
    }
}

/// Parses a duration greater than zero.
fn positive<'de, D: Deserializer<'de>>(source: D) -> Result<Duration, D::Error> {
    let duration: Duration = humantime_serde::deserialize(source)?;
    if duration.is_zero() {
        return Err(Error::custom("must be greater than zero, for example `10s`"));
    }
    Ok(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_parsed_with_their_unit() {
        let text = r#"{"drain": "2s", "heartbeat": "250ms", "body_timeout": "1m 30s"}"#;
        let parsed: Settings = serde_json::from_str(text).unwrap();
        assert_eq!(parsed.server.drain, Duration::from_secs(2));
        assert_eq!(parsed.runtime.heartbeat, Duration::from_millis(250));
        assert_eq!(parsed.runtime.body_timeout, Duration::from_secs(90));
        assert_eq!(parsed.server.header_timeout, ServerSettings::default().header_timeout);
    }

    #[test]
    fn invalid_duration_is_refused() {
        for wrong in [r#""soon""#, r#""-1s""#, r#""5 parsecs""#, "2"] {
            assert!(serde_json::from_str::<Settings>(&format!(r#"{{"drain": {wrong}}}"#)).is_err(), "{wrong}");
        }
        let error = serde_json::from_str::<Settings>(r#"{"drain": "0s"}"#).unwrap_err().to_string();
        assert!(error.contains("must be greater than zero"), "{error}");
    }

    #[test]
    fn zero_threads_means_one_per_cpu() {
        let threads = |count: usize| {
            let parsed = serde_json::from_str::<Settings>(&format!(r#"{{"threads": {count}}}"#));
            parsed.map(|settings| settings.server.threads)
        };
        assert_eq!(threads(0).unwrap(), ConnectionThreads::per_cpu());
        assert_eq!(threads(2).unwrap(), ConnectionThreads::PerThread(NonZeroUsize::new(2).unwrap()));
        assert!(threads(1025).unwrap_err().to_string().contains("must be 0 to 1024"));
        assert_eq!(ServerSettings::default().threads, ConnectionThreads::Shared);
    }
}
