//! The body of a response of a core.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::RecvStream;
use http_body::{Body, Frame};
use tonic::Status;

/// The messages and trailers of a response. Dropping it before its end cancels the call.
#[derive(Debug)]
pub(super) struct ResponseBody {
    stream: RecvStream,
    has_data_ended: bool,
}

impl ResponseBody {
    pub(super) fn new(stream: RecvStream) -> Self {
        Self { stream, has_data_ended: false }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    /// Made by [`Status::from_error`], so that it has h2's error as its source, which tells it from a status of the core.
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if !this.has_data_ended {
            match ready!(this.stream.poll_data(cx)) {
                Some(Ok(data)) => {
                    // Fails only for more than was received.
                    let _ = this.stream.flow_control().release_capacity(data.len());
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(Status::from_error(error.into())))),
                None => this.has_data_ended = true,
            }
        }
        let trailers = ready!(this.stream.poll_trailers(cx)).map_err(|error| Status::from_error(error.into()));
        Poll::Ready(trailers.transpose().map(|trailers| trailers.map(Frame::trailers)))
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }
}
