//! Certificates and keys in PEM files, of servers and of clients.

use std::{fmt, fs, path::Path, sync::Arc};

use rustls::{
    Error, RootCertStore,
    crypto::ring,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    sign::CertifiedKey,
};

use super::validity::Validity;

/// The role of a PEM file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsFile {
    /// The certificate, with the intermediate ones.
    Certificate,
    /// The private key.
    Key,
    /// The certificate authorities of the peer.
    Ca,
}

/// A PEM file that cannot be used. Displays the reason and the remedy, without the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsError {
    /// The role of the file.
    pub file: TlsFile,
    message: String,
}

impl TlsError {
    /// Creates the error of a file. The message begins with a verb, whose subject is the file.
    pub fn new(file: TlsFile, message: String) -> Self {
        Self { file, message }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for TlsError {}

/// A certificate with its private key, by which a server or a client proves its identity.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate, the intermediate ones, and the key.
    pub certified_key: Arc<CertifiedKey>,
    /// When the certificate is valid.
    pub validity: Validity,
}

/// Reads a certificate and its key. Blocks.
///
/// # Errors
/// A file cannot be read or lacks its content, or the key does not belong to the certificate.
pub fn read_identity(certificate: &Path, key: &Path) -> Result<Identity, TlsError> {
    let chain = read_certificates(certificate, TlsFile::Certificate)?;
    let validity = chain.first().and_then(|certificate| Validity::of(certificate));
    let validity = validity.ok_or_else(|| {
        TlsError::new(TlsFile::Certificate, "its first certificate is not in X.509 format".to_owned())
    })?;
    let private_key = PrivateKeyDer::from_pem_slice(&read(key, TlsFile::Key)?).map_err(|error| {
        let message = if matches!(error, pem::Error::NoItemsFound) {
            "has no private key in PEM format; decrypt an encrypted one with `openssl pkey -in OLD -out NEW`".to_owned()
        } else {
            format!("is not valid PEM: {error}")
        };
        TlsError::new(TlsFile::Key, message)
    })?;
    let certified_key = CertifiedKey::from_der(chain, private_key, &ring::default_provider());
    let certified_key = certified_key.map_err(|error| {
        if matches!(error, Error::InconsistentKeys(_)) {
            let message = format!(
                "does not belong to the certificate in {}; set the key that the certificate was issued for",
                certificate.display()
            );
            return TlsError::new(TlsFile::Key, message);
        }
        if let Error::InvalidCertificate(error) = error {
            let message = format!("its first certificate cannot be used: {error}");
            return TlsError::new(TlsFile::Certificate, message);
        }
        let keys = "use RSA with 2048 to 8192 bits, ECDSA with P-256, P-384 or P-521, or Ed25519";
        TlsError::new(TlsFile::Key, format!("its private key cannot be used: {error}; {keys}"))
    })?;
    Ok(Identity { certified_key: Arc::new(certified_key), validity })
}

/// Reads the certificate authorities of the peer. Blocks.
///
/// # Errors
/// The file cannot be read, or it has no certificate or an invalid one.
pub fn read_roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(path, TlsFile::Ca)? {
        let added = roots.add(certificate);
        added.map_err(|error| TlsError::new(TlsFile::Ca, format!("has a certificate that cannot be used: {error}")))?;
    }
    Ok(roots)
}

fn read_certificates(path: &Path, file: TlsFile) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(path, file)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let certificates = certificates.map_err(|error| TlsError::new(file, format!("is not valid PEM: {error}")))?;
    if certificates.is_empty() {
        let message = "has no certificate in PEM format; convert a DER file with `openssl x509 -inform der`".to_owned();
        return Err(TlsError::new(file, message));
    }
    Ok(certificates)
}

fn read(path: &Path, file: TlsFile) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|error| TlsError::new(file, format!("cannot be read: {error}")))
}
