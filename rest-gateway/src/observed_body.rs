//! The response body as the middleware returns it: polled within the span of its request, and guarded against panics.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use axum::{BoxError, body::Body, response::Response};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tracing::Span;

use crate::access_log::AccessRecord;

/// A streamed body that is polled and dropped within the span of its request, so that its log lines carry the request id.
/// A panic in it ends the response with an error.
struct ObservedBody {
    /// `None` after a panic: a body that panicked must not be polled again.
    inner: Option<Body>,
    span: Span,
    /// Its first `finish` logs the call. If the client leaves before, its drop does.
    record: AccessRecord,
    status: u16,
    /// How many bytes are to come, if the head of the response says so: hyper drops such a body after its last byte, without
    /// polling its end.
    remaining: Option<u64>,
}

/// Wraps the body of a response, whose end the record logs. A body that knows its length has all its bytes already, and is kept as
/// it is.
pub(crate) fn observe(response: Response, span: Span, mut record: AccessRecord) -> Response {
    let (head, body) = response.into_parts();
    let status = head.status.as_u16();
    if let Some(length) = body.size_hint().exact() {
        record.sent(length);
        record.finish(status);
        return Response::from_parts(head, body);
    }
    let remaining = content_length(&head.headers);
    let body = Body::new(ObservedBody { inner: Some(body), span, record, status, remaining });
    Response::from_parts(head, body)
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Logs a panic within the current span.
pub(crate) fn log_panic(panic: &(dyn Any + Send)) {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = text.unwrap_or("no message"), "handler panicked");
}

impl HttpBody for ObservedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let Some(inner) = &mut this.inner else { return Poll::Ready(None) };
        let _entered = this.span.enter();
        match catch_unwind(AssertUnwindSafe(|| Pin::new(inner).poll_frame(context))) {
            Ok(frame) => {
                match &frame {
                    Poll::Ready(Some(Ok(frame))) => {
                        let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
                        this.record.sent(bytes);
                        this.remaining = this.remaining.map(|remaining| remaining.saturating_sub(bytes));
                        if this.remaining == Some(0) {
                            this.record.finish(this.status);
                        }
                    }
                    // The response is cut off, which its status does not tell.
                    Poll::Ready(Some(Err(_))) => this.record.finish(StatusCode::INTERNAL_SERVER_ERROR.as_u16()),
                    Poll::Ready(None) => this.record.finish(this.status),
                    Poll::Pending => {}
                }
                frame.map_err(Into::into)
            }
            Err(panic) => {
                log_panic(&*panic);
                this.inner = None;
                this.record.finish(StatusCode::INTERNAL_SERVER_ERROR.as_u16());
                Poll::Ready(Some(Err("the response ended because of an internal error".into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}

impl Drop for ObservedBody {
    fn drop(&mut self) {
        let _entered = self.span.enter();
        // A server need not poll the end of a body that announces it.
        if self.inner.as_ref().is_some_and(HttpBody::is_end_stream) {
            self.record.finish(self.status);
        }
        self.inner = None;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    };

    use futures_util::{StreamExt, stream};
    use http::HeaderValue;
    use http_body_util::BodyExt;
    use tracing::Id;

    use super::*;

    fn observe(body: Body, span: Span) -> Body {
        let record = AccessRecord::new(&http::Request::new(Body::empty()), HeaderValue::from_static("req_1"));
        super::observe(Response::new(body), span, record).into_body()
    }

    /// Sets its flag when dropped.
    struct DropFlag(Arc<AtomicBool>);

    impl Drop for DropFlag {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn panic_of_a_body_ends_it_with_an_error_and_drops_it() {
        let dropped = Arc::new(AtomicBool::new(false));
        let guard = DropFlag(dropped.clone());
        let chunks = stream::unfold((0, guard), async |(sent, guard)| {
            assert!(sent == 0, "a body that panics");
            Some((Ok::<_, BoxError>(Bytes::from_static(b"one")), (sent + 1, guard)))
        });
        let mut body = observe(Body::from_stream(chunks), Span::none());
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "one");
        assert!(body.frame().await.unwrap().is_err());
        assert!(dropped.load(Ordering::Relaxed), "what the body held is released");
        assert!(body.frame().await.is_none());
    }

    /// Records the span in which it is dropped.
    struct SpanAtDrop(Arc<Mutex<Option<Id>>>);

    impl Drop for SpanAtDrop {
        fn drop(&mut self) {
            *self.0.lock().unwrap() = Span::current().id();
        }
    }

    #[tokio::test]
    async fn body_is_polled_and_dropped_within_the_span_of_its_request() {
        let subscriber = tracing_subscriber::registry();
        let _default = tracing::subscriber::set_default(subscriber);
        let span = tracing::info_span!("request");
        let (id, dropped_in) = (span.id(), Arc::<Mutex<Option<Id>>>::default());
        let (seen, guard) = (id.clone(), SpanAtDrop(dropped_in.clone()));
        let first = stream::once(async move {
            assert_eq!(Span::current().id(), seen);
            Ok::<_, BoxError>(Bytes::from_static(b"one"))
        });
        let chunks = first.chain(stream::pending()).inspect(move |_| _ = &guard);
        let mut body = observe(Body::from_stream(chunks), span);
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "one");
        assert_eq!(Span::current().id(), None);
        drop(body);
        assert!(id.is_some());
        assert_eq!(*dropped_in.lock().unwrap(), id);
    }
}
