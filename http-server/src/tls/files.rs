//! The files of a TLS server.

use std::{path::PathBuf, sync::Arc};

use rustls::{ServerConfig, crypto::ring, server::WebPkiClientVerifier, sign::SingleCertAndKey};

use super::{
    pem::{TlsError, TlsFile, read_identity, read_roots},
    validity::Validity,
};

/// The protocols that a client can choose in its handshake (ALPN), by preference.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The files of a TLS server, all in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate of the server, followed by the intermediate ones.
    pub certificate: PathBuf,
    /// The private key of the certificate. May be the same file.
    pub key: PathBuf,
    /// The certificate authorities of clients. If set, every client must present a certificate of one of them.
    pub client_ca: Option<PathBuf>,
}

/// The configuration of a TLS server, read from its files.
#[derive(Debug, Clone)]
pub struct LoadedTls {
    /// For [`Tls`](crate::Tls).
    pub config: Arc<ServerConfig>,
    /// When the certificate of the server is valid. An expired one can be loaded.
    pub validity: Validity,
}

impl TlsFiles {
    /// Reads the files. Blocks.
    ///
    /// # Errors
    /// A file cannot be read, lacks its content, or the key does not belong to the certificate.
    pub fn load(&self) -> Result<LoadedTls, TlsError> {
        let identity = read_identity(&self.certificate, &self.key)?;
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::new(TlsFile::Certificate, format!("cannot be used: {error}")))?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let roots = Arc::new(read_roots(path)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build();
                builder.with_client_cert_verifier(
                    verifier.map_err(|error| TlsError::new(TlsFile::Ca, format!("cannot be used: {error}")))?,
                )
            }
        };
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(identity.certified_key)));
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(LoadedTls { config: Arc::new(config), validity: identity.validity })
    }
}
