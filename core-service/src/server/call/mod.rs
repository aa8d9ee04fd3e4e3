//! What holds for every call through the gRPC door: a request id, one span, a deadline, and no panic that spreads.

use std::{
    any::Any,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use bytes::Bytes;
use futures_util::{FutureExt, future::BoxFuture};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::{Code, Status, body::Body, metadata::MetadataMap};
use tower::{Layer, Service};
use tracing::{Instrument, Span, field, info_span};

use crate::{
    context::{self, REQUEST_ID},
    error::{Error, ProviderError},
    keys::Keys,
};

/// Wraps all services of the server.
#[derive(Debug, Clone)]
pub(crate) struct CallLayer {
    ends: Ends,
    keys: Keys,
}

/// How calls are told that the server goes down.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ends {
    /// Ends, as SHUTTING_DOWN, the streams that only look on: they may last for hours, and reconnecting is free.
    pub(crate) draining: CancellationToken,
    /// Ends all calls that are still under way, as SHUTTING_DOWN.
    pub(crate) cut: CancellationToken,
}

/// A stream that only looks on.
const WATCHING: &str = "/triptych.v1.VideoService/WatchVideo";

/// The services that ask who calls: those of the contract, but for the one to which the name of a medium is the key.
fn asks(path: &str) -> bool {
    path.starts_with("/triptych.v1.") && !path.starts_with("/triptych.v1.MediaService/")
}

impl CallLayer {
    pub(crate) fn new(ends: Ends, keys: Keys) -> Self {
        Self { ends, keys }
    }
}

impl<S> Layer<S> for CallLayer {
    type Service = Calls<S>;

    fn layer(&self, inner: S) -> Calls<S> {
        Calls { inner, ends: self.ends.clone(), keys: self.keys.clone() }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Calls<S> {
    inner: S,
    ends: Ends,
    keys: Keys,
}

impl<S> Service<Request<Body>> for Calls<S>
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
        let id = context::request_id(&metadata);
        let deadline = context::deadline(&metadata);
        // Sane by construction, whoever named it: graphic ASCII.
        let header = HeaderValue::from_str(&id).unwrap_or(HeaderValue::from_static("invalid"));
        let method = request.uri().path().trim_start_matches('/');
        let span = info_span!("call", request.id = id, rpc.method = method, caller = field::Empty);
        let record = Record { span: span.clone(), begun: Instant::now(), told: false };
        // Before the message is read: a stranger's may be a long one.
        if asks(request.uri().path()) {
            match span.in_scope(|| self.keys.shown(&metadata)) {
                Ok(caller) => caller.accompany(request.extensions_mut()),
                Err(error) => return Box::pin(async move { Ok(record.refuse(error.into(), &header)) }),
            }
        }
        *request.headers_mut() = metadata.into_headers();
        // The doors read the id from the metadata, as they do for calls within the process.
        request.headers_mut().insert(REQUEST_ID, header.clone());

        // The transport, too, ends a call at its deadline, but as CANCELLED. This timer was set first, so it wins.
        let late = deadline.map(|deadline| Box::pin(tokio::time::sleep_until(deadline)));
        let Ends { draining, cut } = &self.ends;
        let cut = if request.uri().path() == WATCHING { draining.clone() } else { cut.clone() };
        let handled = catch_unwind(AssertUnwindSafe(|| span.in_scope(|| self.inner.call(request))));
        Box::pin(
            async move {
                let handled = match handled {
                    Ok(future) => AssertUnwindSafe(future).catch_unwind(),
                    Err(panic) => return Ok(record.refuse(defect(&*panic), &header)),
                };
                let late = async {
                    match late {
                        Some(late) => late.await,
                        None => std::future::pending().await,
                    }
                };
                let mut response = tokio::select! {
                    biased;
                    outcome = handled => match outcome {
                        Ok(Ok(response)) => response,
                        Ok(Err(error)) => return Err(error),
                        Err(panic) => return Ok(record.refuse(defect(&*panic), &header)),
                    },
                    () = late => return Ok(record.refuse(overdue(), &header)),
                    () = cut.cancelled() => return Ok(record.refuse(Error::ShuttingDown.into(), &header)),
                };
                response.headers_mut().insert(REQUEST_ID, header);
                Ok(record.follow(response, cut))
            }
            .instrument(span),
        )
    }
}

/// Tells once how a call ended: at its last frame, or when it is dropped before.
#[derive(Debug)]
struct Record {
    span: Span,
    begun: Instant,
    told: bool,
}

impl Record {
    fn tell(&mut self, code: Code) {
        if !std::mem::replace(&mut self.told, true) {
            let us = u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX);
            let fine = matches!(code, Code::Ok | Code::Cancelled);
            self.span.in_scope(|| {
                if fine {
                    tracing::debug!(rpc.code = ?code, us, "call ended");
                } else {
                    tracing::info!(rpc.code = ?code, us, "call failed");
                }
            });
        }
    }

    fn refuse(mut self, status: Status, id: &HeaderValue) -> Response<Body> {
        self.tell(status.code());
        let mut response = status.into_http();
        response.headers_mut().insert(REQUEST_ID, id.clone());
        response
    }

    /// Sees the response's end, which for a stream comes long after its beginning.
    fn follow(mut self, response: Response<Body>, cut: CancellationToken) -> Response<Body> {
        if let Some(code) = code(response.headers()) {
            self.tell(code);
        }
        response
            .map(|body| Body::new(Followed { body: Some(body), cut: Box::pin(cut.cancelled_owned()), record: self }))
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.tell(Code::Cancelled);
    }
}

/// A response's body that reports its end and turns a panic into INTERNAL.
struct Followed {
    /// `None` once it was ended from here: a body that panicked is in no known state.
    body: Option<Body>,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    record: Record,
}

impl Followed {
    /// Ends the body with this status in its trailers.
    fn end(&mut self, status: &Status) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.body = None;
        let mut trailers = HeaderMap::new();
        Poll::Ready(Some(status.add_header(&mut trailers).map(|()| Frame::trailers(trailers))))
    }
}

impl http_body::Body for Followed {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        let poll = || this.record.span.in_scope(|| Pin::new(body).poll_frame(context));
        let frame = match catch_unwind(AssertUnwindSafe(poll)) {
            Ok(Poll::Pending) if this.cut.as_mut().poll(context).is_ready() => this.end(&Error::ShuttingDown.into()),
            Ok(frame) => frame,
            Err(panic) => this.end(&defect(&*panic)),
        };
        let record = &mut this.record;
        match &frame {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(code) = frame.trailers_ref().and_then(code) {
                    record.tell(code);
                }
            }
            Poll::Ready(Some(Err(status))) => record.tell(status.code()),
            Poll::Ready(None) => record.tell(Code::Ok),
            Poll::Pending => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.as_ref().map_or_else(http_body::SizeHint::default, http_body::Body::size_hint)
    }
}

fn code(headers: &HeaderMap) -> Option<Code> {
    headers.get("grpc-status").map(|value| Code::from_bytes(value.as_bytes()))
}

fn overdue() -> Status {
    Error::from(ProviderError::Timeout("the answer was not ready within the call's deadline".to_owned())).into()
}

fn defect(panic: &(dyn Any + Send)) -> Status {
    let words = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Error::Internal(format!("a handler panicked: {}", words.unwrap_or("without words"))).into()
}

#[cfg(test)]
mod tests;
