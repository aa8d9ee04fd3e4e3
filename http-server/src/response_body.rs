//! Response bodies: a request is in flight until its response body is dropped.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http_body::{Body, Frame, SizeHint};

use crate::{
    activity::{Activity, Discarding},
    limits::RequestPermit,
    load::LoadGuard,
    stream::{self, BodyPoll},
};

/// A request in flight, until this is dropped.
#[derive(Debug)]
pub(crate) struct InFlight {
    activity: Arc<Activity>,
    /// Counts the request for the limit of requests. `None` if it is refused.
    _permit: Option<RequestPermit>,
    /// Counts the request as load of the connection's thread. `None` for HTTP/2, whose streams are load of the threads
    /// that they run on.
    _load: Option<LoadGuard>,
}

impl InFlight {
    pub(crate) fn new(
        activity: Arc<Activity>,
        http2: bool,
        permit: Option<RequestPermit>,
        load: Option<LoadGuard>,
    ) -> Self {
        activity.request_started(http2);
        Self { activity, _permit: permit, _load: load }
    }

    /// Lets the connection linger when it closes: it reads on for a while, so that a client that is still sending
    /// receives the response.
    pub(crate) fn request_linger(&self) {
        self.activity.request_linger();
    }

    /// Marks that the rest of the request body is being discarded.
    pub(crate) fn discarding(&self) -> Discarding {
        Discarding::new(Arc::clone(&self.activity))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.activity.request_ended();
    }
}

/// The body of a response, with its request in flight.
#[derive(Debug)]
pub(crate) struct ResponseBody<B> {
    body: B,
    _in_flight: InFlight,
}

impl<B> ResponseBody<B> {
    pub(crate) fn new(body: B, in_flight: InFlight) -> Self {
        Self { body, _in_flight: in_flight }
    }
}

impl<B: Body + Unpin> Body for ResponseBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        // For the write timeout of HTTP/2 streams.
        stream::record(if frame.is_pending() { BodyPoll::Pending } else { BodyPoll::Ready });
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
