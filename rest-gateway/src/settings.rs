//! Settings of the gateway: those fixed at start, and those that [`Gateway::reload`](crate::Gateway::reload) replaces.
//!
//! A configuration file has both kinds in one table, which [`Settings`] deserializes. Durations are written with their
//! unit, in the grammar of the `humantime` crate: `250ms`, `10s`, `1m 30s`.

use std::time::Duration;

use http_server::ServerSettings;
use serde::{Deserialize, Deserializer, de::Error};

use crate::link_signer::LinkSigner;

/// All settings of the gateway.
#[derive(Debug, Clone, Deserialize)]
#[serde(from = "SettingsTable")]
pub struct Settings {
    /// Settings of the HTTP server, which hold until the process ends.
    pub server: ServerSettings,
    /// Maximum time that requests in flight may continue after shutdown has begun.
    pub drain: Duration,
    /// Maximum memory for the bodies of all requests in flight, also decompressed, in bytes.
    pub body_memory_bytes: usize,
    /// Whether an admin port serves `/metrics` and the paths below `/admin/`, which the port of clients then lacks. Set by the
    /// executable.
    pub has_admin_port: bool,
    /// Settings that can change while the gateway runs.
    pub runtime: RuntimeSettings,
}

/// Settings that can change while the gateway runs. A request uses the values that hold when it needs them.
#[derive(Debug, Clone)]
pub struct RuntimeSettings {
    /// Base of the links in responses, without a trailing slash: `https://ai.example.org`. `None`: links begin with
    /// scheme and host of the request.
    pub public_base_url: Option<String>,
    /// Whether `X-Forwarded-Proto`, `X-Forwarded-Host` and `X-Forwarded-Prefix` set scheme, host and path of links.
    /// Only safe behind a proxy that overwrites all three.
    pub trust_forwarded: bool,
    /// Signs media links; unsigned ones are then refused. `None`: links are unsigned and never expire.
    pub link_signer: Option<LinkSigner>,
    /// Origins that browsers may call the API from; `*` allows every origin. Empty: no CORS headers.
    pub cors_allow_origins: Vec<String>,
    /// Whether responses to calls with a rate limit have the IETF's header fields in addition to OpenAI's.
    pub ietf_rate_limits: bool,
    /// Whether the pages for browsers are served.
    pub pages: bool,
    /// Maximum length of a request body, after decompression, in bytes.
    pub body_limit_bytes: usize,
    /// Maximum time for receiving a request body, extended by one second for each 64 KiB received.
    pub body_timeout: Duration,
    /// An event stream that has sent nothing for this long sends a comment, so that proxies do not close it.
    pub heartbeat: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        SettingsTable::default().into()
    }
}

impl Default for RuntimeSettings {
    fn default() -> Self {
        Settings::default().runtime
    }
}

/// The configuration table `[rest]`. One flat struct, because serde cannot combine `flatten` with
/// `deny_unknown_fields`.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SettingsTable {
    public_base_url: Option<String>,
    body_limit_bytes: usize,
    body_memory_bytes: usize,
    head_limit_bytes: usize,
    #[serde(deserialize_with = "positive")]
    header_timeout: Duration,
    #[serde(deserialize_with = "positive")]
    idle_timeout: Duration,
    #[serde(deserialize_with = "positive")]
    write_timeout: Duration,
    #[serde(deserialize_with = "at_least_one")]
    max_connections: usize,
    /// 0, the default, is no limit.
    max_connections_per_peer: usize,
    #[serde(deserialize_with = "at_least_one")]
    max_requests: usize,
    #[serde(deserialize_with = "positive")]
    body_timeout: Duration,
    #[serde(deserialize_with = "positive")]
    drain: Duration,
    #[serde(deserialize_with = "positive")]
    heartbeat: Duration,
    trust_forwarded: bool,
    cors_allow_origins: Vec<String>,
    ietf_rate_limits: bool,
}

impl Default for SettingsTable {
    fn default() -> Self {
        let server = ServerSettings::default();
        Self {
            public_base_url: None,
            body_limit_bytes: 64 << 20,
            body_memory_bytes: 512 << 20,
            head_limit_bytes: server.head_limit_bytes,
            header_timeout: server.header_timeout,
            idle_timeout: server.idle_timeout,
            write_timeout: server.write_timeout,
            max_connections: server.max_connections,
            max_connections_per_peer: server.max_connections_per_peer,
            max_requests: server.max_requests,
            body_timeout: Duration::from_secs(30),
            drain: Duration::from_secs(30),
            heartbeat: Duration::from_secs(15),
            trust_forwarded: false,
            cors_allow_origins: Vec::new(),
            ietf_rate_limits: false,
        }
    }
}

impl From<SettingsTable> for Settings {
    fn from(table: SettingsTable) -> Self {
        let SettingsTable {
            public_base_url,
            body_limit_bytes,
            body_memory_bytes,
            head_limit_bytes,
            header_timeout,
            idle_timeout,
            write_timeout,
            max_connections,
            max_connections_per_peer,
            max_requests,
            body_timeout,
            drain,
            heartbeat,
            trust_forwarded,
            cors_allow_origins,
            ietf_rate_limits,
        } = table;
        Self {
            server: ServerSettings {
                api: "rest",
                head_limit_bytes,
                header_timeout,
                idle_timeout,
                write_timeout,
                max_connections,
                max_connections_per_peer,
                max_requests,
                ..ServerSettings::default()
            },
            drain,
            body_memory_bytes,
            has_admin_port: false,
            runtime: RuntimeSettings {
                public_base_url,
                trust_forwarded,
                // Set by the executable, which reads the key.
                link_signer: None,
                // The executable decides, which knows the address and the API keys.
                pages: true,
                cors_allow_origins,
                ietf_rate_limits,
                body_limit_bytes,
                body_timeout,
                heartbeat,
            },
        }
    }
}

/// Parses a number of at least 1.
fn at_least_one<'de, D: Deserializer<'de>>(source: D) -> Result<usize, D::Error> {
    match usize::deserialize(source)? {
        0 => Err(Error::custom("must be at least 1")),
        number => Ok(number),
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
        assert_eq!(parsed.drain, Duration::from_secs(2));
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
    fn limit_of_zero_is_refused() {
        for name in ["max_connections", "max_requests"] {
            let error = serde_json::from_str::<Settings>(&format!(r#"{{"{name}": 0}}"#)).unwrap_err().to_string();
            assert!(error.contains("must be at least 1"), "{error}");
        }
    }
}
