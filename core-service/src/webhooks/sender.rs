//! One HTTP request to a receiver.
//!
//! URLs come from clients, so the [address policy](AddressPolicy) applies: to an address in the URL, and to every resolved
//! address, of which only the permitted ones are connected to. Redirects are not followed, and no proxy is used.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use reqwest::Client;
use tokio::time::{Instant, timeout};
use url::Url;

use super::{
    event::Event,
    signature::{WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP, signatures},
};
use crate::{
    error::Error,
    fault_injection::ReceiverFault,
    media::{
        address_policy::{AddressPolicy, NOT_PUBLIC},
        client,
    },
    upstream::retry_after,
    video::time::Timestamp,
    webhook_secret::WebhookSecret,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

const UNREACHABLE: &str = "the receiver cannot be reached";

/// Sends events. Clones share the client.
#[derive(Debug, Clone)]
pub struct Sender {
    client: Client,
    address_policy: AddressPolicy,
}

/// The result of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The status of the response, if there was one.
    pub(crate) status: Option<u16>,
    /// Why it failed; empty for a 2xx status.
    pub(crate) error: String,
    /// The delay that the response requests with `Retry-After`.
    pub(crate) retry_after: Option<Duration>,
    /// How long it took.
    pub(crate) duration: Duration,
}

impl Sender {
    /// Returns a sender that connects to the addresses which the policy permits.
    ///
    /// # Errors
    /// [`Error::Internal`] if no HTTP client can be built.
    pub fn new(address_policy: AddressPolicy) -> Result<Self, Error> {
        let client = client::restricted(address_policy, CONNECT_TIMEOUT);
        let client = client.map_err(|error| Error::Internal(format!("HTTP client: {error}")))?;
        Ok(Self { client, address_policy })
    }

    /// Sends an event. `previous_attempts` is the number of attempts to deliver it before this one. The response must begin within
    /// `limit`; its body is not read. A URL of the fault injection decides the result without a request.
    pub(crate) async fn send(
        &self,
        url: &str,
        event: &Event,
        secrets: &[WebhookSecret],
        now: Timestamp,
        limit: Duration,
        previous_attempts: u32,
    ) -> Outcome {
        let start = Instant::now();
        if let Some(fault) = Url::parse(url).ok().as_ref().and_then(ReceiverFault::from_url) {
            let unreachable = || Outcome { error: UNREACHABLE.to_owned(), ..Outcome::default() };
            return fault
                .status(previous_attempts)
                .map_or_else(unreachable, |status| outcome(status, &HeaderMap::new()));
        }
        let sent = timeout(limit, self.request(url, event, secrets, now)).await;
        let outcome = sent.unwrap_or_else(|_| Outcome {
            error: format!("the receiver did not respond within {limit:?}"),
            ..Outcome::default()
        });
        Outcome { duration: start.elapsed(), ..outcome }
    }

    async fn request(&self, url: &str, event: &Event, secrets: &[WebhookSecret], now: Timestamp) -> Outcome {
        let refused = |error: String| Outcome { error, ..Outcome::default() };
        let url = match Url::parse(url) {
            Ok(url) => url,
            Err(error) => return refused(format!("the URL is invalid: {error}")),
        };
        if let Err(reason) = self.address_policy.check(&url) {
            return refused(format!("the URL {reason}"));
        }
        let body = event.body();
        let timestamp = now.0.div_euclid(1000);
        let request = self
            .client
            .post(url)
            .header(header::CONTENT_TYPE, "application/json")
            .header(WEBHOOK_ID, &event.id)
            .header(WEBHOOK_TIMESTAMP, timestamp)
            .header(WEBHOOK_SIGNATURE, signatures(secrets, &event.id, timestamp, &body))
            .body(body);
        match request.send().await {
            Ok(response) => outcome(response.status(), response.headers()),
            Err(error) => refused(failure(&error)),
        }
    }
}

/// Returns the outcome of an attempt with a response.
fn outcome(status: StatusCode, headers: &HeaderMap) -> Outcome {
    let error = if status.is_success() {
        String::new()
    } else if status.is_redirection() {
        format!("the receiver redirects (status {}), which is not followed", status.as_u16())
    } else {
        format!("the receiver responded with status {}", status.as_u16())
    };
    Outcome { status: Some(status.as_u16()), error, retry_after: retry_after(headers), ..Outcome::default() }
}

/// Describes a failure, without details about the network that the client could not find out by itself.
fn failure(error: &reqwest::Error) -> String {
    if client::is_not_public(error) {
        return format!("the URL {NOT_PUBLIC}");
    }
    tracing::debug!("sending a webhook: {error:?}");
    let reason = if error.is_connect() { UNREACHABLE } else { "the receiver sent no complete response" };
    reason.to_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::{
        config::WebhookEventType,
        media::testing::{LOOPBACK, redirect, response, serve},
    };

    const NOW: Timestamp = Timestamp(1_800_000_000_123);

    fn event() -> Event {
        Event::test(WebhookEventType::VideoFailed, NOW)
    }

    async fn send(policy: AddressPolicy, url: &str) -> Outcome {
        let sender = Sender::new(policy).unwrap();
        sender.send(url, &event(), &[WebhookSecret::generate()], NOW, Duration::from_secs(30), 0).await
    }

    #[tokio::test]
    async fn request_has_the_headers_of_the_specification() {
        let received = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&received);
        let url = serve(move |request| {
            let header = |name: &str| request.header(name).unwrap_or_default().to_owned();
            let names = [WEBHOOK_ID, WEBHOOK_TIMESTAMP, WEBHOOK_SIGNATURE, "content-type"];
            log.lock().unwrap().push(names.map(header));
            response("204 No Content", &[], b"")
        })
        .await;
        let (event, secret) = (event(), WebhookSecret::generate());
        let secrets = std::slice::from_ref(&secret);
        let sender = Sender::new(AddressPolicy::OPEN).unwrap();
        let outcome = sender.send(&url, &event, secrets, NOW, Duration::from_secs(30), 0).await;
        assert_eq!((outcome.status, outcome.error.as_str()), (Some(204), ""));
        let signature = signatures(secrets, &event.id, 1_800_000_000, &event.body());
        let expected = [event.id, "1800000000".to_owned(), signature, "application/json".to_owned()];
        assert_eq!(*received.lock().unwrap(), [expected]);
    }

    #[tokio::test]
    async fn every_status_but_2xx_is_a_failure_and_redirects_are_not_followed() {
        let url = serve(|request| match request.path() {
            "/redirect" => redirect("/ok"),
            "/later" => response("503 Service Unavailable", &["retry-after: 60"], b""),
            "/gone" => response("404 Not Found", &[], b""),
            _ => response("200 OK", &[], b""),
        })
        .await;
        for (path, status, retry_after, error) in [
            ("/ok", 200, None, ""),
            ("/redirect", 302, None, "redirects (status 302), which is not followed"),
            ("/later", 503, Some(60), "status 503"),
            ("/gone", 404, None, "status 404"),
        ] {
            let outcome = send(AddressPolicy::OPEN, &format!("{url}{path}")).await;
            assert_eq!((outcome.status, outcome.error.is_empty()), (Some(status), error.is_empty()), "{path}");
            assert_eq!(outcome.retry_after, retry_after.map(Duration::from_secs), "{path}");
            assert!(outcome.error.contains(error), "{path}: {}", outcome.error);
        }
    }

    #[tokio::test]
    async fn address_that_is_not_permitted_is_refused_in_the_url_and_by_name() {
        let url = serve(|_| panic!("a request arrived")).await;
        let port = url.rsplit(':').next().unwrap().to_owned();
        for url in [
            url.clone(),
            format!("http://localhost:{port}/"),
            // 127.0.0.1 as one number.
            format!("http://2130706433:{port}/"),
            "http://[::1]/".into(),
        ] {
            let Outcome { status, error, .. } = send(AddressPolicy::PUBLIC_ANY_PORT, &url).await;
            assert_eq!((status, error.as_str()), (None, "the URL leads to an address that is not public"), "{url}");
        }
        assert!(send(AddressPolicy::OPEN, "file:///etc/passwd").await.error.contains("http or https"));
        assert!(send(AddressPolicy::OPEN, "no url").await.error.contains("is invalid"));
    }

    #[tokio::test]
    async fn receiver_that_does_not_respond_is_a_failure() {
        let listener = tokio::net::TcpListener::bind((LOOPBACK, 0)).await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let sender = Sender::new(AddressPolicy::OPEN).unwrap();
        let outcome = sender.send(&url, &event(), &[], NOW, Duration::from_millis(50), 0).await;
        assert_eq!((outcome.status, outcome.error.as_str()), (None, "the receiver did not respond within 50ms"));
        drop(listener);
        assert_eq!(send(AddressPolicy::OPEN, &url).await.error, "the receiver cannot be reached");
    }

    #[tokio::test]
    async fn injected_fault_decides_the_outcome_without_a_request() {
        let sender = Sender::new(AddressPolicy::PUBLIC_ANY_PORT).unwrap();
        for (url, earlier, status, error) in [
            ("https://webhook-fault-1.invalid/", 0, Some(503), "the receiver responded with status 503"),
            ("https://webhook-fault-1.invalid/", 1, Some(200), ""),
            ("https://webhook-fault-down.invalid/", 9, None, UNREACHABLE),
        ] {
            let outcome = sender.send(url, &event(), &[], NOW, Duration::from_secs(30), earlier).await;
            assert_eq!((outcome.status, outcome.error.as_str()), (status, error), "{url}");
        }
    }
}
