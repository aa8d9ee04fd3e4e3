//! The TLS settings: of the servers (`[rest.tls]`, `[grpc.tls]`) and of the connection to a core (`[rest.core]`).

use std::path::{Path, PathBuf};

use http_server::{TlsFile, TlsFiles};
use rest_gateway::core_client::CoreTlsFiles;
use serde::Deserialize;

/// A setting within a section, and the rule that its value breaks.
pub(super) type Problem = (&'static str, &'static str);

/// TLS of a server.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServerTls {
    /// The certificate with the intermediate ones, in PEM. Empty: no TLS.
    #[serde(rename = "certificate_file")]
    pub(crate) certificate: PathBuf,
    /// The private key of the certificate, in PEM.
    #[serde(rename = "key_file")]
    pub(crate) key: PathBuf,
    /// The certificate authorities of clients, in PEM. If set, every client must present a certificate of one of them.
    #[serde(rename = "client_ca_file")]
    pub(crate) client_ca: PathBuf,
}

/// TLS of the connection to a core at an `https` URL.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CoreTlsSettings {
    /// The certificate authorities of the core, in PEM. Empty: those of the operating system.
    #[serde(rename = "ca_file")]
    pub(crate) ca: PathBuf,
    /// The certificate that the gateway presents, in PEM. Empty: none.
    #[serde(rename = "certificate_file")]
    pub(crate) certificate: PathBuf,
    /// The private key of that certificate, in PEM.
    #[serde(rename = "key_file")]
    pub(crate) key: PathBuf,
}

impl ServerTls {
    pub(super) fn validate(&self) -> Result<(), Problem> {
        let is_empty = |path: &Path| path.as_os_str().is_empty();
        together(&self.certificate, &self.key)?;
        if !is_empty(&self.client_ca) && is_empty(&self.certificate) {
            return Err((
                "client_ca_file",
                "needs certificate_file and key_file in the same section, since it needs TLS",
            ));
        }
        Ok(())
    }

    /// Returns the files; `None` without TLS.
    pub(crate) fn files(&self) -> Option<TlsFiles> {
        Some(TlsFiles {
            certificate: non_empty(&self.certificate)?,
            key: self.key.clone(),
            client_ca: non_empty(&self.client_ca),
        })
    }
}

impl CoreTlsSettings {
    pub(super) fn validate(&self) -> Result<(), Problem> {
        together(&self.certificate, &self.key)
    }

    /// Returns the files.
    pub(crate) fn files(&self) -> CoreTlsFiles {
        let certificate = non_empty(&self.certificate);
        CoreTlsFiles {
            ca: non_empty(&self.ca),
            identity: certificate.map(|certificate| (certificate, self.key.clone())),
        }
    }
}

/// Returns the name of the setting with the path of a file of a server.
pub(crate) fn server_setting(file: TlsFile) -> &'static str {
    match file {
        TlsFile::Certificate => "certificate_file",
        TlsFile::Key => "key_file",
        TlsFile::Ca => "client_ca_file",
    }
}

/// Returns the name of the setting with the path of a file of the connection to a core.
pub(crate) fn core_setting(file: TlsFile) -> &'static str {
    match file {
        TlsFile::Certificate => "certificate_file",
        TlsFile::Key => "key_file",
        TlsFile::Ca => "ca_file",
    }
}

/// Requires that a certificate and its key are set together.
fn together(certificate: &Path, key: &Path) -> Result<(), Problem> {
    match (certificate.as_os_str().is_empty(), key.as_os_str().is_empty()) {
        (true, false) => {
            Err(("key_file", "needs certificate_file in the same section; both may be the path of the same file"))
        }
        (false, true) => {
            Err(("certificate_file", "needs key_file in the same section; both may be the path of the same file"))
        }
        (true, true) | (false, false) => Ok(()),
    }
}

fn non_empty(path: &Path) -> Option<PathBuf> {
    (!path.as_os_str().is_empty()).then(|| path.to_owned())
}
