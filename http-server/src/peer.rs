//! What requests say about the connection that they arrived on.

use std::net::IpAddr;

/// The address of the client, as an extension of its requests. Absent for connections without one, such as Unix sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddress(pub IpAddr);

/// An extension of the requests on connections with TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encrypted;
