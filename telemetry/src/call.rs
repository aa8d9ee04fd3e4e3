//! The status of a call, and its end.

use std::time::Duration;

/// The HTTP status of calls whose client disconnects before the end of the response. No response has it.
pub const CLIENT_CLOSED: u16 = 499;

/// The API of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// REST.
    Rest,
    /// gRPC.
    Grpc,
}

impl Api {
    /// Returns the name, as in labels and log lines.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rest => "rest",
            Self::Grpc => "grpc",
        }
    }
}

/// The status of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// An HTTP status, or [`CLIENT_CLOSED`].
    Http(u16),
    /// A gRPC code, 0 to 16.
    Grpc(u8),
}

/// The names of the gRPC codes, by number.
const GRPC_CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

impl Status {
    /// Returns the API of calls with this kind of status.
    pub fn api(self) -> Api {
        match self {
            Self::Http(_) => Api::Rest,
            Self::Grpc(_) => Api::Grpc,
        }
    }

    /// Returns the name of a gRPC code; `None` for an HTTP status.
    pub fn grpc_name(self) -> Option<&'static str> {
        match self {
            Self::Http(_) => None,
            Self::Grpc(code) => Some(GRPC_CODES.get(usize::from(code)).copied().unwrap_or("UNKNOWN")),
        }
    }

    /// Returns the text of the label `status`.
    pub(crate) fn label(self) -> String {
        match self {
            Self::Http(status) => status.to_string(),
            Self::Grpc(_) => self.grpc_name().unwrap_or_default().to_owned(),
        }
    }

    /// Returns whether the client disconnected.
    pub fn is_client_closed(self) -> bool {
        // 1 is CANCELLED: only the client cancels a call.
        matches!(self, Self::Http(CLIENT_CLOSED) | Self::Grpc(1))
    }
}

/// The end of a call, as the server that received it sees it.
#[derive(Debug, Clone, Copy)]
pub struct CallEnd<'a> {
    /// The id of the request.
    pub request_id: &'a str,
    /// The HTTP method.
    pub method: &'a str,
    /// The route of a REST call, or the name of a gRPC method with its service.
    pub route: &'a str,
    /// The status of the response.
    pub status: Status,
    /// The bytes of the response body that were sent.
    pub bytes: u64,
    /// The `X-Forwarded-For` header of the request.
    pub forwarded_for: Option<&'a str>,
    /// Whether the call is a probe, such as a health check, which is logged at `debug`.
    pub is_probe: bool,
}

/// The times of a call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    pub(crate) total: Duration,
    /// To the first output of a stream.
    pub(crate) first_output: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_the_number_of_http_and_the_name_of_grpc() {
        assert_eq!((Status::Http(503).label(), Status::Http(503).api()), ("503".to_owned(), Api::Rest));
        assert_eq!((Status::Grpc(14).label(), Status::Grpc(14).api()), ("UNAVAILABLE".to_owned(), Api::Grpc));
        assert_eq!(Status::Grpc(99).label(), "UNKNOWN");
        assert!(Status::Http(499).is_client_closed() && Status::Grpc(1).is_client_closed());
        assert!(!Status::Http(400).is_client_closed() && !Status::Grpc(0).is_client_closed());
    }
}
