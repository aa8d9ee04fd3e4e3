//! Fetches a picture or a file from a URL in a request, without letting the client reach the private network (SSRF).
//!
//! The [address policy](AddressPolicy) is applied to an address in the URL itself, to every address that its host name resolves to (only
//! permitted ones of these are connected to), and to both again after each redirect. No proxy and no cookies are used; time and size are limited.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::{
    Client, Response,
    header::{CONTENT_TYPE, LOCATION},
};
use url::Url;

use super::{
    address_policy::{AddressPolicy, NOT_PUBLIC},
    budget::InputReservation,
    client,
};
use crate::error::Error;

const MAX_REDIRECTS: usize = 3;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How files are fetched.
#[derive(Debug, Clone, Copy)]
pub struct FetchSettings {
    /// The addresses that may be connected to.
    pub address_policy: AddressPolicy,
    /// The most bytes of a response body.
    pub max_bytes: u64,
    /// The time limit for the whole fetch, redirects included.
    pub timeout: Duration,
}

impl Default for FetchSettings {
    fn default() -> Self {
        let max_mib = 20;
        Self { address_policy: AddressPolicy::PUBLIC, max_bytes: max_mib << 20, timeout: Duration::from_secs(20) }
    }
}

/// Fetches files. Clones share the client.
#[derive(Debug, Clone)]
pub struct Fetcher {
    client: Client,
    settings: FetchSettings,
}

impl Fetcher {
    /// Returns a fetcher with its own HTTP client: settings for upstreams, such as proxies, do not apply to clients' URLs.
    ///
    /// # Errors
    /// [`Error::Internal`] if no HTTP client can be built.
    pub fn new(settings: FetchSettings) -> Result<Self, Error> {
        let client = client::restricted(settings.address_policy, CONNECT_TIMEOUT);
        let client = client.map_err(|error| Error::Internal(format!("HTTP client: {error}")))?;
        Ok(Self { client, settings })
    }

    /// Fetches the file at a URL with a GET request into reserved memory.
    ///
    /// # Errors
    /// Those of the reservation; [`Error::InvalidField`] naming `field` for every other failure, because the client chose the
    /// URL.
    pub(crate) async fn fetch(&self, field: &str, url: &str, memory: InputReservation) -> Result<Fetched, Error> {
        let body = tokio::time::timeout(self.settings.timeout, self.follow_redirects(url, memory)).await;
        let body =
            body.unwrap_or_else(|_| Err(format!("took longer than {:?} to respond", self.settings.timeout).into()));
        body.map_err(|failure| match failure {
            Failure::Url(reason) => Error::invalid(field, format!("the URL {reason}")),
            Failure::Memory(error) => error,
        })
    }

    async fn follow_redirects(&self, url: &str, memory: InputReservation) -> Result<Fetched, Failure> {
        let mut url = Url::parse(url).map_err(|error| format!("is invalid: {error}"))?;
        for _ in 0..=MAX_REDIRECTS {
            self.settings.address_policy.check(&url)?;
            let response = self.client.get(url.clone()).send().await.map_err(|error| reason_of(&error))?;
            let status = response.status();
            if status.is_success() {
                return self.read_body(response, memory).await;
            }
            let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            url = match location {
                Some(location) if status.is_redirection() => {
                    url.join(location).map_err(|error| format!("redirects to an invalid URL: {error}"))?
                }
                Some(_) | None => return Err(format!("responded with status {}", status.as_u16()).into()),
            };
        }
        Err(format!("redirects more than {MAX_REDIRECTS} times").into())
    }

    async fn read_body(&self, mut response: Response, mut memory: InputReservation) -> Result<Fetched, Failure> {
        let max = self.settings.max_bytes;
        let too_large = || format!("leads to more than {max} bytes");
        if response.content_length().is_some_and(|length| length > max) {
            return Err(too_large().into());
        }
        let media_type = media_type(&response);
        // Not allocated by Content-Length, which the server could set to any value.
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| reason_of(&error))? {
            if body.len() as u64 + chunk.len() as u64 > max {
                return Err(too_large().into());
            }
            memory.grow(chunk.len()).map_err(Failure::Memory)?;
            body.extend_from_slice(&chunk);
        }
        Ok(Fetched { body: memory.attach(body.freeze()), media_type })
    }
}

/// A fetched file.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// The content, with its reservation attached.
    pub(crate) body: Bytes,
    /// The media type that the server named, in lower case and without parameters.
    pub(crate) media_type: Option<String>,
}

fn media_type(response: &Response) -> Option<String> {
    let value = response.headers().get(CONTENT_TYPE)?.to_str().ok()?;
    let media_type = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    media_type.split_once('/').is_some_and(|(kind, subtype)| is_name(kind) && is_name(subtype)).then_some(media_type)
}

/// Why a file was not fetched.
enum Failure {
    /// The reason, to follow the words "the URL".
    Url(String),
    Memory(Error),
}

impl From<String> for Failure {
    fn from(reason: String) -> Self {
        Self::Url(reason)
    }
}

/// Returns the reason of a failure, to follow the words "the URL". It has no details about the network that the client could not
/// find out by itself.
fn reason_of(error: &reqwest::Error) -> String {
    if client::is_not_public(error) {
        return NOT_PUBLIC.to_owned();
    }
    tracing::debug!("fetching an input file: {error:?}");
    let text = if error.is_timeout() || error.is_connect() {
        "cannot be reached"
    } else {
        "sent an incomplete or malformed response"
    };
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::media::PictureBudget;
    use crate::media::testing::{LOOPBACK, ok, redirect, serve};

    fn fetcher(address_policy: AddressPolicy) -> Fetcher {
        Fetcher::new(FetchSettings { address_policy, max_bytes: 1000, ..FetchSettings::default() }).unwrap()
    }

    fn memory() -> InputReservation {
        PictureBudget::default().input()
    }

    /// A fetcher that may connect to the test server only.
    fn loopback_only() -> Fetcher {
        fetcher(AddressPolicy::only(|address| address == LOOPBACK))
    }

    /// Returns the error message for a URL that must be refused.
    async fn rejection(fetcher: &Fetcher, url: &str) -> String {
        match fetcher.fetch("pictures[0]", url, memory()).await {
            Err(Error::InvalidField { field, message }) if field == "pictures[0]" => message,
            other => panic!("{url}: {other:?}"),
        }
    }

    #[tokio::test]
    async fn body_is_fetched_over_redirects() {
        let url = serve(|request| match request.path() {
            "/a" => redirect("/b"),
            "/b" => redirect("c?d=1"),
            "/c?d=1" => ok(b"the body"),
            _ => b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_vec(),
        })
        .await;
        let fetcher = loopback_only();
        assert_eq!(fetcher.fetch("f", &format!("{url}/a"), memory()).await.unwrap().body, "the body");
        assert!(rejection(&fetcher, &format!("{url}/x")).await.contains("404"));
    }

    #[tokio::test]
    async fn private_address_is_refused_in_url_redirect_and_name() {
        let url = serve(|request| match request.path() {
            "/literal" => redirect("http://127.0.0.2/"),
            // 127.0.0.2 as one number.
            "/decimal" => redirect("http://2130706434/"),
            "/ipv6" => redirect("http://[::1]/"),
            "/file" => redirect("file:///etc/passwd"),
            _ => ok(b"secret"),
        })
        .await;
        let port = url.rsplit(':').next().unwrap().to_owned();
        let public = fetcher(AddressPolicy::PUBLIC);
        assert!(rejection(&public, &url).await.contains("must use port 80 or 443"));
        // Three forms of 127.0.0.1.
        for address in ["http://127.0.0.1", "http://2130706433", "http://0x7f.1"] {
            let reason = rejection(&public, address).await;
            assert!(reason.contains("not public"), "{address}: {reason}");
        }
        assert!(rejection(&public, "http://localhost/").await.contains("not public"), "by the resolver");
        // Permits the address of the test server, and so only what it redirects to can be refused.
        let loopback = loopback_only();
        for path in ["literal", "decimal", "ipv6"] {
            assert!(rejection(&loopback, &format!("{url}/{path}")).await.contains("not public"), "{path}");
        }
        assert!(rejection(&loopback, &format!("{url}/file")).await.contains("must be an http or https URL"));
        // This policy permits any port but no address.
        let none = fetcher(AddressPolicy::only(|_| false));
        assert!(rejection(&none, &format!("http://localhost:{port}/")).await.contains("not public"));
    }

    #[tokio::test]
    async fn open_policy_permits_private_addresses() {
        let url = serve(|_| ok(b"private")).await;
        assert_eq!(fetcher(AddressPolicy::OPEN).fetch("f", &url, memory()).await.unwrap().body, "private");
    }

    // The limit is 1000 bytes.
    #[tokio::test]
    async fn too_large_body_is_refused_with_and_without_content_length() {
        let url = serve(|request| match request.path() {
            "/with_length" => b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n".to_vec(),
            "/without_length" => [b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &[0; 1001]].concat(),
            _ => ok(&[0; 1000]),
        })
        .await;
        let fetcher = loopback_only();
        assert_eq!(fetcher.fetch("f", &format!("{url}/fits"), memory()).await.unwrap().body.len(), 1000);
        for path in ["with_length", "without_length"] {
            assert!(rejection(&fetcher, &format!("{url}/{path}")).await.contains("more than 1000 bytes"), "{path}");
        }
    }

    #[tokio::test]
    async fn fourth_redirect_is_refused() {
        let url = serve(|_| redirect("/again")).await;
        assert!(rejection(&loopback_only(), &url).await.contains("more than 3 times"));
    }

    #[tokio::test]
    async fn incomplete_response_and_closed_port_are_reported() {
        let url = serve(|_| b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf".to_vec()).await;
        assert!(rejection(&loopback_only(), &url).await.contains("incomplete"));
        let closed = TcpListener::bind((LOOPBACK, 0)).await.unwrap().local_addr().unwrap();
        assert!(rejection(&loopback_only(), &format!("http://{closed}/")).await.contains("cannot be reached"));
    }

    #[tokio::test]
    async fn server_that_does_not_respond_times_out() {
        let listener = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
        let settings = FetchSettings {
            address_policy: AddressPolicy::OPEN,
            timeout: Duration::from_millis(50),
            ..FetchSettings::default()
        };
        let fetcher = Fetcher::new(settings).unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        assert!(rejection(&fetcher, &url).await.contains("longer than 50ms"));
    }
}
