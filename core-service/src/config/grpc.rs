//! The settings of the gRPC server.

use std::time::Duration;

use http_server::ListenAddress;
use serde::Deserialize;

use super::{de::listen, error::SettingError};

/// The `[grpc]` settings.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Grpc {
    /// The address to listen on. Port 0 selects a free port.
    #[serde(deserialize_with = "listen")]
    pub listen: ListenAddress,
    /// The largest message in either direction, in bytes.
    pub max_message_bytes: usize,
    /// The memory for the request messages of all calls in flight, in bytes. Further calls are refused.
    pub body_memory_bytes: usize,
    /// The maximum number of open connections.
    pub max_connections: usize,
    /// The maximum number of connections from one IPv4 address or IPv6 /64 prefix. Zero: no limit.
    pub max_connections_per_peer: usize,
    /// The maximum number of calls in flight, over all connections.
    pub max_requests: usize,
    /// The maximum number of calls in flight on one connection.
    pub max_concurrent_calls: u32,
    /// Whether the server offers gRPC reflection.
    pub reflection: bool,
    /// The browser origins that may call through gRPC-Web. `*`: all.
    pub cors_allow_origins: Vec<String>,
    /// How long a client may take from connecting to its first call or HTTP/2 preface.
    #[serde(with = "humantime_serde")]
    pub header_timeout: Duration,
    /// How long a connection without calls stays open.
    #[serde(with = "humantime_serde")]
    pub idle_timeout: Duration,
    /// The maximum time to receive a request message. Each 64 KiB received extends it by one second.
    #[serde(with = "humantime_serde")]
    pub body_timeout: Duration,
    /// How long a client may leave a response unread.
    #[serde(with = "humantime_serde")]
    pub write_timeout: Duration,
    /// The age, plus or minus 10 %, at which a connection takes no further calls. Zero: no limit.
    #[serde(with = "humantime_serde")]
    pub max_connection_age: Duration,
    /// How long calls in flight may continue after the connection has reached `max_connection_age`.
    #[serde(with = "humantime_serde")]
    pub max_connection_age_grace: Duration,
    /// How long calls in flight may take to finish during a shutdown.
    #[serde(with = "humantime_serde")]
    pub drain: Duration,
}

impl Default for Grpc {
    fn default() -> Self {
        Self {
            listen: ListenAddress::Tcp(([127, 0, 0, 1], 50051).into()),
            max_message_bytes: 64 << 20,
            body_memory_bytes: 512 << 20,
            max_connections: 10_000,
            max_connections_per_peer: 0,
            max_requests: 10_000,
            max_concurrent_calls: 1024,
            reflection: true,
            cors_allow_origins: Vec::new(),
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_mins(5),
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_mins(1),
            max_connection_age: Duration::from_mins(30),
            max_connection_age_grace: Duration::from_mins(10),
            drain: Duration::from_secs(30),
        }
    }
}

impl Grpc {
    pub(super) fn validate(&self) -> Result<(), SettingError> {
        // Media are sent in chunks of 256 KiB: a limit below one chunk and its frame would break every download.
        if !(512 << 10..=1 << 30).contains(&self.max_message_bytes) {
            let rule = "must be 524288 (512 KiB) to 1073741824 (1 GiB)";
            return Err(SettingError::new("grpc.max_message_bytes", rule));
        }
        if self.body_memory_bytes < self.max_message_bytes {
            return Err(SettingError::new("grpc.body_memory_bytes", "must be at least grpc.max_message_bytes"));
        }
        let counts = [
            ("grpc.max_concurrent_calls", self.max_concurrent_calls as usize),
            ("grpc.max_connections", self.max_connections),
            ("grpc.max_requests", self.max_requests),
        ];
        if let Some((key, _)) = counts.iter().find(|(_, count)| *count == 0) {
            return Err(SettingError::new(key, "must be at least 1"));
        }
        SettingError::require_nonzero([
            ("grpc.header_timeout", self.header_timeout),
            ("grpc.idle_timeout", self.idle_timeout),
            ("grpc.body_timeout", self.body_timeout),
            ("grpc.write_timeout", self.write_timeout),
        ])
    }
}
