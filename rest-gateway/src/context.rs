//! The context of a request, extracted from its headers, that every call to the core carries as metadata. The core is
//! the gRPC service behind the gateway.

use axum::extract::FromRequestParts;
use http::{HeaderMap, HeaderValue, request::Parts};
use tonic::metadata::MetadataMap;
use triptych_telemetry::CallReport;

use crate::{
    error::GatewayError,
    headers::{FORWARDED_TO_CORE, GRPC_TIMEOUT, IDEMPOTENCY_KEY, TRACEPARENT, X_REQUEST_ID, X_REQUEST_TIMEOUT_MS},
    request_state::RequestState,
};

/// The longest deadline that a client can set: a day.
const MAX_TIMEOUT_MS: u64 = 86_400_000;

/// Request id, deadline, trace context, idempotency key and the headers of [`FORWARDED_TO_CORE`] of a request. Every handler
/// that calls the core extracts one and builds all its calls with it.
#[derive(Debug, Clone)]
pub(crate) struct RequestContext {
    metadata: HeaderMap,
    idempotency_key: String,
    /// The report of the call, for the access log and metrics.
    report: CallReport,
}

impl RequestContext {
    /// Wraps a message in a call that carries the context as metadata. The idempotency key is not in it: it is a field
    /// of the messages that take one.
    pub(crate) fn call<T>(&self, message: T) -> tonic::Request<T> {
        self.clone().into_call(message)
    }

    /// Wraps the message of the last call. See [`call`](Self::call).
    pub(crate) fn into_call<T>(self, message: T) -> tonic::Request<T> {
        let metadata = MetadataMap::from_headers(self.metadata);
        // A core in this process completes the report. A remote core does not get it: extensions are not sent.
        let mut extensions = tonic::Extensions::default();
        extensions.insert(self.report);
        tonic::Request::from_parts(metadata, extensions, message)
    }

    /// Returns the client's idempotency key, empty if there is none.
    pub(crate) fn idempotency_key(&self) -> &str {
        &self.idempotency_key
    }

    fn from_parts(parts: &Parts) -> Result<Self, GatewayError> {
        // In addition to the forwarded headers: the request id and the deadline.
        let mut metadata = HeaderMap::with_capacity(FORWARDED_TO_CORE.len() + 2);
        let mut report = CallReport::default();
        if let Some(state) = parts.extensions.get::<RequestState>() {
            metadata.insert(X_REQUEST_ID, state.id.clone());
            report.clone_from(&state.report);
        }
        let (mut timeout, mut idempotency_key) = (None, None);
        // One pass over the few headers costs less than a look-up of each name.
        for (name, value) in &parts.headers {
            if FORWARDED_TO_CORE.contains(name) {
                // The first of several values.
                metadata.entry(name).or_insert_with(|| value.clone());
            } else if name == X_REQUEST_TIMEOUT_MS {
                timeout.get_or_insert(value);
            } else if name == IDEMPOTENCY_KEY {
                idempotency_key.get_or_insert(value);
            }
        }
        if let Some(timeout) = timeout {
            metadata.insert(GRPC_TIMEOUT, grpc_timeout(timeout)?);
        }
        // The gateway's own span, if it has one, takes the place of the client's.
        if let Some(parent) = report.trace_parent().and_then(|parent| HeaderValue::try_from(parent).ok()) {
            metadata.insert(TRACEPARENT, parent);
        }
        let idempotency_key = match idempotency_key.map(HeaderValue::to_str) {
            None => String::new(),
            // Empty: no key. The core checks the maximum length.
            Some(Ok(key)) => key.to_owned(),
            Some(Err(_)) => {
                return Err(GatewayError::invalid_request(
                    "header Idempotency-Key: expected 1 to 255 printable ASCII characters",
                ));
            }
        };
        Ok(Self { metadata, idempotency_key, report })
    }
}

/// Converts a timeout in milliseconds to gRPC's notation, at most eight digits and a unit: `1500m`. A day in
/// milliseconds fits.
fn grpc_timeout(millis: &HeaderValue) -> Result<HeaderValue, GatewayError> {
    let parsed = millis.to_str().ok().and_then(|text| text.trim().parse().ok());
    let valid = parsed.filter(|millis| (1..=MAX_TIMEOUT_MS).contains(millis));
    valid.and_then(|millis: u64| HeaderValue::try_from(format!("{millis}m")).ok()).ok_or_else(|| {
        GatewayError::invalid_request(format!(
            "header {X_REQUEST_TIMEOUT_MS} \"{}\": expected an integer, 1 to {MAX_TIMEOUT_MS}",
            millis.to_str().unwrap_or_default()
        ))
    })
}

impl<S: Send + Sync> FromRequestParts<S> for RequestContext {
    type Rejection = GatewayError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, GatewayError> {
        Self::from_parts(parts)
    }
}

#[cfg(test)]
mod tests {
    use http_server::MemoryBudget;

    use super::*;
    use crate::{
        request_memory::RequestMemory,
        routes::ROUTES,
        testing::{CoreStub, request_for, send},
    };

    fn context(headers: &[(&str, &str)]) -> Result<RequestContext, GatewayError> {
        let memory = RequestMemory::new(&MemoryBudget::new(0));
        let state = RequestState { id: HeaderValue::from_static("req_1"), memory, report: CallReport::default() };
        let mut request = http::Request::builder().extension(state);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        RequestContext::from_parts(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn call_carries_only_the_forwarded_headers() {
        let headers = [
            ("x-request-timeout-ms", "1500"),
            ("authorization", "Bearer k"),
            ("traceparent", "00-1-2-01"),
            ("cookie", "secret=1"),
        ];
        let call = context(&headers).unwrap().call(());
        let metadata = call.metadata().as_ref().iter();
        let mut carried: Vec<_> = metadata.map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        carried.sort_unstable();
        let expected = [
            ("authorization", "Bearer k"),
            ("grpc-timeout", "1500m"),
            ("traceparent", "00-1-2-01"),
            ("x-request-id", "req_1"),
        ];
        assert_eq!(carried, expected);
    }

    #[tokio::test]
    async fn every_route_that_calls_the_core_forwards_the_whole_context() {
        let headers = [
            ("x-request-id", "mine-1"),
            ("authorization", "Bearer k"),
            ("traceparent", "00-1-2-01"),
            ("tracestate", "a=b"),
            ("x-session-id", "s"),
            ("x-stainless-retry-count", "1"),
            ("x-triptych-on-disconnect", "cancel"),
        ];
        let without_core = ["/healthz", "/openapi.json"];
        for route in ROUTES.iter().filter(|route| !without_core.contains(&route.path)) {
            let core = CoreStub::default();
            let mut request = request_for(route.method, route.path);
            for (name, value) in headers.into_iter().chain([("x-request-timeout-ms", "1500")]) {
                request.headers_mut().insert(name, value.parse().unwrap());
            }
            send(&core, request).await;
            for (name, value) in headers.into_iter().chain([("grpc-timeout", "1500m")]) {
                assert_eq!(core.metadata(name).as_deref(), Some(value), "{route:?}: {name}");
            }
        }
    }

    #[test]
    fn invalid_timeout_is_refused() {
        for wrong in ["0", "-1", "soon", "86400001", "1.5", ""] {
            let error = context(&[("x-request-timeout-ms", wrong)]).unwrap_err();
            assert_eq!((error.status().as_u16(), error.code()), (400, "invalid_request"), "{wrong}");
        }
    }

    #[test]
    fn idempotency_key_is_read_from_its_header() {
        assert_eq!(context(&[("idempotency-key", "k-1")]).unwrap().idempotency_key(), "k-1");
        assert_eq!(context(&[]).unwrap().idempotency_key(), "");
    }
}
