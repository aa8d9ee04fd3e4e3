//! The address of a client.

use std::net::IpAddr;

/// The address of the client, as an extension of its requests. Absent for connections without one, such as Unix sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddress(pub IpAddr);
