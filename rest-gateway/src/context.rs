//! What of a request crosses into the calls it makes: its id, its deadline, its key, its trace.

use axum::extract::FromRequestParts;
use http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts};
use tonic::metadata::MetadataMap;

use crate::{app::App, error::GatewayError, request_id::RequestId};

/// How long the client will wait for the answer, in milliseconds, 1 to 86,400,000. When it has passed, the call is
/// ended everywhere and answered 504.
const TIMEOUT_MS: HeaderName = HeaderName::from_static("x-request-timeout-ms");
const DAY_MS: u64 = 86_400_000;
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
/// Headers that go to the core as they are.
const PASSED_ON: [HeaderName; 6] = [
    header::AUTHORIZATION,
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("x-session-id"),
    HeaderName::from_static("x-triptych-on-disconnect"),
    // How often an official SDK has sent the request before: its silent retries join the first try.
    HeaderName::from_static("x-stainless-retry-count"),
];
/// What the core tells of the upstreams it tried, header and metadata alike.
pub(crate) const ATTEMPTS: HeaderName = HeaderName::from_static("x-triptych-attempts");

/// The part of a request that goes with each call to the core. Every handler takes one.
#[derive(Debug, Clone)]
pub struct Context {
    metadata: HeaderMap,
    idempotency_key: String,
}

impl Context {
    /// A call to the core that carries this request's id, deadline, key and trace.
    pub fn call<T>(&self, message: T) -> tonic::Request<T> {
        let metadata = MetadataMap::from_headers(self.metadata.clone());
        tonic::Request::from_parts(metadata, tonic::Extensions::default(), message)
    }

    /// The caller's idempotency key; empty where there is none.
    pub fn idempotency_key(&self) -> &str {
        &self.idempotency_key
    }

    fn of(parts: &Parts) -> Result<Self, GatewayError> {
        let mut metadata = HeaderMap::with_capacity(7);
        if let Some(RequestId(id)) = parts.extensions.get() {
            metadata.insert(crate::request_id::HEADER, id.clone());
        }
        for name in PASSED_ON {
            if let Some(value) = parts.headers.get(&name) {
                metadata.insert(name, value.clone());
            }
        }
        if let Some(asked) = parts.headers.get(TIMEOUT_MS) {
            metadata.insert(GRPC_TIMEOUT, timeout(asked)?);
        }
        let idempotency_key = match parts.headers.get(IDEMPOTENCY_KEY).map(HeaderValue::to_str) {
            None => String::new(),
            Some(Ok(key)) => key.to_owned(),
            Some(Err(_)) => {
                return Err(GatewayError::invalid_request(
                    "the Idempotency-Key header must be 1 to 255 printable ASCII characters",
                ));
            }
        };
        Ok(Self { metadata, idempotency_key })
    }
}

/// The protocol's notation of a timeout in milliseconds; it has at most eight digits, and a day fits them.
fn timeout(asked: &HeaderValue) -> Result<HeaderValue, GatewayError> {
    let millis = asked.to_str().ok().and_then(|text| text.trim().parse().ok()).filter(|ms| (1..=DAY_MS).contains(ms));
    millis.and_then(|ms: u64| HeaderValue::try_from(format!("{ms}m")).ok()).ok_or_else(|| {
        GatewayError::invalid_request(format!(
            "the {TIMEOUT_MS} header must be a number of milliseconds, 1 to {DAY_MS}"
        ))
    })
}

impl FromRequestParts<App> for Context {
    type Rejection = GatewayError;

    async fn from_request_parts(parts: &mut Parts, _app: &App) -> Result<Self, GatewayError> {
        Self::of(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(headers: &[(&str, &str)]) -> Result<Context, GatewayError> {
        let mut request = http::Request::builder().extension(RequestId(HeaderValue::from_static("req_1")));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Context::of(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn a_call_carries_the_id_the_deadline_the_key_and_the_trace() {
        let headers = [
            ("x-request-timeout-ms", "1500"),
            ("authorization", "Bearer k"),
            ("traceparent", "00-1-2-01"),
            ("cookie", "secret=1"),
        ];
        let call = context(&headers).unwrap().call(());
        let mut carried: Vec<_> = call.metadata().as_ref().iter().map(|(name, value)| (name.as_str(), value)).collect();
        carried.sort();
        let expected = [
            ("authorization", "Bearer k"),
            ("grpc-timeout", "1500m"),
            ("traceparent", "00-1-2-01"),
            ("x-request-id", "req_1"),
        ];
        assert_eq!(
            carried,
            expected.map(|(name, value)| (name, &*Box::leak(Box::new(HeaderValue::from_static(value)))))
        );
    }

    #[test]
    fn a_timeout_that_is_none_is_refused() {
        for wrong in ["0", "-1", "soon", "86400001", "1.5", ""] {
            let error = context(&[("x-request-timeout-ms", wrong)]).unwrap_err();
            assert_eq!((error.status().as_u16(), error.code()), (400, "invalid_request"), "{wrong}");
        }
    }

    #[test]
    fn an_idempotency_key_is_handed_on() {
        assert_eq!(context(&[("idempotency-key", "k-1")]).unwrap().idempotency_key(), "k-1");
        assert_eq!(context(&[]).unwrap().idempotency_key(), "");
    }
}
