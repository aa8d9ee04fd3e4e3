//! One OpenAI-compatible HTTP upstream: sending, limits, and what its failures mean.

mod events;
mod failure;
#[doc(hidden)]
pub mod fuzzing;

use std::{future::Future, time::Duration};

use http::{HeaderMap, HeaderValue, header};
use reqwest::{Client, Response, Url};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, timeout_at};

pub(crate) use events::{Event, EventReader, TooLong};
pub(crate) use failure::failure_in_reply;

use crate::{
    call::{Call, REQUEST_ID},
    error::ProviderError,
};

/// Longest reply that is read whole.
const MAX_REPLY: usize = 64 << 20;
/// Longest error body that is read; what says more has said enough.
const MAX_FAILURE: usize = 64 << 10;

/// Below the idle limits of common servers, so that a kept connection is rarely one they have just closed.
const POOL_IDLE: Duration = Duration::from_mins(1);

/// How long an upstream may take. The caller's deadline holds besides.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Until the connection stands.
    pub connect: Duration,
    /// From sending the request to the first byte of the answer's body, or of the first event of a stream.
    pub first_byte: Duration,
    /// Between two reads of one answer.
    pub idle: Duration,
}

/// An upstream. Cheap calls: connections are kept and shared.
pub(crate) struct Upstream {
    client: Client,
    base: Url,
    key: Option<SecretString>,
    authorization: Option<HeaderValue>,
    pub(crate) limits: Limits,
    /// Whether its `insufficient_quota` with status 429 means: slower.
    pub(crate) quota_is_a_pace: bool,
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstream").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

/// Why an upstream could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The key holds characters that no HTTP header can carry.
    #[error("the key holds characters that no HTTP header can carry")]
    Key,
    /// The HTTP client could not be built.
    #[error("cannot set up the HTTP client: {0}")]
    Client(#[from] reqwest::Error),
}

impl Upstream {
    /// `base` is the address that paths such as `chat/completions` are appended to.
    pub(crate) fn new(mut base: Url, key: Option<SecretString>, limits: Limits) -> Result<Self, SetupError> {
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let authorization = key.as_ref().map(|key| {
            let mut value = HeaderValue::try_from(format!("Bearer {}", key.expose_secret()))?;
            value.set_sensitive(true);
            Ok::<_, http::header::InvalidHeaderValue>(value)
        });
        let client = Client::builder()
            .connect_timeout(limits.connect)
            .tcp_nodelay(true)
            .pool_idle_timeout(POOL_IDLE)
            .redirect(reqwest::redirect::Policy::none())
            .gzip(false)
            .build()?;
        let authorization = authorization.transpose().map_err(|_| SetupError::Key)?;
        Ok(Self { client, base, key, authorization, limits, quota_is_a_pace: false })
    }

    /// Posts a JSON body and answers once the headers of a successful reply are there.
    pub(crate) async fn post_json<R>(
        &self,
        path: &str,
        call: &Call<R>,
        body: Vec<u8>,
        until: Instant,
    ) -> Result<Response, ProviderError> {
        let url = self.base.join(path).map_err(|error| ProviderError::Unreachable(error.to_string()))?;
        let mut headers = HeaderMap::with_capacity(4);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(authorization) = &self.authorization {
            headers.insert(header::AUTHORIZATION, authorization.clone());
        }
        if let Ok(id) = HeaderValue::try_from(&call.request_id) {
            headers.insert(REQUEST_ID, id);
        }
        if !call.idempotency_key.is_empty()
            && let Ok(key) = HeaderValue::try_from(&call.idempotency_key)
        {
            headers.insert("idempotency-key", key);
        }
        let sending = self.client.post(url).headers(headers).body(body).send();
        let response = within(until, sending).await?.map_err(|error| self.unreachable(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let (status, headers) = (response.status(), response.headers().clone());
        // Where the words are lost, the status alone tells what happened.
        let body = within(until, read_up_to(response, MAX_FAILURE)).await?.unwrap_or_default();
        Err(self.redacted(failure::failure_of(status, &headers, &body, self.quota_is_a_pace)))
    }

    /// The whole body of a reply.
    pub(crate) async fn body(&self, response: Response, until: Instant) -> Result<Vec<u8>, ProviderError> {
        match within(until, read_up_to(response, MAX_REPLY)).await? {
            Ok(body) if body.len() >= MAX_REPLY => {
                Err(ProviderError::Unreadable(format!("the upstream's answer is longer than {MAX_REPLY} bytes")))
            }
            Ok(body) => Ok(body),
            Err(error) => Err(self.unreachable(&error)),
        }
    }

    /// What a failure to talk to the upstream means. The address stays out of it: callers never learn it.
    pub(crate) fn unreachable(&self, error: &reqwest::Error) -> ProviderError {
        tracing::debug!(upstream = %self.base, %error, "the upstream cannot be reached");
        // First: a connection that is not there in time is one that carried nothing.
        if error.is_connect() {
            ProviderError::Unreachable("the upstream cannot be reached".to_owned())
        } else if error.is_timeout() {
            ProviderError::Timeout("the upstream did not answer in time".to_owned())
        } else {
            ProviderError::Broken("the connection to the upstream broke".to_owned())
        }
    }

    /// The failure without our key, should the upstream quote it.
    pub(crate) fn redacted(&self, error: ProviderError) -> ProviderError {
        let Some(key) = self.key.as_ref().map(ExposeSecret::expose_secret).filter(|key| key.len() >= 4) else {
            return error;
        };
        let clean = |text: String| text.replace(key, "***");
        match error {
            ProviderError::Refused { message, field } => ProviderError::Refused { message: clean(message), field },
            ProviderError::RateLimited { message, retry_after } => {
                ProviderError::RateLimited { message: clean(message), retry_after }
            }
            own @ ProviderError::Overloaded { .. } => own,
            ProviderError::ContentPolicy(text) => ProviderError::ContentPolicy(clean(text)),
            ProviderError::Credentials(text) => ProviderError::Credentials(clean(text)),
            ProviderError::NotSupported(text) => ProviderError::NotSupported(clean(text)),
            ProviderError::Timeout(text) => ProviderError::Timeout(clean(text)),
            ProviderError::Unreachable(text) => ProviderError::Unreachable(clean(text)),
            ProviderError::Unavailable(text) => ProviderError::Unavailable(clean(text)),
            ProviderError::Broken(text) => ProviderError::Broken(clean(text)),
            ProviderError::Unreadable(text) => ProviderError::Unreadable(clean(text)),
        }
    }
}

/// The earlier of a limit from now and the caller's deadline.
pub(crate) fn until(limit: Duration, deadline: Option<Instant>) -> Instant {
    let limit = Instant::now() + limit;
    deadline.map_or(limit, |deadline| deadline.min(limit))
}

/// Waits for `work`, but no longer than `until`.
pub(crate) async fn within<T>(until: Instant, work: impl Future<Output = T>) -> Result<T, ProviderError> {
    timeout_at(until, work).await.map_err(|_| ProviderError::Timeout("the upstream did not answer in time".to_owned()))
}

async fn read_up_to(mut response: Response, most: usize) -> Result<Vec<u8>, reqwest::Error> {
    let expected = response.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
    let mut body = Vec::with_capacity(expected.min(most));
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk[..chunk.len().min(most - body.len())]);
        if body.len() == most {
            break;
        }
    }
    Ok(body)
}
