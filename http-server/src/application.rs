//! The handler of a server's requests.

use std::future::Future;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;

use crate::RequestBody;

/// Answers the requests of a server, in the form of its API.
pub trait Application: Clone + Send + Sync + 'static {
    /// The body of a response.
    type Body: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + Unpin + 'static;

    /// Answers a request. The future is dropped when the client disconnects.
    fn handle(&self, request: Request<RequestBody>) -> impl Future<Output = Response<Self::Body>> + Send + use<Self>;

    /// Returns the response to a request that a limit refuses.
    fn refuse(&self, refusal: Refusal, request: &Request<RequestBody>) -> Response<Self::Body>;

    /// Returns the response to a request head that is not valid HTTP/1.1 (400), that is too long (431), or whose path
    /// is too long (414). The connection is closed after it.
    fn refuse_head(&self, status: StatusCode) -> Response<Bytes>;
}

/// The limit that refuses a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The server has [`max_connections`](crate::ServerSettings::max_connections).
    Connections,
    /// The peer has [`max_connections_per_peer`](crate::ServerSettings::max_connections_per_peer).
    ConnectionsOfPeer,
    /// The server has [`max_requests`](crate::ServerSettings::max_requests) in flight.
    Requests,
}
