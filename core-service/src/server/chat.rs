//! The chat service at the gRPC server, on a shorter path than the other services.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::future::BoxFuture;
use http::{Request, Response};
use tonic::{Status, body::Body, codec::CompressionEncoding, server::Grpc, service::Routes};
use tower::{Service, service_fn};
use triptych_proto::{
    chat_stream::{ChatStream, StreamChatCodec},
    v1::{self as pb, chat_service_server::ChatService, chat_service_server::ChatServiceServer},
};

/// The prefix of the paths of the chat service.
const CHAT_SERVICE: &str = "/triptych.v1.ChatService/";
/// The method with a codec of its own.
const STREAM_CHAT: &str = "/triptych.v1.ChatService/StreamChat";

/// Serves the chat service itself and passes all other calls on.
///
/// Chat calls are the most frequent ones and the cheapest for their upstreams, so that the overhead per call and per chunk
/// matters. The router of [`Routes`] would box the bodies once more, and the generated server would build and encode a
/// complete message for every chunk.
#[derive(Debug)]
pub(super) struct ChatRoutes<S> {
    chat: Arc<S>,
    /// Serves the methods without a codec of their own.
    generated: ChatServiceServer<S>,
    max_message_bytes: usize,
    other: Routes,
}

impl<S> ChatRoutes<S> {
    /// Creates the service. `generated` serves `chat` too, with the same limit of messages.
    pub(super) fn new(chat: Arc<S>, generated: ChatServiceServer<S>, max_message_bytes: usize, other: Routes) -> Self {
        Self { chat, generated, max_message_bytes, other }
    }
}

impl<S> Clone for ChatRoutes<S> {
    fn clone(&self) -> Self {
        Self {
            chat: self.chat.clone(),
            generated: self.generated.clone(),
            max_message_bytes: self.max_message_bytes,
            other: self.other.clone(),
        }
    }
}

impl<S: ChatService<StreamChatStream = ChatStream>> Service<Request<Body>> for ChatRoutes<S> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // The chat service is always ready.
        Service::<Request<Body>>::poll_ready(&mut self.other, context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match request.uri().path() {
            STREAM_CHAT => Box::pin(stream_chat(self.chat.clone(), self.max_message_bytes, request)),
            path if path.starts_with(CHAT_SERVICE) => self.generated.call(request),
            _ => Box::pin(self.other.call(request)),
        }
    }
}

/// Serves `StreamChat` as the generated server does, but from delta-encoded chunks: a chunk that repeats the previous one with
/// another text is only that text, and is encoded without a message of its own.
async fn stream_chat<S>(
    chat: Arc<S>,
    max_message_bytes: usize,
    request: Request<Body>,
) -> Result<Response<Body>, Infallible>
where
    S: ChatService<StreamChatStream = ChatStream>,
{
    let stream_chat = service_fn(move |request: tonic::Request<pb::StreamChatRequest>| {
        let chat = chat.clone();
        async move { Ok::<_, Status>(chat.stream_chat(request).await?.map(ChatStream::into_chunks)) }
    });
    let mut grpc = Grpc::new(StreamChatCodec)
        .max_decoding_message_size(max_message_bytes)
        .max_encoding_message_size(max_message_bytes)
        .accept_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Gzip);
    Ok(grpc.server_streaming(stream_chat, request).await)
}
