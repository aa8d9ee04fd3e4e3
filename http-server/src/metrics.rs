//! The metrics of one server.

use metrics::{Counter, Gauge, counter, gauge};

use crate::Refusal;

/// The handles of the metrics of one server.
pub(crate) struct Metrics {
    api: &'static str,
    connections: Gauge,
    accepted: Counter,
}

impl Metrics {
    /// Looks the metrics up. The recorder must be installed by then.
    pub(crate) fn new(api: &'static str) -> Self {
        Self {
            api,
            connections: gauge!("triptych_connections_open", "api" => api),
            accepted: counter!("triptych_connections_total", "api" => api),
        }
    }

    /// Counts a connection as open.
    pub(crate) fn opened(&self) {
        self.accepted.increment(1);
        self.connections.increment(1.0);
    }

    /// Counts the end of an open connection.
    pub(crate) fn closed(&self) {
        self.connections.decrement(1.0);
    }

    /// Counts a TLS handshake that failed, by its cause.
    pub(crate) fn handshake_failed(&self, cause: &'static str) {
        counter!("triptych_tls_handshake_failures_total", "api" => self.api, "cause" => cause).increment(1);
    }

    /// Counts a connection or request that a limit refuses.
    pub(crate) fn refused(&self, refusal: Refusal) {
        let limit = match refusal {
            Refusal::Connections => "max_connections",
            Refusal::ConnectionsOfPeer => "max_connections_per_peer",
            Refusal::Requests => "max_requests",
        };
        counter!("triptych_server_refusals_total", "api" => self.api, "limit" => limit).increment(1);
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.api)
    }
}
