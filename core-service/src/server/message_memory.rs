//! The memory of request messages: bounded in sum, also decompressed.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame};
use http_server::{MemoryBudget, Reservation};
use tonic::{Status, body::Body};
use tower::{Layer, Service};

use super::messages::Messages;
use crate::error::Error;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Reserves memory for the messages of each request until its response begins, and refuses calls beyond the budget. Compressed
/// messages are decompressed here, so that their whole length counts.
#[derive(Debug, Clone)]
pub(super) struct MessageMemoryLayer {
    budget: MemoryBudget,
    max_message_bytes: usize,
}

impl MessageMemoryLayer {
    pub(super) fn new(budget: MemoryBudget, max_message_bytes: usize) -> Self {
        Self { budget, max_message_bytes }
    }
}

impl<S> Layer<S> for MessageMemoryLayer {
    type Service = MessageMemory<S>;

    fn layer(&self, inner: S) -> MessageMemory<S> {
        MessageMemory { inner, layer: self.clone() }
    }
}

/// The service of [`MessageMemoryLayer`].
#[derive(Debug, Clone)]
pub(super) struct MessageMemory<S> {
    inner: S,
    layer: MessageMemoryLayer,
}

impl<S> Service<Request<Body>> for MessageMemory<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // Clients of reflection keep their streams of small messages open.
        if request.uri().path().starts_with("/grpc.reflection.") {
            return Box::pin(self.inner.call(request));
        }
        let memory = Memory(Arc::new(Mutex::new(self.layer.budget.reservation())));
        let is_gzip = request.headers().get("grpc-encoding").is_some_and(|encoding| encoding == "gzip");
        let messages = is_gzip.then(|| Messages::new(self.layer.max_message_bytes));
        let request = request.map(|body| Body::new(ReservedBody { body, memory: memory.clone(), messages }));
        let response = self.inner.call(request);
        Box::pin(async move {
            let response = response.await;
            drop(memory);
            response
        })
    }
}

/// The memory of one request.
#[derive(Clone)]
struct Memory(Arc<Mutex<Reservation>>);

impl Memory {
    fn grow(&self, bytes: usize) -> Result<(), Error> {
        if self.0.lock().unwrap_or_else(PoisonError::into_inner).try_grow(bytes) {
            return Ok(());
        }
        let limit = "the server has reached its limit of memory for request messages (grpc.body_memory_bytes)";
        Err(Error::LimitReached(limit))
    }
}

/// A request body whose messages reserve memory.
struct ReservedBody {
    body: Body,
    memory: Memory,
    /// For a body with compressed messages.
    messages: Option<Messages>,
}

impl ReservedBody {
    fn received(&mut self, data: Bytes) -> Result<Bytes, Error> {
        self.memory.grow(data.len())?;
        let Self { memory, messages, .. } = self;
        match messages {
            None => Ok(data),
            Some(messages) => messages.push(&data, &mut |bytes| memory.grow(bytes)).map(Bytes::from),
        }
    }
}

impl HttpBody for ReservedBody {
    type Data = Bytes;
    /// A [`Status`] for a refusal, which tonic returns to the client as it is.
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)) else { return Poll::Ready(None) };
        let frame = frame.map_err(BoxError::from).and_then(|frame| match frame.into_data() {
            Ok(data) => Ok(Frame::data(self.received(data).map_err(Status::from)?)),
            Err(trailers) => Ok(trailers),
        });
        Poll::Ready(Some(frame))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, StreamExt, stream};
    use http_body_util::{BodyExt, StreamBody};
    use tonic::Code;
    use tower::{ServiceExt, service_fn};

    use super::*;

    /// A request for `path` whose body has these parts and then no end.
    fn request(path: &str, parts: Vec<Vec<u8>>) -> Request<Body> {
        let parts = stream::iter(parts).map(|part| Ok::<_, Infallible>(Frame::data(Bytes::from(part))));
        Request::post(path).body(Body::new(StreamBody::new(parts.chain(stream::pending())))).unwrap()
    }

    /// Reads the body, and answers with the status of its failure.
    async fn read(request: Request<Body>) -> Result<Response<Body>, Infallible> {
        let read = request.into_body().collect().await;
        Ok(read.err().map_or_else(Response::default, Status::into_http))
    }

    #[tokio::test]
    async fn calls_beyond_the_budget_are_refused_until_others_end() {
        let layer = MessageMemoryLayer::new(MemoryBudget::new(10 << 10), 1 << 20);
        let service = layer.layer(service_fn(read));
        let call = |path, kib: usize| service.clone().oneshot(request(path, vec![vec![0; 1 << 10]; kib]));
        let mut first = Box::pin(call("/a", 8));
        assert!(first.as_mut().now_or_never().is_none());
        let refused = call("/a", 8).await.unwrap();
        assert_eq!(Status::from_header_map(refused.headers()).unwrap().code(), Code::ResourceExhausted);
        assert!(call("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", 20).now_or_never().is_none());
        drop(first);
        assert!(call("/a", 8).now_or_never().is_none());
    }
}
