//! Middleware around every gRPC call: request id, span, authentication, deadline, shutdown, and conversion of panics.
//!
//! A shutdown has two stages ([`Drain`]): it begins with the drain, in which calls in flight may finish; the cut-off ends those that
//! have not.

mod body;
mod metrics;
mod record;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::{FutureExt, future::BoxFuture};
use http::{HeaderName, HeaderValue, Request, Response};
use http_server::{Drain, PeerAddress};
use tokio_util::sync::CancellationToken;
use tonic::{Status, body::Body, metadata::MetadataMap};
use tower::{Layer, Service};
use tracing::{Instrument, field, warn_span};
use triptych_telemetry::{
    CallReport, Client,
    trace::{self, OpenSpan},
};

use self::{
    body::CallBody,
    metrics::CallMetrics,
    record::{CallRecord, grpc_code},
};
use crate::{
    context::{KnownMetadata, REQUEST_ID_HEADER},
    error::{Error, ProviderError},
    keys::Keys,
};

/// The addresses that proxies report, for the access log only.
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Wraps the services of the gRPC server in [`CallService`].
#[derive(Debug, Clone)]
pub(super) struct CallLayer {
    drain: Drain,
    keys: Keys,
    metrics: Arc<CallMetrics>,
}

/// The methods whose streams only observe: they can last for hours, and clients can reconnect without loss, so that they end
/// when the drain begins.
const OBSERVERS: [&str; 2] = ["/triptych.v1.VideoService/WatchVideo", "/triptych.v1.ResponseService/ResumeResponse"];

/// Returns whether a method requires an API key. Media reads do not: the key of the media file grants access.
fn requires_key(path: &str) -> bool {
    path.starts_with("/triptych.v1.") && !path.starts_with("/triptych.v1.MediaService/")
}

impl CallLayer {
    pub(super) fn new(drain: Drain, keys: Keys) -> Self {
        let descriptors = [
            triptych_proto::DESCRIPTORS,
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
        ];
        Self { drain, keys, metrics: Arc::new(CallMetrics::new(&descriptors)) }
    }
}

impl<S> Layer<S> for CallLayer {
    type Service = CallService<S>;

    fn layer(&self, inner: S) -> CallService<S> {
        CallService { inner, drain: self.drain.clone(), keys: self.keys.clone(), metrics: self.metrics.clone() }
    }
}

/// The middleware around one service.
#[derive(Debug, Clone)]
pub(super) struct CallService<S> {
    inner: S,
    drain: Drain,
    keys: Keys,
    metrics: Arc<CallMetrics>,
}

impl<S> Service<Request<Body>> for CallService<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Send,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let metadata = MetadataMap::from_headers(std::mem::take(request.headers_mut()));
        let known = KnownMetadata::from_metadata(&metadata);
        let (id, deadline) = (known.request_id(), known.deadline());
        // `request_id` returns graphic ASCII only, so the fallback is never used.
        let header = HeaderValue::from_str(&id).unwrap_or(HeaderValue::from_static("invalid"));
        let method = request.uri().path().trim_start_matches('/').to_owned();
        let forwarded_for = metadata.as_ref().get(X_FORWARDED_FOR).cloned();
        let client = request.extensions().get().map(|peer| match peer {
            PeerAddress::Ip(address) => Client::Ip(*address),
            PeerAddress::UnixSocket => Client::UnixSocket,
        });
        let trace_span = trace::is_enabled().then(|| OpenSpan::server(&method, known.span_parent().as_ref())).flatten();
        let report = CallReport::with_span(client, trace_span);
        request.extensions_mut().insert(report.clone());
        // At the level `warn`, so that warnings and errors have the request id even if the filter excludes lower levels.
        let span = warn_span!("call", request.id = id, rpc.method = method, caller = field::Empty);
        let record =
            CallRecord::new(span.clone(), header.clone(), report.clone(), method, forwarded_for, self.metrics.clone());
        // Before the message is read, so that unauthenticated clients cannot send large messages.
        if requires_key(request.uri().path()) {
            match span.in_scope(|| self.keys.authenticate(&metadata)) {
                Ok(caller) => {
                    if let Some(name) = caller.name() {
                        report.set_caller(name);
                        caller.report_rate_limits(&report);
                    }
                    caller.attach(request.extensions_mut());
                }
                Err(error) => return Box::pin(async move { Ok(record.fail(error.into())) }),
            }
        }
        *request.headers_mut() = metadata.into_headers();
        // The services read the id from the metadata, as they do for calls within the process.
        request.headers_mut().insert(REQUEST_ID_HEADER, header.clone());

        // The transport ends a call at its deadline as well, but as CANCELLED. This timer is created first, so it wins.
        let timeout = deadline.map(|deadline| Box::pin(tokio::time::sleep_until(deadline)));
        let Drain { announced: _, draining, cut_off } = &self.drain;
        let cut_off = if OBSERVERS.contains(&request.uri().path()) { draining.clone() } else { cut_off.clone() };
        let handler = catch_unwind(AssertUnwindSafe(|| span.in_scope(|| self.inner.call(request))));
        Box::pin(
            async move {
                let handler = match handler {
                    Ok(future) => AssertUnwindSafe(future).catch_unwind(),
                    Err(panic) => return Ok(fail_with_panic(record, &*panic)),
                };
                let timeout = async {
                    match timeout {
                        Some(timeout) => timeout.await,
                        None => std::future::pending().await,
                    }
                };
                let mut response = tokio::select! {
                    biased;
                    result = handler => match result {
                        Ok(Ok(response)) => response,
                        Ok(Err(error)) => return Err(error),
                        Err(panic) => return Ok(fail_with_panic(record, &*panic)),
                    },
                    () = timeout => return Ok(record.fail(deadline_exceeded())),
                    () = cut_off.cancelled() => return Ok(record.fail(Error::ShuttingDown.into())),
                };
                response.headers_mut().insert(REQUEST_ID_HEADER, header);
                record.add_default_headers(response.headers_mut());
                Ok(observe(response, cut_off, record))
            }
            .instrument(span),
        )
    }
}

/// Wraps the body, whose end can come long after the headers if it is a stream.
fn observe(response: Response<Body>, cut_off: CancellationToken, mut record: CallRecord) -> Response<Body> {
    if let Some(code) = grpc_code(response.headers()) {
        record.log(code);
    }
    response.map(|body| Body::new(CallBody::new(body, cut_off, record)))
}

fn fail_with_panic(record: CallRecord, panic: &(dyn std::any::Any + Send)) -> Response<Body> {
    let status = record.panicked(panic);
    record.fail(status)
}

fn deadline_exceeded() -> Status {
    Error::from(ProviderError::Timeout("the deadline of the call was exceeded".to_owned())).into()
}

#[cfg(test)]
mod tests;
