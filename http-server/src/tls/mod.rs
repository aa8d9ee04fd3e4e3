//! TLS of a listener: its files, and the configuration that new connections use, which can be replaced at run time.

mod files;
mod pem;
mod validity;

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use tokio_rustls::TlsAcceptor;

pub use self::{
    files::{LoadedTls, TlsFiles},
    pem::{Identity, TlsError, TlsFile, read_identity, read_roots},
    validity::{CertificateTime, Validity},
};

/// The TLS configuration of a listener. Clones share it. A connection keeps the one that applied at its handshake.
///
/// The whole configuration is replaced, and with it the cache of sessions: a client whose certificate authority was removed
/// cannot resume a session from before.
#[derive(Debug, Clone)]
pub struct Tls(Arc<ArcSwap<ServerConfig>>);

impl Tls {
    /// Creates the configuration of a listener.
    pub fn new(config: Arc<ServerConfig>) -> Self {
        Self(Arc::new(ArcSwap::new(config)))
    }

    /// Replaces the configuration for connections whose handshake begins after this.
    pub fn replace(&self, config: Arc<ServerConfig>) {
        self.0.store(config);
    }

    /// Returns an acceptor with the present configuration.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.0.load_full())
    }
}
