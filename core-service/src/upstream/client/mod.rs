//! The client of one upstream.

use std::{future::poll_fn, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Uri, header};
use openai_dialect::sse::EventTooLong;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, timeout};
use url::Url;

use super::{
    body::ConnectionLost,
    connect::Connector,
    connection::Connection,
    deadline::within,
    diagnosis::ConnectFailure,
    exchange::{self, SendError, UpstreamResponse},
    failure::{QuotaMeaning, parse_error_response},
    pool::Pool,
    settings::{Auth, SetupError, Timeouts},
};
use crate::{
    call::Call,
    context::RequestContext,
    error::{ProviderError, UpstreamDetails},
};

/// The longest response body that is read as a whole, in bytes.
const MAX_BODY: usize = 64 << 20;
/// The longest error body that is read, in bytes.
const MAX_ERROR_BODY: usize = 64 << 10;
/// How long an error body may take. If it does not arrive, the status alone classifies the failure.
const ERROR_BODY_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest upstream message that is passed on, in bytes. It travels in a gRPC header, where non-ASCII bytes are
/// percent-encoded to three times their length, and possibly once more in the error details; clients accept 8 to 16 KiB
/// of headers.
const MAX_MESSAGE: usize = 1500;
/// The shortest key that is removed from messages, in bytes; a shorter one could be part of an ordinary word.
const MIN_REDACTED_KEY: usize = 4;
const USER_AGENT: &str = concat!("triptych/", env!("CARGO_PKG_VERSION"));

/// An HTTP client of one upstream. Clones share its connections.
#[derive(Clone)]
pub(crate) struct Upstream {
    host: Arc<Host>,
    pub(crate) timeouts: Timeouts,
    pub(crate) quota: QuotaMeaning,
}

/// The upstream's address, credentials and connections, which clones share.
struct Host {
    connector: Connector,
    pool: Arc<Pool>,
    base: Url,
    /// The beginning of every request target: the path of `base`, or all of `base` where a proxy has to read it.
    prefix: String,
    /// The query of `base`, which follows every request path; may contain a key.
    query: Option<String>,
    /// Headers of every request.
    headers: HeaderMap,
    /// The credentials, which are removed from messages.
    key: Option<SecretString>,
}

impl Host {
    /// Returns the target of a request for `path`, which may contain a query.
    fn target(&self, path: &str) -> String {
        let query = self.query.as_deref();
        let separator = query.map_or("", |_| if path.contains('?') { "&" } else { "?" });
        [&self.prefix, path, separator, query.unwrap_or_default()].concat()
    }
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstream").field("base", &self.host.base.as_str()).finish_non_exhaustive()
    }
}

impl Upstream {
    /// Creates a client. Request paths such as `chat/completions` are appended to the path of `base`, and its query, such as
    /// `api-version=1`, to every request.
    ///
    /// # Errors
    /// A key or an address that HTTP cannot carry; an unusable proxy or TLS configuration. Connects to nothing.
    pub(crate) fn new(mut base: Url, auth: Auth, timeouts: Timeouts) -> Result<Self, SetupError> {
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let query = base.query().filter(|query| !query.is_empty()).map(str::to_owned);
        base.set_query(None);
        let uri = |text: &str| Uri::try_from(text).map_err(|_| SetupError::Address(base.clone()));
        let absolute = uri(&base[..url::Position::AfterPath])?;
        let connector = Connector::new(uri(&base[..url::Position::BeforePath])?)?;
        let host = &base[url::Position::BeforeHost..url::Position::AfterPort];
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(header::HOST, HeaderValue::try_from(host).map_err(|_| SetupError::Address(base.clone()))?);
        headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        // Without it, RFC 9110 allows any coding. Responses that are compressed anyway are decompressed.
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let Some(authorization) = connector.proxy_authorization() {
            headers.insert(header::PROXY_AUTHORIZATION, authorization.clone());
        }
        let (name, value, key) = match auth {
            Auth::None => (header::AUTHORIZATION, None, None),
            Auth::Bearer(key) => (header::AUTHORIZATION, Some(format!("Bearer {}", key.expose_secret())), Some(key)),
            Auth::Scheme(scheme, key) => {
                (header::AUTHORIZATION, Some(format!("{scheme} {}", key.expose_secret())), Some(key))
            }
            Auth::Header(name, key) => (name, Some(key.expose_secret().to_owned()), Some(key)),
        };
        if let Some(value) = value {
            let mut value = HeaderValue::try_from(value).map_err(|_| SetupError::Key)?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let prefix = if connector.is_forward_proxy() { absolute.to_string() } else { absolute.path().to_owned() };
        let host = Host { connector, pool: Arc::default(), base, prefix, query, headers, key };
        Ok(Self { host: Arc::new(host), timeouts, quota: QuotaMeaning::EmptyAccount })
    }

    /// Adds these headers to every request; they replace the client's own of the same name. Must be called before the
    /// client is cloned.
    pub(crate) fn with_headers(mut self, headers: &HeaderMap) -> Self {
        if let Some(host) = Arc::get_mut(&mut self.host) {
            host.headers.extend(headers.clone());
        }
        self
    }

    /// Posts a JSON body. See [`post`](Self::post).
    pub(crate) async fn post_json<R>(
        &self,
        path: &str,
        call: &Call<R>,
        body: Vec<u8>,
        until: Instant,
    ) -> Result<UpstreamResponse, ProviderError> {
        self.post(path, call, HeaderValue::from_static("application/json"), body.into(), until).await
    }

    /// Posts a body of this content type and returns the response once its head has arrived. Request id, idempotency key
    /// and trace context of the call travel as headers.
    ///
    /// # Errors
    /// A response without a 2xx status, as the failure that its status, headers and body describe; otherwise as
    /// [`send`](Self::send).
    pub(crate) async fn post<R>(
        &self,
        path: &str,
        call: &Call<R>,
        content_type: HeaderValue,
        body: Bytes,
        until: Instant,
    ) -> Result<UpstreamResponse, ProviderError> {
        let reply = self.send(Method::POST, path, call_headers(call, content_type), body, until).await?;
        if reply.status.is_success() {
            return Ok(reply);
        }
        let (status, headers) = (reply.status, reply.headers.clone());
        let until = until.min(Instant::now() + ERROR_BODY_TIMEOUT);
        let body = within(until, read_up_to(reply, MAX_ERROR_BODY)).await.ok().and_then(Result::ok).unwrap_or_default();
        Err(self.redacted(parse_error_response(status, &headers, &body, self.quota)))
    }

    /// Sends a request and returns the response once its head has arrived, whatever its status. `path` is appended to the
    /// base address and may contain a query; `headers` are added to those of every request.
    ///
    /// # Errors
    /// [`ProviderError::Unreachable`] if nothing of the request was sent; [`ProviderError::Broken`] if the connection was
    /// lost after that; [`ProviderError::Timeout`].
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
        until: Instant,
    ) -> Result<UpstreamResponse, ProviderError> {
        let unreachable = || ProviderError::Unreachable("the upstream cannot be reached".to_owned());
        let lost = || ProviderError::Broken(ConnectionLost.to_string());
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = Uri::try_from(self.host.target(path)).map_err(|_| unreachable())?;
        *request.headers_mut() = headers;
        // Pinned here, because `within` would copy it several times.
        let sending = pin!(async {
            // The upstream may close a pooled connection at the moment of its use. As long as nothing was written, the
            // next connection takes the request.
            while let Some(pooled) = self.host.pool.take() {
                match exchange::send(pooled, &self.host.headers, &request, self.host.pool.clone()).await {
                    Ok(reply) => return Ok(reply),
                    Err(SendError::NotSent) => {}
                    Err(SendError::ConnectionLost) => {
                        self.host.pool.report_broken_reuse();
                        return Err(lost());
                    }
                }
            }
            // Boxed: rare, and of several kilobytes, which every future around it would copy.
            let connection = Box::pin(self.connect()).await.ok_or_else(unreachable)?;
            let sent = exchange::send(connection, &self.host.headers, &request, self.host.pool.clone()).await;
            sent.map_err(|error| match error {
                SendError::NotSent => {
                    tracing::warn!(upstream = %self.host.base, "the upstream closed a new connection");
                    unreachable()
                }
                SendError::ConnectionLost => lost(),
            })
        });
        within(until, sending).await.flatten()
    }

    /// Returns the address of the upstream, without the query of its base URL, for the log.
    pub(crate) fn address(&self) -> &str {
        self.host.base.as_str()
    }

    /// Opens a connection within the connect timeout. The cause of a failure is logged for the operator only: callers must
    /// not learn the address.
    async fn connect(&self) -> Option<Connection> {
        match timeout(self.timeouts.connect, self.host.connector.connect()).await {
            Ok(Ok(io)) => Some(Connection::new(io)),
            Ok(Err(error)) => {
                let error = causes(&*error);
                tracing::warn!(upstream = %self.host.base, error, "cannot connect to the upstream");
                None
            }
            Err(_) => {
                let seconds = self.timeouts.connect.as_secs_f64();
                tracing::warn!(upstream = %self.host.base, seconds, "connecting to the upstream timed out");
                None
            }
        }
    }

    /// Opens a connection and closes it, for a diagnosis.
    pub(crate) async fn check_connection(&self) -> Result<(), ConnectFailure> {
        match timeout(self.timeouts.connect, self.host.connector.connect()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(ConnectFailure::classify(&*error)),
            Err(_) => Err(ConnectFailure::Timeout(self.timeouts.connect)),
        }
    }

    /// Reads the body of a response to its end.
    pub(crate) async fn body(&self, reply: UpstreamResponse, until: Instant) -> Result<Bytes, ProviderError> {
        match within(until, pin!(read_up_to(reply, MAX_BODY))).await? {
            Ok(body) if body.len() >= MAX_BODY => {
                Err(ProviderError::Unreadable(format!("the upstream's response is longer than {MAX_BODY} bytes")))
            }
            Ok(body) => Ok(body),
            Err(ConnectionLost) => Err(ProviderError::Broken(ConnectionLost.to_string())),
        }
    }

    /// Makes the message of a failure fit for callers: removes the key, should the upstream quote it, and cuts the
    /// message after [`MAX_MESSAGE`] bytes.
    pub(crate) fn redacted(&self, error: ProviderError) -> ProviderError {
        let key = self.host.key.as_ref().map(ExposeSecret::expose_secret).filter(|key| key.len() >= MIN_REDACTED_KEY);
        let query = self.host.query.as_deref().filter(|query| query.len() >= MIN_REDACTED_KEY);
        let redact = |text: String| key.into_iter().chain(query).fold(text, |text, secret| text.replace(secret, "***"));
        let clean = |text: String| truncated(redact(text));
        match error {
            ProviderError::Reported { error, details } => {
                let UpstreamDetails { code, kind, param, members_json, status } = *details;
                let details = UpstreamDetails {
                    code: clean(code),
                    kind: clean(kind),
                    param: clean(param),
                    members_json: redact(members_json),
                    status,
                };
                ProviderError::Reported { error: Box::new(self.redacted(*error)), details: Box::new(details) }
            }
            ProviderError::Refused { message, field } => ProviderError::Refused { message: clean(message), field },
            ProviderError::RateLimited { message, retry_after } => {
                ProviderError::RateLimited { message: clean(message), retry_after }
            }
            overloaded @ ProviderError::Overloaded { .. } => overloaded,
            ProviderError::ContentPolicy(text) => ProviderError::ContentPolicy(clean(text)),
            ProviderError::Credentials(text) => ProviderError::Credentials(clean(text)),
            ProviderError::NotSupported(text) => ProviderError::NotSupported(clean(text)),
            ProviderError::Timeout(text) => ProviderError::Timeout(clean(text)),
            ProviderError::Unreachable(text) => ProviderError::Unreachable(clean(text)),
            ProviderError::Unavailable { message, retry_after } => {
                ProviderError::Unavailable { message: clean(message), retry_after }
            }
            ProviderError::Broken(text) => ProviderError::Broken(clean(text)),
            ProviderError::LinkExpired(text) => ProviderError::LinkExpired(clean(text)),
            ProviderError::Unreadable(text) => ProviderError::Unreadable(clean(text)),
        }
    }
}

impl From<EventTooLong> for ProviderError {
    fn from(error: EventTooLong) -> Self {
        Self::Unreadable(error.to_string())
    }
}

/// Returns the headers that a call adds to its upstream request.
fn call_headers<R>(call: &Call<R>, content_type: HeaderValue) -> HeaderMap {
    let mut headers = context_headers(&call.context);
    headers.insert(header::CONTENT_TYPE, content_type);
    headers
}

/// Returns the headers for the context of a call: request id, idempotency key and trace context.
pub(crate) fn context_headers(context: &RequestContext) -> HeaderMap {
    let mut headers = context.trace_headers();
    if !context.idempotency_key.is_empty()
        && let Ok(key) = HeaderValue::try_from(&context.idempotency_key)
    {
        headers.insert("idempotency-key", key);
    }
    headers
}

/// Returns the message of an error with those of its causes.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let messages = std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string);
    messages.collect::<Vec<_>>().join(": ")
}

fn truncated(mut message: String) -> String {
    if message.len() > MAX_MESSAGE {
        message.truncate(message.floor_char_boundary(MAX_MESSAGE));
        message.push_str("...");
    }
    message
}

/// Reads a body to its end, or the first `max` bytes of it.
async fn read_up_to(mut reply: UpstreamResponse, max: usize) -> Result<Bytes, ConnectionLost> {
    let mut body = Vec::new();
    // Decompressed data may be many times longer than the received data.
    let append = |body: &mut Vec<u8>, data: &[u8]| {
        body.extend_from_slice(&data[..data.len().min(max - body.len())]);
    };
    while body.len() < max && poll_fn(|cx| reply.poll_body(cx, |data| append(&mut body, data))).await? {}
    Ok(body.into())
}

#[cfg(test)]
mod tests;
