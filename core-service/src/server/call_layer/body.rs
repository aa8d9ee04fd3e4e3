//! The response body of a call: ends it at the cut-off, which is the end of the drain, converts panics, and logs its end.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::{Code, Status, body::Body};

use super::record::{CallRecord, grpc_code};
use crate::error::Error;

/// A response body that ends with SHUTTING_DOWN at the cut-off and with INTERNAL after a panic.
pub(super) struct CallBody {
    /// `None` after this type ended the body: a body that panicked must not be polled again.
    inner: Option<Body>,
    cut_off: CancellationToken,
    /// Waits for `cut_off`. Created when the body is pending for the first time, which a complete response never is.
    waiting: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    record: CallRecord,
}

impl CallBody {
    pub(super) fn new(inner: Body, cut_off: CancellationToken, record: CallRecord) -> Self {
        Self { inner: Some(inner), cut_off, waiting: None, record }
    }

    fn poll_cut_off(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let cut_off = &self.cut_off;
        self.waiting.get_or_insert_with(|| Box::pin(cut_off.clone().cancelled_owned())).as_mut().poll(context)
    }

    /// Ends the body with trailers of this status.
    fn end(&mut self, status: &Status) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.inner = None;
        let mut trailers = HeaderMap::new();
        Poll::Ready(Some(status.add_header(&mut trailers).map(|()| Frame::trailers(trailers))))
    }
}

impl HttpBody for CallBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        let Some(inner) = &mut this.inner else { return Poll::Ready(None) };
        let poll = || this.record.span().in_scope(|| Pin::new(inner).poll_frame(context));
        let frame = match catch_unwind(AssertUnwindSafe(poll)) {
            Ok(Poll::Pending) if this.poll_cut_off(context).is_ready() => this.end(&Error::ShuttingDown.into()),
            Ok(frame) => frame,
            Err(panic) => this.end(&this.record.panicked(&*panic)),
        };
        match &frame {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    this.record.sent(data.len());
                } else if let Some(code) = frame.trailers_ref().and_then(grpc_code) {
                    this.record.log(code);
                }
            }
            Poll::Ready(Some(Err(status))) => this.record.log(status.code()),
            Poll::Ready(None) => this.record.log(Code::Ok),
            Poll::Pending => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}
