//! Fetching a picture from an address that a caller named, without becoming the caller's hand inside our network.
//!
//! Checked are the address as written, every resolved address (the connection then uses exactly those, so a name cannot
//! change its mind in between), and both again for each redirect. No proxy, no cookies, bounded in time and bytes.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::{Client, Response, header::LOCATION};
use url::Url;

use super::{
    client,
    guard::{Guard, NOT_PUBLIC},
};
use crate::error::Error;

const REDIRECTS: usize = 3;
const CONNECT: Duration = Duration::from_secs(5);

/// How pictures are fetched.
#[derive(Debug, Clone, Copy)]
pub struct FetchSettings {
    /// Which addresses may be connected to.
    pub guard: Guard,
    /// The most bytes a body may have.
    pub max_bytes: u64,
    /// The time for everything, redirects included.
    pub timeout: Duration,
}

impl Default for FetchSettings {
    fn default() -> Self {
        Self { guard: Guard::PUBLIC, max_bytes: 20 << 20, timeout: Duration::from_secs(20) }
    }
}

/// Fetches pictures. Clones share the client.
#[derive(Debug, Clone)]
pub struct Fetcher {
    client: Client,
    settings: FetchSettings,
}

impl Fetcher {
    /// A fetcher with a client of its own: nothing that operators configure for upstreams holds for callers' addresses.
    ///
    /// # Errors
    /// [`Error::Internal`] if there is no usable TLS.
    pub fn new(settings: FetchSettings) -> Result<Self, Error> {
        let client = client::guarded(settings.guard, CONNECT);
        let client = client.map_err(|error| Error::Internal(format!("HTTP client: {error}")))?;
        Ok(Self { client, settings })
    }

    /// The body at `url`.
    ///
    /// # Errors
    /// [`Error::InvalidField`] naming `field`, whatever fails: the address is the caller's.
    pub async fn fetch(&self, field: &str, url: &str) -> Result<Bytes, Error> {
        let whole = tokio::time::timeout(self.settings.timeout, self.follow(url)).await;
        let whole = whole.unwrap_or_else(|_| Err(format!("took longer than {:?} to answer", self.settings.timeout)));
        whole.map_err(|why| Error::invalid(field, format!("the address {why}")))
    }

    async fn follow(&self, url: &str) -> Result<Bytes, String> {
        let mut url = Url::parse(url).map_err(|error| format!("is not a URL: {error}"))?;
        for _ in 0..=REDIRECTS {
            self.settings.guard.check(&url)?;
            let response = self.client.get(url.clone()).send().await.map_err(|error| unreachable_because(&error))?;
            let status = response.status();
            if status.is_success() {
                return self.body(response).await;
            }
            let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            url = match location {
                Some(location) if status.is_redirection() => {
                    url.join(location).map_err(|error| format!("redirects to something that is not a URL: {error}"))?
                }
                Some(_) | None => return Err(format!("answers with the status {}", status.as_u16())),
            };
        }
        Err(format!("redirects more than {REDIRECTS} times"))
    }

    async fn body(&self, mut response: Response) -> Result<Bytes, String> {
        let max = self.settings.max_bytes;
        let too_long = || format!("holds more than {max} bytes");
        if response.content_length().is_some_and(|length| length > max) {
            return Err(too_long());
        }
        // Not sized by the announced length: that is the server's claim.
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| unreachable_because(&error))? {
            if body.len() as u64 + chunk.len() as u64 > max {
                return Err(too_long());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }
}

/// In words, and in no more detail than the caller could find out alone.
fn unreachable_because(error: &reqwest::Error) -> String {
    if client::is_not_public(error) {
        return NOT_PUBLIC.to_owned();
    }
    tracing::debug!("fetching a picture: {error:?}");
    let why = if error.is_timeout() || error.is_connect() { "cannot be reached" } else { "breaks off its answer" };
    why.to_owned()
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::media::testing::{HERE, ok, redirect, server};

    fn fetcher(guard: Guard) -> Fetcher {
        Fetcher::new(FetchSettings { guard, max_bytes: 1000, ..FetchSettings::default() }).unwrap()
    }

    /// Takes the test's own server for public, and nothing else on this machine.
    fn only_here() -> Fetcher {
        fetcher(Guard::only(|address| address == HERE))
    }

    async fn refusal(fetcher: &Fetcher, url: &str) -> String {
        match fetcher.fetch("pictures[0]", url).await {
            Err(Error::InvalidField { field, message }) if field == "pictures[0]" => message,
            other => panic!("{url}: {other:?}"),
        }
    }

    #[tokio::test]
    async fn a_body_comes_whole_and_over_redirects() {
        let url = server(|asked| match asked.path() {
            "/a" => redirect("/b"),
            "/b" => redirect("c?d=1"),
            "/c?d=1" => ok(b"the body"),
            _ => b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_vec(),
        })
        .await;
        let fetcher = only_here();
        assert_eq!(fetcher.fetch("f", &format!("{url}/a")).await.unwrap(), "the body");
        assert!(refusal(&fetcher, &format!("{url}/x")).await.contains("404"));
    }

    #[tokio::test]
    async fn private_addresses_are_refused_however_they_are_reached() {
        let url = server(|asked| match asked.path() {
            "/literal" => redirect("http://127.0.0.2/"),
            "/decimal" => redirect("http://2130706434/"),
            "/six" => redirect("http://[::1]/"),
            "/name" => redirect("http://localhost.:80/"),
            "/file" => redirect("file:///etc/passwd"),
            _ => ok(b"secret"),
        })
        .await;
        let port = url.rsplit(':').next().unwrap().to_owned();
        let public = fetcher(Guard::PUBLIC);
        for address in
            [url.clone(), format!("http://2130706433:{port}"), "http://127.0.0.1".into(), "http://0x7f.1".into()]
        {
            let why = refusal(&public, &address).await;
            assert!(why.contains("not public") || why.contains("port"), "{address}: {why}");
        }
        assert!(refusal(&public, "http://localhost/").await.contains("not public"), "by the resolver");
        let here = only_here();
        for path in ["literal", "decimal", "six"] {
            assert!(refusal(&here, &format!("{url}/{path}")).await.contains("not public"), "{path}");
        }
        assert!(refusal(&here, &format!("{url}/file")).await.contains("http"));
        let nowhere = fetcher(Guard::only(|_| false));
        assert!(refusal(&nowhere, &format!("http://localhost:{port}/")).await.contains("not public"));
    }

    #[tokio::test]
    async fn what_the_operator_opens_is_reached() {
        let url = server(|_| ok(b"within")).await;
        assert_eq!(fetcher(Guard::OPEN).fetch("f", &url).await.unwrap(), "within");
    }

    #[tokio::test]
    async fn a_long_body_is_cut_whether_it_is_announced_or_not() {
        let url = server(|asked| match asked.path() {
            "/announced" => b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n".to_vec(),
            "/silent" => [b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &[0; 1001]].concat(),
            _ => ok(&[0; 1000]),
        })
        .await;
        let fetcher = only_here();
        assert_eq!(fetcher.fetch("f", &format!("{url}/fits")).await.unwrap().len(), 1000);
        for path in ["announced", "silent"] {
            assert!(refusal(&fetcher, &format!("{url}/{path}")).await.contains("more than 1000 bytes"), "{path}");
        }
    }

    #[tokio::test]
    async fn redirects_end_after_three() {
        let url = server(|_| redirect("/again")).await;
        assert!(refusal(&only_here(), &url).await.contains("more than 3 times"));
    }

    #[tokio::test]
    async fn a_broken_answer_and_a_closed_port_are_told() {
        let url = server(|_| b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf".to_vec()).await;
        assert!(refusal(&only_here(), &url).await.contains("breaks off"));
        let closed = TcpListener::bind((HERE, 0)).await.unwrap().local_addr().unwrap();
        assert!(refusal(&only_here(), &format!("http://{closed}/")).await.contains("cannot be reached"));
    }

    #[tokio::test]
    async fn a_server_that_never_answers_is_given_up() {
        let listener = TcpListener::bind((HERE, 0)).await.unwrap();
        let settings =
            FetchSettings { guard: Guard::OPEN, timeout: Duration::from_millis(50), ..FetchSettings::default() };
        let fetcher = Fetcher::new(settings).unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        assert!(refusal(&fetcher, &url).await.contains("longer than 50ms"));
    }
}
