//! Extensions of requests that describe the connection they arrived on.

use std::net::IpAddr;

/// The peer of the connection, as an extension of its requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerAddress {
    /// A client with this address.
    Ip(IpAddr),
    /// A client of a Unix socket, which has no address.
    UnixSocket,
}

/// An extension of the requests on connections with TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encrypted;
