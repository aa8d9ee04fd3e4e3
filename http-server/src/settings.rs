//! The settings of a server.

use std::time::Duration;

/// The limits and timeouts of one listener.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// The name of the API, for the label of metrics.
    pub api: &'static str,
    /// Maximum length of a request head, in bytes.
    pub head_limit_bytes: usize,
    /// Maximum time for a request head: from accepting the connection for the first one, from its first byte for later ones.
    pub header_timeout: Duration,
    /// Maximum time that a connection stays open without a request.
    pub idle_timeout: Duration,
    /// Maximum time that a client may leave a response unread: without taking a byte from the socket, or without opening the
    /// window of its HTTP/2 stream. Does not limit the last chunk of a stream, which the HTTP/2 library holds until the
    /// connection closes.
    pub write_timeout: Duration,
    /// Maximum number of connections.
    pub max_connections: usize,
    /// Maximum number of connections from one IPv4 address or one IPv6 network of 64 bits; 0 for no limit.
    pub max_connections_per_peer: usize,
    /// Maximum number of requests in flight on all connections.
    pub max_requests: usize,
    /// Maximum number of requests in flight on one HTTP/2 connection.
    pub max_streams: u32,
    /// The age, plus or minus 10 %, from which on a connection takes no further requests, so that clients behind a layer-4
    /// balancer connect again. `None`: no limit.
    pub max_connection_age: Option<Duration>,
    /// How long the requests of a connection that takes no further ones may continue.
    pub max_connection_age_grace: Duration,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            api: "http",
            head_limit_bytes: 64 << 10,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_mins(1),
            max_connections: 10_000,
            max_connections_per_peer: 0,
            max_requests: 10_000,
            max_streams: 1024,
            max_connection_age: None,
            max_connection_age_grace: Duration::from_mins(10),
        }
    }
}
