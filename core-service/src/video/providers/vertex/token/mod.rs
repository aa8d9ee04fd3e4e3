//! The access token of a service account (OAuth 2.0, RFC 7523): a signed assertion is exchanged for it at Google's token
//! endpoint. It is cached until shortly before it expires, and only one exchange is in progress at a time.

use std::{fmt, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use tokio::{sync::Mutex, time::Instant};
use url::{Position, form_urlencoded};

use super::super::common::exchange::{Content, Response, exchange};
use crate::{
    context::RequestContext,
    error::ProviderError,
    json::members::read_object,
    service_account::ServiceAccount,
    upstream::{Auth, SetupError, Timeouts, Upstream, retry_after, until, within},
    video::time::{Clock, Timestamp},
};

/// The `grant_type` of RFC 7523.
const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// How long before its expiry a token is renewed, so that it does not expire while a request is sent.
const RENEWAL_MARGIN: Duration = Duration::from_mins(1);
/// The length in bytes of the shortest token that is removed from texts of an upstream. A shorter one could be a part of other
/// words.
const MIN_REMOVED_BYTES: usize = 8;

/// The access tokens of a service account.
#[derive(Debug)]
pub(super) struct Tokens {
    account: ServiceAccount,
    /// The origin of the token endpoint.
    endpoint: Upstream,
    /// The path of the token endpoint, and its query.
    path: String,
    clock: Clock,
    /// Locked during an exchange, so that there is one at a time.
    latest: Mutex<Latest>,
}

/// The result of the latest exchange.
#[derive(Debug, Default)]
struct Latest {
    token: Option<Token>,
    /// When the exchange failed, and why.
    failure: Option<(Instant, ProviderError)>,
}

/// An access token. Its `Debug` output does not contain it.
#[derive(Clone)]
pub(super) struct Token {
    text: Arc<str>,
    /// When a new token is requested instead of this one.
    renewal: Timestamp,
}

impl Tokens {
    /// Prepares exchanges at the token URI of the account.
    ///
    /// # Errors
    /// [`SetupError`] if no requests can be sent to the token URI.
    pub(super) fn new(account: ServiceAccount, timeouts: Timeouts, clock: Clock) -> Result<Self, SetupError> {
        let uri = account.token_uri();
        let path = uri[Position::BeforePath..Position::AfterQuery].trim_start_matches('/').to_owned();
        let mut base = uri.clone();
        base.set_path("/");
        base.set_query(None);
        base.set_fragment(None);
        let endpoint = Upstream::new(base, Auth::None, timeouts)?;
        Ok(Self { account, endpoint, path, clock, latest: Mutex::default() })
    }

    /// Returns the cached token, or a new one.
    ///
    /// # Errors
    /// [`ProviderError::Credentials`] if the endpoint refuses the account; otherwise [`ProviderError::Unavailable`]. Vertex AI
    /// has not received the request of the call in either case.
    pub(super) async fn get(&self, context: &RequestContext) -> Result<Token, ProviderError> {
        let began = Instant::now();
        let deadline = until(self.endpoint.timeouts.first_byte, context.deadline);
        let mut latest = within(deadline, Box::pin(self.latest.lock())).await.map_err(|error| unavailable(&error))?;
        if let Some(token) = latest.token.as_ref().filter(|token| self.clock.now() < token.renewal) {
            return Ok(token.clone());
        }
        // Calls that waited for an exchange share its failure.
        if let Some((_, error)) = latest.failure.as_ref().filter(|(time, _)| *time >= began) {
            return Err(error.clone());
        }
        let exchanged = self.exchange(context).await;
        *latest = match &exchanged {
            Ok(token) => Latest { token: Some(token.clone()), failure: None },
            Err(error) => Latest { token: None, failure: Some((Instant::now(), error.clone())) },
        };
        exchanged
    }

    /// Removes a token that the API refused, unless it was replaced already.
    pub(super) async fn forget(&self, token: &Token) {
        self.latest.lock().await.token.take_if(|latest| latest.text == token.text);
    }

    /// Requests a new token.
    async fn exchange(&self, context: &RequestContext) -> Result<Token, ProviderError> {
        let now = self.clock.now();
        let issued_at_seconds = u64::try_from(now.0.div_euclid(1000)).unwrap_or(0);
        let assertion = self.account.assertion(issued_at_seconds).ok_or_else(|| {
            ProviderError::Credentials("the private key of the service account cannot sign a token".to_owned())
        })?;
        let message = form(&assertion);
        // The idempotency key of the call is for Vertex AI, not for the token endpoint.
        let context = RequestContext { idempotency_key: String::new(), ..context.clone() };
        let response = exchange(&self.endpoint, Method::POST, &self.path, Some(message), &context).await;
        let response = response.map_err(|error| unavailable(&error))?;
        if !response.status.is_success() {
            return Err(self.endpoint.redacted(refusal(&response, &assertion)));
        }
        let unreadable = || unavailable("the response of the token endpoint has no access token");
        let (text, lifetime) = read_object(&response.body, |members| {
            (members.string("access_token").map(|text| Arc::from(&*text)), members.number("expires_in"))
        })
        .map_err(|_| unreadable())?;
        let text: Arc<str> = text.ok_or_else(unreadable)?;
        // Without a lifetime, the token is used for this call only.
        let lifetime = Duration::from_secs(lifetime.unwrap_or(0));
        let token = Token { text, renewal: now.after(lifetime.saturating_sub(RENEWAL_MARGIN)) };
        if token.header_value().is_none() {
            return Err(unreadable());
        }
        Ok(token)
    }
}

impl Token {
    /// Returns the value of the header `authorization`; `None` if HTTP cannot carry it.
    pub(super) fn header_value(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::try_from(format!("Bearer {}", self.text)).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// Returns the header with the token.
    pub(super) fn headers(&self) -> HeaderMap {
        self.header_value().map(|value| (header::AUTHORIZATION, value)).into_iter().collect()
    }

    /// Returns `text`, the response of an upstream, with the token replaced by `***`; `None` if the text does not
    /// contain it, or the token is too short.
    pub(super) fn removed_from(&self, text: &[u8]) -> Option<String> {
        if self.text.len() < MIN_REMOVED_BYTES {
            return None;
        }
        let text = str::from_utf8(text).ok().filter(|text| text.contains(&*self.text))?;
        Some(text.replace(&*self.text, "***"))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("renewal", &self.renewal).finish_non_exhaustive()
    }
}

/// Encodes the request for a token.
fn form(assertion: &str) -> Content {
    let mut form = form_urlencoded::Serializer::new(String::new());
    let body = form.append_pair("grant_type", GRANT_TYPE).append_pair("assertion", assertion).finish();
    Content { content_type: HeaderValue::from_static("application/x-www-form-urlencoded"), body: body.into() }
}

/// Returns the failure that an error of the token endpoint describes (RFC 6749, 5.2).
fn refusal(response: &Response, assertion: &str) -> ProviderError {
    let Response { status, headers, body } = response;
    let reason = read_object(body, |members| {
        let reason = members.string("error_description").or_else(|| members.string("error"));
        reason.map(|reason| reason.replace(assertion, "***"))
    });
    let reason = reason.ok().flatten().map_or_else(String::new, |reason| format!(": {reason}"));
    let message = format!("the token endpoint responded with status {}{reason}", status.as_u16());
    let is_temporary = matches!(*status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
    if status.is_client_error() && !is_temporary {
        return ProviderError::Credentials(message);
    }
    ProviderError::Unavailable { message: without_token(message), retry_after: retry_after(headers) }
}

/// Returns the error of a call without a token, which can be retried.
fn unavailable(cause: impl fmt::Display) -> ProviderError {
    ProviderError::unavailable(without_token(cause))
}

/// Returns the message of a call that was not sent, because there is no token.
fn without_token(cause: impl fmt::Display) -> String {
    format!("no access token for the provider: {cause}")
}

#[cfg(test)]
mod tests;
