//! The limits on connections and requests of one server.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::{Refusal, ServerSettings, metrics::Metrics};

/// Refused connections that are served their refusal at the same time. Further ones are closed without a response.
const MAX_REFUSED_CONNECTIONS: usize = 64;

/// The counters of one server.
#[derive(Debug)]
pub(crate) struct Limits {
    max_connections: usize,
    max_connections_per_peer: usize,
    max_requests: usize,
    connections: AtomicUsize,
    refused_connections: AtomicUsize,
    requests: AtomicUsize,
    /// The number of connections of each peer; empty without a limit per peer.
    peers: Mutex<HashMap<IpAddr, usize>>,
    metrics: Metrics,
}

/// The admission of a connection, counted until it is dropped.
#[derive(Debug)]
pub(crate) struct ConnectionPermit {
    limits: Arc<Limits>,
    /// The peer at which the connection is counted; `None` if it is refused, if it has no address, or without a limit per peer.
    peer: Option<IpAddr>,
    /// The limit that refuses all requests of the connection.
    pub(crate) refusal: Option<Refusal>,
}

/// A request in flight, counted until this is dropped.
#[derive(Debug)]
pub(crate) struct RequestPermit(Arc<Limits>);

impl Limits {
    pub(crate) fn new(settings: &ServerSettings) -> Self {
        Self {
            max_connections: settings.max_connections,
            max_connections_per_peer: settings.max_connections_per_peer,
            max_requests: settings.max_requests,
            connections: AtomicUsize::new(0),
            refused_connections: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            peers: Mutex::default(),
            metrics: Metrics::new(settings.api),
        }
    }

    /// Admits a connection: to be served, or to be served a refusal, so that the client learns the reason. `None`: it
    /// is to be closed without a response.
    pub(crate) fn admit(self: &Arc<Self>, peer: Option<IpAddr>) -> Option<ConnectionPermit> {
        let permit = |peer, refusal| ConnectionPermit { limits: Arc::clone(self), peer, refusal };
        let refusal = if acquire(&self.connections, self.max_connections) {
            let peer = peer.filter(|_| self.max_connections_per_peer > 0).map(network);
            if peer.is_none_or(|peer| self.acquire_peer(peer)) {
                self.metrics.opened();
                return Some(permit(peer, None));
            }
            self.connections.fetch_sub(1, Ordering::Relaxed);
            Refusal::ConnectionsOfPeer
        } else {
            Refusal::Connections
        };
        self.metrics.refused(refusal);
        acquire(&self.refused_connections, MAX_REFUSED_CONNECTIONS).then(|| permit(None, Some(refusal)))
    }

    /// Admits a request; `None` if it is to be refused.
    pub(crate) fn begin(self: &Arc<Self>) -> Option<RequestPermit> {
        let admitted = acquire(&self.requests, self.max_requests);
        if !admitted {
            self.metrics.refused(Refusal::Requests);
        }
        admitted.then(|| RequestPermit(Arc::clone(self)))
    }

    /// Returns the metrics of the server.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    fn acquire_peer(&self, peer: IpAddr) -> bool {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        let count = peers.entry(peer).or_default();
        let admitted = *count < self.max_connections_per_peer;
        *count += usize::from(admitted);
        admitted
    }

    fn release_peer(&self, peer: IpAddr) {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = peers.get_mut(&peer) {
            *count -= 1;
            if *count == 0 {
                peers.remove(&peer);
            }
        }
    }
}

/// Increments a counter below its maximum.
fn acquire(counter: &AtomicUsize, max: usize) -> bool {
    let admitted = counter.fetch_add(1, Ordering::Relaxed) < max;
    if !admitted {
        counter.fetch_sub(1, Ordering::Relaxed);
    }
    admitted
}

/// Returns the unit of the limit per peer: a host usually controls a whole IPv6 network of 64 bits.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let counter = if self.refusal.is_some() { &self.limits.refused_connections } else { &self.limits.connections };
        counter.fetch_sub(1, Ordering::Relaxed);
        if self.refusal.is_none() {
            self.limits.metrics.closed();
        }
        if let Some(peer) = self.peer {
            self.limits.release_peer(peer);
        }
    }
}

impl Drop for RequestPermit {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns limits; 0 connections per peer are no limit per peer.
    fn limits(max_connections: usize, max_connections_per_peer: usize) -> Arc<Limits> {
        let settings = ServerSettings { max_connections, max_connections_per_peer, ..ServerSettings::default() };
        Arc::new(Limits::new(&settings))
    }

    fn admit(limits: &Arc<Limits>, peer: &str) -> ConnectionPermit {
        limits.admit(Some(peer.parse().unwrap())).unwrap()
    }

    #[test]
    fn connection_beyond_the_limit_is_refused_until_another_one_closes() {
        let limits = limits(1, 0);
        let first = admit(&limits, "192.0.2.1");
        assert_eq!(first.refusal, None);
        assert_eq!(limits.admit(None).unwrap().refusal, Some(Refusal::Connections));
        drop(first);
        assert_eq!(limits.admit(None).unwrap().refusal, None);
    }

    #[test]
    fn connections_per_peer_count_an_ipv6_network_as_one_peer() {
        let limits = limits(9, 1);
        let held = ["192.0.2.1", "192.0.2.2", "2001:db8::1"].map(|peer| admit(&limits, peer));
        assert!(held.iter().all(|permit| permit.refusal.is_none()));
        for peer in ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8::2"] {
            assert_eq!(admit(&limits, peer).refusal, Some(Refusal::ConnectionsOfPeer), "{peer}");
        }
        assert_eq!(admit(&limits, "2001:db8:0:1::1").refusal, None);
        drop(held);
        assert!(limits.peers.lock().unwrap().is_empty(), "released peers are forgotten");
    }

    #[test]
    fn connection_beyond_the_limit_of_refusals_is_closed() {
        let limits = limits(0, 0);
        let refused: Vec<_> = (0..MAX_REFUSED_CONNECTIONS).map(|_| limits.admit(None)).collect();
        assert!(refused.iter().all(Option::is_some));
        assert!(limits.admit(None).is_none());
    }
}
