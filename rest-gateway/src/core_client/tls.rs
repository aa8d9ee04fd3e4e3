//! TLS of the connection to a core: its files, and the configuration that new connections use.

use std::{path::PathBuf, sync::Arc};

use arc_swap::ArcSwap;
use http_server::{TlsError, TlsFile, Validity, read_identity, read_roots};
use rustls::{ClientConfig, crypto::ring, sign::SingleCertAndKey};
use rustls_platform_verifier::BuilderVerifierExt as _;

/// The protocol of gRPC, for ALPN.
const PROTOCOL: &[u8] = b"h2";

/// The files of the connection to a core, all in PEM.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CoreTlsFiles {
    /// The certificate authorities of the core. `None`: those of the operating system.
    pub ca: Option<PathBuf>,
    /// The certificate that the gateway presents, and its private key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// The TLS configuration of the connection to a core. Clones share it. A connection keeps the one that applied at its handshake.
#[derive(Debug, Clone)]
pub struct CoreTls(Arc<ArcSwap<ClientConfig>>);

impl CoreTlsFiles {
    /// Reads the files. Returns the configuration, and when the certificate of the gateway is valid, if it has one. Blocks.
    ///
    /// # Errors
    /// A file cannot be read, lacks its content, or the key does not belong to the certificate.
    pub fn load(&self) -> Result<(ClientConfig, Option<Validity>), TlsError> {
        let unusable = |error| TlsError::new(TlsFile::Ca, format!("cannot be used: {error}"));
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().map_err(unusable)?;
        let builder = match &self.ca {
            Some(path) => builder.with_root_certificates(read_roots(path)?),
            None => builder.with_platform_verifier().map_err(unusable)?,
        };
        let identity = self.identity.as_ref().map(|(certificate, key)| read_identity(certificate, key)).transpose()?;
        let validity = identity.as_ref().map(|identity| identity.validity);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity.certified_key)))
            }
        };
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        Ok((config, validity))
    }
}

impl CoreTls {
    /// Creates the configuration of the connection to a core.
    pub fn new(config: ClientConfig) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(config)))
    }

    /// Replaces the configuration for connections that are opened after this.
    pub fn replace(&self, config: ClientConfig) {
        self.0.store(Arc::new(config));
    }

    /// Returns the present configuration.
    pub(super) fn load(&self) -> Arc<ClientConfig> {
        self.0.load_full()
    }
}
