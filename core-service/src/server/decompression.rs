//! Decompression of request messages, so that their whole length counts as memory.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::future::Either;
use http::Request;
use http_body::{Body as HttpBody, Frame};
use http_server::MemoryBudget;
use tonic::{Status, body::Body};
use tower::{Layer, Service};

use super::{compression::is_compressed, message_memory::MessageMemory, messages::MessageDecoder};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Decompresses the messages of compressed requests and reserves memory for them until the response begins.
#[derive(Debug, Clone)]
pub(super) struct DecompressionLayer {
    budget: MemoryBudget,
    max_message_bytes: usize,
}

impl DecompressionLayer {
    pub(super) fn new(budget: MemoryBudget, max_message_bytes: usize) -> Self {
        Self { budget, max_message_bytes }
    }
}

impl<S> Layer<S> for DecompressionLayer {
    type Service = Decompression<S>;

    fn layer(&self, inner: S) -> Decompression<S> {
        Decompression { inner, layer: self.clone() }
    }
}

/// The service of [`DecompressionLayer`].
#[derive(Debug, Clone)]
pub(super) struct Decompression<S> {
    inner: S,
    layer: DecompressionLayer,
}

impl<S> Service<Request<Body>> for Decompression<S>
where
    S: Service<Request<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = Infallible;
    type Future = Either<S::Future, Pin<Box<dyn Future<Output = Result<S::Response, Infallible>> + Send>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if !is_compressed(&request) {
            return Either::Left(self.inner.call(request));
        }
        let memory = MessageMemory::new(&self.layer.budget);
        let messages = MessageDecoder::new(self.layer.max_message_bytes);
        let request = request.map(|body| Body::new(DecompressedBody { body, memory: memory.clone(), messages }));
        let response = self.inner.call(request);
        Either::Right(Box::pin(async move {
            let response = response.await;
            drop(memory);
            response
        }))
    }
}

/// A request body whose messages are decompressed.
struct DecompressedBody {
    body: Body,
    memory: MessageMemory,
    messages: MessageDecoder,
}

impl HttpBody for DecompressedBody {
    type Data = Bytes;
    /// A [`Status`] for a refusal, which tonic returns to the client as it is.
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)) else {
            let ended = self.messages.finish().map_err(|error| Status::from(error).into());
            return Poll::Ready(ended.err().map(Err));
        };
        let Self { memory, messages, .. } = &mut *self;
        let frame = frame.map_err(BoxError::from).and_then(|frame| match frame.into_data() {
            Ok(data) => {
                let plain = messages.push(&data, &mut |bytes| memory.grow(bytes)).map_err(Status::from)?;
                Ok(Frame::data(Bytes::from(plain)))
            }
            Err(trailers) => Ok(trailers),
        });
        Poll::Ready(Some(frame))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}
