//! The settings of the gRPC server.

use std::{net::SocketAddr, time::Duration};

use serde::Deserialize;

use super::{de::listen, error::SettingError};

/// The gRPC server of the core.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Grpc {
    /// The address to listen on. Port 0 selects a free port.
    #[serde(deserialize_with = "listen")]
    pub listen: SocketAddr,
    /// The largest message in either direction, in bytes.
    pub max_message_bytes: usize,
    /// How many calls one connection may have in flight.
    pub max_concurrent_calls: u32,
    /// Whether the server offers gRPC reflection.
    pub reflection: bool,
    /// The browser origins that may call through gRPC-Web. `*`: all.
    pub cors_allow_origins: Vec<String>,
    /// How long calls in flight may take to finish during a shutdown.
    #[serde(with = "humantime_serde")]
    pub drain: Duration,
}

impl Default for Grpc {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 50051)),
            max_message_bytes: 64 << 20,
            max_concurrent_calls: 1024,
            reflection: true,
            cors_allow_origins: Vec::new(),
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
        if self.max_concurrent_calls == 0 {
            return Err(SettingError::new("grpc.max_concurrent_calls", "must be at least 1"));
        }
        Ok(())
    }
}
