//! Addresses to listen on.

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr,
};

/// The prefix of the paths of Unix sockets, as in the target names of gRPC.
const UNIX: &str = "unix:";

/// An address to listen on: `127.0.0.1:8000` or `unix:/run/triptych/rest.sock`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    /// A TCP port. Port 0 selects a free one.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

/// A text that is no address to listen on. Displays the rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidAddress(&'static str);

impl ListenAddress {
    /// Returns the TCP address; `None` for a Unix socket.
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}

impl FromStr for ListenAddress {
    type Err = InvalidAddress;

    /// Parses `IP:PORT`, `localhost:PORT`, or `unix:PATH`. `unix://PATH` is understood.
    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        if let Some(path) = text.strip_prefix(UNIX) {
            if cfg!(not(unix)) {
                return Err(InvalidAddress("this system has no Unix sockets; must be IP:PORT"));
            }
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() {
                return Err(InvalidAddress("must have a path, for example unix:/run/triptych/rest.sock"));
            }
            return Ok(Self::Unix(Path::new(path).to_owned()));
        }
        // The only host name that is accepted: it always means loopback. Another name could resolve to a public address.
        let address = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
        address.as_deref().unwrap_or(text).parse().map(Self::Tcp).map_err(|_| {
            InvalidAddress(
                "must be IP:PORT, for example 127.0.0.1:8000, 0.0.0.0:8000 or [::1]:8000, or unix:PATH, for example \
                 unix:/run/triptych/rest.sock",
            )
        })
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

impl fmt::Display for InvalidAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for InvalidAddress {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_parsed_and_displayed() {
        for (text, displayed) in [
            ("127.0.0.1:8000", "127.0.0.1:8000"),
            ("[::1]:0", "[::1]:0"),
            ("localhost:8000", "127.0.0.1:8000"),
            #[cfg(unix)]
            ("unix:/run/a.sock", "unix:/run/a.sock"),
            #[cfg(unix)]
            ("unix:///run/a.sock", "unix:/run/a.sock"),
            #[cfg(unix)]
            ("unix:a.sock", "unix:a.sock"),
        ] {
            assert_eq!(text.parse::<ListenAddress>().unwrap().to_string(), displayed);
        }
        for wrong in ["", "8000", "example.org:8000", "127.0.0.1", "unix:", "unix://", "/run/a.sock"] {
            assert!(wrong.parse::<ListenAddress>().is_err(), "{wrong}");
        }
    }
}
