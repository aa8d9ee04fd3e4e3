//! `/v1/responses`: OpenAI's Responses API. Requests, responses and events pass through as JSON texts; the core reads and writes them.

mod stream;
mod wire;

use std::sync::{Arc, OnceLock};

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use futures_util::{StreamExt, TryFutureExt, TryStreamExt};
use http::Uri;
use serde_json::json;
use triptych_proto::v1 as pb;

use crate::{
    app::App,
    context::RequestContext,
    core_client::ReplyStream,
    error::GatewayError,
    json::JsonBody,
    lists,
    metadata::{response_headers, with_metadata},
    path::PathId,
    query::QueryParams,
    sse,
};

/// `POST /v1/responses`.
pub(crate) async fn create(
    State(app): State<App>,
    context: RequestContext,
    body: JsonBody,
) -> Result<Response, GatewayError> {
    let (request_json, is_streamed) = wire::read(&body)?;
    let idempotency_key = context.idempotency_key().to_owned();
    if is_streamed {
        let call = context.into_call(pb::StreamResponseRequest { request_json, idempotency_key });
        let response = app.core.response.clone();
        let events = async move { response.stream_response(call).await };
        return stream_events(&app, events, |message| message.event).await;
    }
    let call = context.into_call(pb::CreateResponseRequest { request_json, idempotency_key });
    let (metadata, reply, _) = app.core.response.create_response(call).await?.into_parts();
    Ok(with_metadata(wire::document(reply.response_json), metadata))
}

/// `GET /v1/responses/{id}`: the response, or with `stream=true` its events after `starting_after`.
pub(crate) async fn get(
    State(app): State<App>,
    context: RequestContext,
    PathId(id): PathId,
    query: QueryParams,
) -> Result<Response, GatewayError> {
    let starting_after = wire::starting_after(&query)?;
    if wire::is_streamed(&query)? {
        let call = context.into_call(pb::ResumeResponseRequest { id, starting_after });
        let response = app.core.response.clone();
        let events = async move { response.resume_response(call).await };
        return stream_events(&app, events, |message| message.event).await;
    }
    let call = context.into_call(pb::GetResponseRequest { id });
    let (metadata, reply, _) = app.core.response.get_response(call).await?.into_parts();
    Ok(with_metadata(wire::document(reply.response_json), metadata))
}

/// `DELETE /v1/responses/{id}`.
pub(crate) async fn delete(
    State(app): State<App>,
    context: RequestContext,
    PathId(id): PathId,
) -> Result<Response, GatewayError> {
    let call = context.into_call(pb::DeleteResponseRequest { id });
    let (metadata, reply, _) = app.core.response.delete_response(call).await?.into_parts();
    let deleted = Json(json!({"id": reply.id, "object": "response", "deleted": true}));
    Ok(with_metadata(deleted.into_response(), metadata))
}

/// `POST /v1/responses/{id}/cancel`. The body is not read.
pub(crate) async fn cancel(
    State(app): State<App>,
    context: RequestContext,
    PathId(id): PathId,
) -> Result<Response, GatewayError> {
    let call = context.into_call(pb::CancelResponseRequest { id });
    let (metadata, reply, _) = app.core.response.cancel_response(call).await?.into_parts();
    Ok(with_metadata(wire::document(reply.response_json), metadata))
}

/// `GET /v1/responses/{id}/input_items`.
pub(crate) async fn input_items(
    State(app): State<App>,
    context: RequestContext,
    PathId(id): PathId,
    query: QueryParams,
) -> Result<Response, GatewayError> {
    let (page_size, page_token) = lists::read_page(&query)?;
    let order = wire::order(&query)?.into();
    let call = context.into_call(pb::ListInputItemsRequest { id, page_size, page_token, order });
    let (metadata, reply, _) = app.core.response.list_input_items(call).await?.into_parts();
    Ok(with_metadata(wire::items(&reply)?, metadata))
}

/// Refuses the parts of OpenAI's Responses API that are not supported, such as `/v1/responses/compact`.
pub(crate) async fn unsupported(uri: Uri) -> Response {
    GatewayError::unsupported_responses_endpoint(uri.path()).into_response()
}

/// Returns the event stream of a call.
async fn stream_events<T: Send + 'static>(
    app: &App,
    call: impl Future<Output = Result<tonic::Response<ReplyStream<T>>, tonic::Status>> + Send + 'static,
    event: fn(T) -> Option<pb::ResponseEvent>,
) -> Result<Response, GatewayError> {
    let headers = Arc::new(OnceLock::new());
    let received_headers = headers.clone();
    let into_events = move |reply: tonic::Response<ReplyStream<T>>| {
        let (metadata, events, _) = reply.into_parts();
        let _ = received_headers.set(response_headers(metadata));
        events
    };
    // The call is the beginning of the stream, so that heartbeats are sent while the first token is awaited.
    let events = call.map_ok(into_events).try_flatten_stream().map_ok(event);
    let heartbeat = app.runtime().settings.heartbeat;
    let events = sse::peek_first_item(events.boxed(), heartbeat).await?;
    let mut response = sse::response(events, stream::EventEncoder::default(), heartbeat);
    // Missing if the call took longer than the heartbeat: the response head does not
    // wait longer.
    if let Some(headers) = headers.get() {
        response.headers_mut().extend(headers.clone());
    }
    Ok(response)
}

#[cfg(test)]
mod tests;
