//! Why a connection to an upstream cannot be opened. Operators see it in the output of `triptych check --probe`; clients never do.

use std::{error::Error, io, time::Duration};

/// Why a connection failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ConnectFailure {
    /// The name of the host has no address.
    #[error("DNS: the name of the host cannot be resolved: {0}")]
    Dns(String),
    /// Nothing listens at the address.
    #[error("connection refused: nothing listens at this address")]
    Refused,
    /// The TLS handshake failed.
    #[error("TLS: {0}")]
    Tls(String),
    /// No connection within this time.
    #[error("timeout: no connection within {}", humantime_serde::re::humantime::format_duration(*.0))]
    Timeout(Duration),
    /// Another failure, also that of a proxy.
    #[error("cannot connect: {0}")]
    Other(String),
}

impl ConnectFailure {
    /// Classifies an error of the connector, which can be any error in its chain of causes.
    pub(super) fn classify(error: &(dyn Error + 'static)) -> Self {
        let chain: Vec<_> = std::iter::successors(Some(error), |error| cause(*error)).collect();
        let innermost = chain.last().map(ToString::to_string).unwrap_or_default();
        if chain.iter().any(|error| error.is::<rustls::Error>()) {
            return Self::Tls(innermost);
        }
        let io_kinds = || chain.iter().filter_map(|error| error.downcast_ref::<io::Error>().map(io::Error::kind));
        // The error type of hyper-util is private, so a failed name resolution is recognised by its text.
        if chain.iter().any(|error| error.to_string() == "dns error") {
            return Self::Dns(innermost);
        }
        if io_kinds().any(|kind| kind == io::ErrorKind::ConnectionRefused) {
            return Self::Refused;
        }
        Self::Other(innermost)
    }
}

/// Returns the cause of an error. An `io::Error` made of another error does not have that error as its `source`, so it is looked up
/// by `get_ref`.
fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    let held = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    held.map(|held| held as &(dyn Error + 'static)).or_else(|| error.source())
}
