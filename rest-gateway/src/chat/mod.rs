//! `POST /v1/chat/completions`, whole and streamed.

use std::sync::{Arc, OnceLock};

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::BytesMut;
use futures_util::{StreamExt, TryFutureExt, TryStreamExt};
use http::{HeaderValue, header};
use openai_dialect::chat::{ChunkWriter, Request, read_request, write_response};
use tonic::Status;
use triptych_proto::{
    chat_stream::{ChatChunk, ChatStream},
    v1 as pb,
};

use crate::{
    app::App,
    context::{ATTEMPTS, Context},
    error::GatewayError,
    json::JsonBody,
    path::Id,
    sse::{self, Flow},
};

/// `POST /v1/chat/completions`.
pub(crate) async fn completions(
    State(app): State<App>,
    context: Context,
    body: JsonBody,
) -> Result<Response, GatewayError> {
    answer(&app, &context, read(&body)?).await
}

/// `POST /v1/engines/{engine}/chat/completions`: where SDKs before 1.0 send what names an `engine` instead of a model.
pub(crate) async fn engine_completions(
    State(app): State<App>,
    Id(engine): Id,
    context: Context,
    body: JsonBody,
) -> Result<Response, GatewayError> {
    let mut request = read(&body)?;
    request.chat.model = engine;
    answer(&app, &context, request).await
}

fn read(body: &JsonBody) -> Result<Request, GatewayError> {
    read_request(body.as_bytes()).map_err(|error| match error.path.as_str() {
        "" => GatewayError::invalid_json(format!("the body {}", error.message)),
        path => GatewayError::invalid(path, error.message),
    })
}

async fn answer(app: &App, context: &Context, request: Request) -> Result<Response, GatewayError> {
    let Request { chat, stream, stream_options } = request;
    let idempotency_key = context.idempotency_key().to_owned();
    if stream {
        return streamed(app, context, pb::StreamChatRequest { chat: Some(chat), idempotency_key, stream_options })
            .await;
    }
    let call = context.call(pb::CreateChatRequest { chat: Some(chat), idempotency_key });
    let (metadata, response, _) = app.core.chat.create_chat(call).await?.into_parts();
    let mut body = Vec::with_capacity(1024);
    write_response(&mut body, &response);
    let answer = ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response();
    Ok(with_attempts(answer, metadata.as_ref().get(ATTEMPTS).cloned()))
}

async fn streamed(app: &App, context: &Context, request: pb::StreamChatRequest) -> Result<Response, GatewayError> {
    let usage_member = request.stream_options.as_ref().and_then(|options| options.include_usage).unwrap_or_default();
    let call = context.call(request);
    let chat = app.core.chat.clone();
    // The call is part of the stream: a first token that takes long is waited for under heartbeats.
    let attempts = Arc::new(OnceLock::new());
    let noted = attempts.clone();
    let note = move |response: tonic::Response<ChatStream>| {
        if let Some(tried) = response.metadata().as_ref().get(ATTEMPTS) {
            noted.get_or_init(|| tried.clone());
        }
        response.into_inner().into_chunks()
    };
    let pieces = async move { chat.stream_chat(call).await }.map_ok(note).try_flatten_stream();
    let heartbeat = app.settings.heartbeat;
    let pieces = sse::opened(pieces.boxed(), heartbeat).await?;
    let mut json = Vec::with_capacity(512);
    let mut writer = ChunkWriter::new(usage_member);
    let write = move |piece: Option<Result<ChatChunk, Status>>, out: &mut BytesMut| {
        json.clear();
        let flow = match piece {
            Some(Ok(piece)) => {
                writer.write(&mut json, piece);
                Flow::More
            }
            // No [DONE] behind it: that would call the answer complete.
            Some(Err(status)) => {
                json = GatewayError::from(status).to_json();
                Flow::End
            }
            None => {
                json.extend_from_slice(b"[DONE]");
                Flow::End
            }
        };
        for part in [b"data: ", json.as_slice(), b"\n\n"] {
            out.extend_from_slice(part);
        }
        flow
    };
    // An answer whose first token took longer than a heartbeat has sent its headers before anybody knew.
    Ok(with_attempts(sse::answer(pieces.into_stream(), write, heartbeat), attempts.get().cloned()))
}

/// An answer that tells which upstreams were tried for it, where the core chose among several.
fn with_attempts(mut answer: Response, attempts: Option<HeaderValue>) -> Response {
    if let Some(attempts) = attempts {
        answer.headers_mut().insert(ATTEMPTS, attempts);
    }
    answer
}
