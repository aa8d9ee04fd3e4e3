//! `POST /v1/chat/completions`, streamed and not.

mod stream;
mod wire;

use std::sync::{Arc, OnceLock};

use axum::{extract::State, response::Response};
use futures_util::{StreamExt, TryFutureExt};
use openai_dialect::chat::Request;
use triptych_proto::{chat_stream::ChatStream, v1 as pb};

use crate::{
    app::App,
    context::RequestContext,
    error::GatewayError,
    json::JsonBody,
    metadata::{response_headers, with_metadata},
    path::PathId,
    sse,
};

/// `POST /v1/chat/completions`.
pub(crate) async fn completions(
    State(app): State<App>,
    context: RequestContext,
    body: JsonBody,
) -> Result<Response, GatewayError> {
    complete(&app, context, wire::read(&body)?).await
}

/// `POST /v1/engines/{engine}/chat/completions`: versions of OpenAI's Python SDK before 1.0 send requests with an
/// `engine`, the older name of the model, to it.
pub(crate) async fn engine_completions(
    State(app): State<App>,
    PathId(engine): PathId,
    context: RequestContext,
    body: JsonBody,
) -> Result<Response, GatewayError> {
    let mut request = wire::read(&body)?;
    request.chat.model = engine;
    complete(&app, context, request).await
}

async fn complete(app: &App, context: RequestContext, request: Request) -> Result<Response, GatewayError> {
    let Request { chat, stream, stream_options } = request;
    let idempotency_key = context.idempotency_key().to_owned();
    if stream {
        let request = pb::StreamChatRequest { chat: Some(chat), idempotency_key, stream_options };
        return stream_completion(app, context, request).await;
    }
    let call = context.into_call(pb::CreateChatRequest { chat: Some(chat), idempotency_key });
    let (metadata, reply, _) = app.core.chat.create_chat(call).await?.into_parts();
    Ok(with_metadata(wire::response(&reply), metadata))
}

async fn stream_completion(
    app: &App,
    context: RequestContext,
    request: pb::StreamChatRequest,
) -> Result<Response, GatewayError> {
    let include_usage = request.stream_options.as_ref().and_then(|options| options.include_usage).unwrap_or_default();
    let call = context.into_call(request);
    let chat = app.core.chat.clone();
    let headers = Arc::new(OnceLock::new());
    let received_headers = headers.clone();
    let into_chunks = move |reply: tonic::Response<ChatStream>| {
        let (metadata, chunks, _) = reply.into_parts();
        let _ = received_headers.set(response_headers(metadata));
        chunks.into_chunks()
    };
    // The call is the beginning of the stream, so that heartbeats are sent while the first token is awaited.
    let chunks = async move { chat.stream_chat(call).await }.map_ok(into_chunks).try_flatten_stream();
    let heartbeat = app.runtime().settings.heartbeat;
    let chunks = sse::peek_first_item(chunks.boxed(), heartbeat).await?;
    let mut response = sse::response(chunks, stream::ChunkEncoder::new(include_usage), heartbeat);
    // Missing if the call took longer than the heartbeat: the response head does not wait for it.
    if let Some(headers) = headers.get() {
        response.headers_mut().extend(headers.clone());
    }
    Ok(response)
}

#[cfg(test)]
mod tests;
