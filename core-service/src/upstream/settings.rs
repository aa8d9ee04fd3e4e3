//! Settings of an upstream, and why an upstream cannot be set up.

use std::time::Duration;

use http::HeaderName;
use secrecy::SecretString;
use url::Url;

use crate::config::SettingError;

/// Timeouts of an upstream. The caller's deadline applies in addition.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For establishing a connection, TLS handshake included.
    pub connect: Duration,
    /// From sending the request to the first byte of the response body, or to the first event of a stream.
    pub first_byte: Duration,
    /// Between two reads of one response.
    pub idle: Duration,
}

/// How requests authenticate at an upstream.
#[derive(Debug, Clone, Default)]
pub enum Auth {
    /// Without credentials.
    #[default]
    None,
    /// By `Authorization: Bearer`.
    Bearer(SecretString),
    /// By `Authorization` with another scheme.
    Scheme(&'static str, SecretString),
    /// By the named header.
    Header(HeaderName, SecretString),
}

/// Why an upstream cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The key cannot be sent in an HTTP header.
    #[error("the key contains characters that are not allowed in an HTTP header")]
    Key,
    /// The address is not a URL that HTTP requests can be sent to.
    #[error("`{0}` is not a valid http or https address")]
    Address(Url),
    /// A setting whose value became invalid after its validation, such as a file.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// The environment names a proxy with an unsupported scheme.
    #[error("the proxy in HTTPS_PROXY, HTTP_PROXY or ALL_PROXY must be an http:// address")]
    Proxy,
    /// TLS cannot be set up, for example because the system's certificates cannot be read.
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
}
