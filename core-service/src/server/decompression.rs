//! Middleware that decompresses gRPC request messages and accounts for their memory.
//!
//! tonic could decompress them too, but then a small compressed message could allocate much memory that no budget counts.

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

/// A layer that decompresses the messages of gzip requests. Their decompressed length is reserved in a memory budget until the
/// response head is ready.
#[derive(Debug, Clone)]
pub(super) struct DecompressionLayer {
    /// The budget that the messages of all requests share.
    budget: MemoryBudget,
    /// The maximum length of one message, compressed and decompressed.
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
        Decompression { inner, settings: self.clone() }
    }
}

/// The service of [`DecompressionLayer`].
#[derive(Debug, Clone)]
pub(super) struct Decompression<S> {
    inner: S,
    settings: DecompressionLayer,
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
        let memory = MessageMemory::new(&self.settings.budget);
        let decoder = MessageDecoder::new(self.settings.max_message_bytes);
        let request = request.map(|body| Body::new(DecompressedBody { body, memory: memory.clone(), decoder }));
        let response = self.inner.call(request);
        Either::Right(Box::pin(async move {
            let response = response.await;
            // The body has a clone, which is dropped with it. This one covers handlers that keep the message after its body.
            drop(memory);
            response
        }))
    }
}

/// A request body that decompresses the messages of an inner body.
struct DecompressedBody {
    body: Body,
    memory: MessageMemory,
    decoder: MessageDecoder,
}

impl HttpBody for DecompressedBody {
    type Data = Bytes;
    /// A [`Status`] if a message is invalid or exceeds a limit, which tonic returns to the client; otherwise the error of the
    /// inner body.
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)) else {
            let completeness = self.decoder.finish().map_err(|error| Status::from(error).into());
            return Poll::Ready(completeness.err().map(Err));
        };
        let Self { memory, decoder, .. } = &mut *self;
        let frame = frame.map_err(BoxError::from).and_then(|frame| match frame.into_data() {
            Ok(data) => {
                let decompressed = decoder.push(&data, &mut |bytes| memory.grow(bytes)).map_err(Status::from)?;
                Ok(Frame::data(Bytes::from(decompressed)))
            }
            Err(trailers) => Ok(trailers),
        });
        Poll::Ready(Some(frame))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}
