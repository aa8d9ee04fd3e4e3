//! One HTTP upstream: sending, limits, and what its failures mean.

mod connect;
mod exchange;
mod failure;
mod framing;
mod head;
mod pool;

use std::{
    future::{Future, poll_fn},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, timeout, timeout_at};
use url::Url;

pub(crate) use exchange::{Broken, Reply};
pub(crate) use failure::{failure_in_reply, failure_of};

pub(crate) use openai_dialect::sse::{Event, EventReader, EventTooLong};

use self::{
    connect::Connector,
    exchange::{Connection, Unanswered},
    pool::Pool,
};
use crate::{call::Call, context::REQUEST_ID, error::ProviderError};

/// Longest reply that is read whole.
const MAX_REPLY: usize = 64 << 20;
/// Longest error body that is read, and how long it may take; the status alone tells most.
const MAX_FAILURE: usize = 64 << 10;
const FAILURE_WORDS: Duration = Duration::from_secs(2);
/// Longest message of an upstream that is passed on, in bytes. It travels in a header of gRPC, where letters beyond ASCII
/// take three times as much, and maybe once more beside it; clients accept 8 to 16 KiB of headers.
const MAX_MESSAGE: usize = 1500;
const USER_AGENT: &str = concat!("triptych/", env!("CARGO_PKG_VERSION"));

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

/// How an upstream knows who calls.
#[derive(Debug, Clone, Default)]
pub enum Auth {
    /// It does not.
    #[default]
    None,
    /// By `Authorization: Bearer`.
    Bearer(SecretString),
    /// By a header of its own.
    Header(HeaderName, SecretString),
}

/// An upstream. Cheap to clone and to call: connections are kept and shared.
#[derive(Clone)]
pub(crate) struct Upstream {
    host: Arc<Host>,
    pub(crate) limits: Limits,
    /// Whether its `insufficient_quota` with status 429 means: slower.
    pub(crate) quota_is_a_pace: bool,
}

struct Host {
    connector: Connector,
    pool: Arc<Pool>,
    base: Url,
    /// What paths such as `chat/completions` are appended to: a path, or a whole address where a proxy reads it.
    prefix: String,
    /// What goes with every request.
    headers: HeaderMap,
    key: Option<SecretString>,
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstream").field("base", &self.host.base.as_str()).finish_non_exhaustive()
    }
}

/// Why an upstream could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The key holds characters that no HTTP header can carry.
    #[error("the key holds characters that no HTTP header can carry")]
    Key,
    /// The address cannot be asked for.
    #[error("`{0}` is no address that can be asked over HTTP")]
    Address(Url),
    /// The environment names a proxy that cannot be used.
    #[error("the proxy that HTTPS_PROXY, HTTP_PROXY or ALL_PROXY names must be an http:// address")]
    Proxy,
    /// The system's certificates cannot be used.
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
}

impl Upstream {
    /// `base` is the address that paths such as `chat/completions` are appended to.
    pub(crate) fn new(mut base: Url, auth: Auth, limits: Limits) -> Result<Self, SetupError> {
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let address = |text: &str| Uri::try_from(text).map_err(|_| SetupError::Address(base.clone()));
        let whole = address(&base[..url::Position::AfterPath])?;
        let connector = Connector::new(address(&base[..url::Position::BeforePath])?)?;
        let host = &base[url::Position::BeforeHost..url::Position::AfterPort];
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(header::HOST, HeaderValue::try_from(host).map_err(|_| SetupError::Address(base.clone()))?);
        headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        if let Some(authorization) = connector.proxy_authorization() {
            headers.insert(header::PROXY_AUTHORIZATION, authorization.clone());
        }
        let (name, value, key) = match auth {
            Auth::None => (header::AUTHORIZATION, None, None),
            Auth::Bearer(key) => (header::AUTHORIZATION, Some(format!("Bearer {}", key.expose_secret())), Some(key)),
            Auth::Header(name, key) => (name, Some(key.expose_secret().to_owned()), Some(key)),
        };
        if let Some(value) = value {
            let mut value = HeaderValue::try_from(value).map_err(|_| SetupError::Key)?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let prefix = if connector.forwards() { whole.to_string() } else { whole.path().to_owned() };
        let host = Host { connector, pool: Arc::default(), base, prefix, headers, key };
        Ok(Self { host: Arc::new(host), limits, quota_is_a_pace: false })
    }

    /// The same, not shared yet, with these headers in every request; they replace what it would say under their names.
    pub(crate) fn with_headers(mut self, headers: &HeaderMap) -> Self {
        if let Some(host) = Arc::get_mut(&mut self.host) {
            host.headers.extend(headers.clone());
        }
        self
    }

    /// Posts a JSON body and answers once the headers of a successful reply are there.
    pub(crate) async fn post_json<R>(
        &self,
        path: &str,
        call: &Call<R>,
        body: Vec<u8>,
        until: Instant,
    ) -> Result<Reply, ProviderError> {
        self.post(path, call, HeaderValue::from_static("application/json"), body.into(), until).await
    }

    /// Posts a body of this type and answers once the headers of a successful reply are there.
    pub(crate) async fn post<R>(
        &self,
        path: &str,
        call: &Call<R>,
        content_type: HeaderValue,
        body: Bytes,
        until: Instant,
    ) -> Result<Reply, ProviderError> {
        let mut headers = HeaderMap::with_capacity(4);
        headers.insert(header::CONTENT_TYPE, content_type);
        if let Ok(id) = HeaderValue::try_from(&call.context.request_id) {
            headers.insert(REQUEST_ID, id);
        }
        if !call.context.idempotency_key.is_empty()
            && let Ok(key) = HeaderValue::try_from(&call.context.idempotency_key)
        {
            headers.insert("idempotency-key", key);
        }
        let reply = self.send(Method::POST, path, headers, body, until).await?;
        if reply.status.is_success() {
            return Ok(reply);
        }
        let (status, headers) = (reply.status, reply.headers.clone());
        // Where the words are lost, the status alone tells what happened.
        let until = until.min(Instant::now() + FAILURE_WORDS);
        let body = within(until, read_up_to(reply, MAX_FAILURE)).await.ok().and_then(Result::ok).unwrap_or_default();
        Err(self.redacted(failure_of(status, &headers, &body, self.quota_is_a_pace)))
    }

    /// Sends a request and answers once the headers of a reply are there, whatever its status. `path` follows the base
    /// address and may hold a query; `headers` are added to those that every request has.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
        until: Instant,
    ) -> Result<Reply, ProviderError> {
        let unreachable = || ProviderError::Unreachable("the upstream cannot be reached".to_owned());
        let broken = || ProviderError::Broken("the connection to the upstream broke".to_owned());
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = Uri::try_from([&self.host.prefix, path].concat()).map_err(|_| unreachable())?;
        request.headers_mut().clone_from(&self.host.headers);
        request.headers_mut().extend(headers);
        let sending = async {
            // A kept connection may be closed from afar in the moment it is used; nothing is lost by that.
            while let Some(kept) = self.host.pool.take() {
                match kept.send(&request, self.host.pool.clone()).await {
                    Ok(reply) => return Ok(reply),
                    Err(Unanswered::Unsent) => {}
                    Err(Unanswered::Broken) => return Err(broken()),
                }
            }
            let connection = self.connect().await.ok_or_else(unreachable)?;
            connection.send(&request, self.host.pool.clone()).await.map_err(|unanswered| match unanswered {
                Unanswered::Unsent => unreachable(),
                Unanswered::Broken => broken(),
            })
        };
        within(until, sending).await?
    }

    /// A new connection, within its time. Why there is none is for the operator: callers never learn the address.
    async fn connect(&self) -> Option<Connection> {
        match timeout(self.limits.connect, self.host.connector.connect()).await {
            Ok(Ok(io)) => Some(Connection::new(io)),
            Ok(Err(error)) => {
                tracing::debug!(upstream = %self.host.base, %error, "the upstream cannot be reached");
                None
            }
            Err(_) => {
                tracing::debug!(upstream = %self.host.base, "the upstream cannot be reached in time");
                None
            }
        }
    }

    /// The whole body of a reply.
    pub(crate) async fn body(&self, reply: Reply, until: Instant) -> Result<Bytes, ProviderError> {
        match within(until, read_up_to(reply, MAX_REPLY)).await? {
            Ok(body) if body.len() >= MAX_REPLY => {
                Err(ProviderError::Unreadable(format!("the upstream's answer is longer than {MAX_REPLY} bytes")))
            }
            Ok(body) => Ok(body),
            Err(Broken) => Err(ProviderError::Broken(Broken.to_string())),
        }
    }

    /// The failure as it may be told: no longer than [`MAX_MESSAGE`], and without our key, should the upstream quote it.
    pub(crate) fn redacted(&self, error: ProviderError) -> ProviderError {
        let key = self.host.key.as_ref().map(ExposeSecret::expose_secret).filter(|key| key.len() >= 4);
        let clean = |text: String| match key {
            Some(key) => shortened(text.replace(key, "***")),
            None => shortened(text),
        };
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
            ProviderError::Unavailable { message, retry_after } => {
                ProviderError::Unavailable { message: clean(message), retry_after }
            }
            ProviderError::Broken(text) => ProviderError::Broken(clean(text)),
            ProviderError::Unreadable(text) => ProviderError::Unreadable(clean(text)),
        }
    }
}

impl From<EventTooLong> for ProviderError {
    fn from(error: EventTooLong) -> Self {
        Self::Unreadable(error.to_string())
    }
}

/// The earlier of a limit from now and the caller's deadline.
pub(crate) fn until(limit: Duration, deadline: Option<Instant>) -> Instant {
    let limit = Instant::now() + limit;
    deadline.map_or(limit, |deadline| deadline.min(limit))
}

/// Waits for `work`, but no longer than `until`. No `async fn`: that would hold the work twice, once as its argument.
pub(crate) fn within<T>(
    until: Instant,
    work: impl Future<Output = T>,
) -> impl Future<Output = Result<T, ProviderError>> {
    let late = |_| ProviderError::Timeout("the upstream did not answer in time".to_owned());
    timeout_at(until, work).map(move |ended| ended.map_err(late))
}

fn shortened(mut message: String) -> String {
    if message.len() > MAX_MESSAGE {
        message.truncate(message.floor_char_boundary(MAX_MESSAGE));
        message.push_str("...");
    }
    message
}

/// At most that much of a body.
async fn read_up_to(mut reply: Reply, most: usize) -> Result<Bytes, Broken> {
    let mut body = Vec::new();
    while body.len() < most && poll_fn(|cx| reply.poll_body(cx, |data| body.extend_from_slice(data))).await? {}
    body.truncate(most);
    Ok(body.into())
}

#[cfg(test)]
mod tests;
