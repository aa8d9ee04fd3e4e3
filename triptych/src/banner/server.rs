//! A server as the banner shows it, and how curl and grpcurl reach it.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use http_server::ListenAddress;

/// A server of the process.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) address: ListenAddress,
    pub(crate) security: Security,
}

/// What a client of a server needs besides an API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Security {
    /// Nothing: all is sent in plain text.
    Plain,
    /// TLS.
    Tls,
    /// TLS with a client certificate.
    ClientCertificate,
}

impl Server {
    /// Returns the address if other machines can reach it.
    pub(super) fn public_address(&self) -> Option<SocketAddr> {
        self.address.tcp().filter(|address| !address.ip().is_loopback())
    }

    /// Returns the URL of a path of the server, for a client that is connected to it.
    pub(super) fn url(&self, path: &str) -> String {
        let scheme = if self.security == Security::Plain { "http" } else { "https" };
        match self.address.tcp() {
            Some(address) => format!("{scheme}://{}{path}", reachable(address)),
            None => format!("{scheme}://localhost{path}"),
        }
    }

    /// Returns the arguments with which curl reaches a path of the server.
    pub(super) fn curl(&self, path: &str) -> String {
        let certificate = match self.security {
            Security::Plain | Security::Tls => "",
            Security::ClientCertificate => "--cert client.pem --key client.key ",
        };
        let socket = match &self.address {
            ListenAddress::Tcp(_) => String::new(),
            ListenAddress::Unix(path) => format!("--unix-socket {} ", path.display()),
        };
        format!("{certificate}{socket}{}", self.url(path))
    }

    /// Returns the options with which grpcurl reaches the server, and its address.
    pub(super) fn grpcurl(&self) -> (&'static str, String) {
        match (&self.address, self.security) {
            (ListenAddress::Tcp(address), security) => {
                let options = match security {
                    Security::Plain => "-plaintext ",
                    Security::Tls => "",
                    Security::ClientCertificate => "-cert client.pem -key client.key ",
                };
                (options, reachable(*address).to_string())
            }
            (ListenAddress::Unix(socket), _) => ("-plaintext -unix ", socket.display().to_string()),
        }
    }
}

impl Security {
    /// Returns the end of a line about a server.
    pub(super) fn note(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Tls => " with TLS",
            Self::ClientCertificate => " with TLS and client certificates",
        }
    }

    /// Returns the end of a line about a server whose URL shows that it has TLS.
    pub(super) fn client_certificate(self) -> &'static str {
        match self {
            Self::Plain | Self::Tls => "",
            Self::ClientCertificate => " with client certificates",
        }
    }
}

/// Returns an address that clients on this machine can connect to: a wildcard becomes loopback.
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        SocketAddr::V4(_) | SocketAddr::V6(_) => address.ip(),
    };
    SocketAddr::new(ip, address.port())
}
