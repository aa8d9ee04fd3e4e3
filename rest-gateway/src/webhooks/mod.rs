//! `/v1/webhook_endpoints` and `/v1/videos/{id}/deliveries`: the endpoints that receive events of video jobs, and the
//! deliveries to them. A delivery is one event for one endpoint, with all attempts to send it.

mod wire;

use axum::{
    Json,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use serde_json::json;
use tonic::metadata::MetadataMap;
use triptych_proto::v1 as pb;

use crate::{
    app::App, context::RequestContext, error::GatewayError, lists, members::Members, metadata::with_metadata,
    path::PathId, query::QueryParams,
};

/// `POST /v1/webhook_endpoints`.
pub(crate) async fn create(
    State(app): State<App>,
    context: RequestContext,
    members: Members,
) -> Result<Response, GatewayError> {
    let call = context.call(wire::read_create(&members)?);
    let (metadata, reply, _) = app.core.webhook.create_webhook_endpoint(call).await?.into_parts();
    endpoint(reply.endpoint, Some(reply.secret), metadata)
}

/// `GET /v1/webhook_endpoints`.
pub(crate) async fn list(
    State(app): State<App>,
    context: RequestContext,
    query: QueryParams,
) -> Result<Response, GatewayError> {
    let (page_size, page_token) = lists::read_page(&query)?;
    let call = context.call(pb::ListWebhookEndpointsRequest { page_size, page_token });
    let (metadata, reply, _) = app.core.webhook.list_webhook_endpoints(call).await?.into_parts();
    let endpoints: Vec<_> = reply.endpoints.into_iter().map(|endpoint| wire::Endpoint::of(endpoint, None)).collect();
    Ok(lists::page(&endpoints, |endpoint| &endpoint.id, &reply.next_page_token, metadata))
}

/// `GET /v1/webhook_endpoints/{id}`.
pub(crate) async fn get(
    State(app): State<App>,
    context: RequestContext,
    PathId(id): PathId,
) -> Result<Response, GatewayError> {
    let call = context.call(pb::GetWebhookEndpointRequest { id });
    let (metadata, reply, _) = app.core.webhook.get_webhook_endpoint(call).await?.into_parts();
    endpoint(reply.endpoint, None, metadata)
}

/// `POST /v1/webhook_endpoints/{id}`.
pub(crate) async fn update(
    State(app): State<App>,
    context: RequestContext,
    PathId(id): PathId,
    members: Members,
) -> Result<Response, GatewayError> {
    let call = context.call(wire::read_update(id, &members)?);
    let (metadata, reply, _) = app.core.webhook.update_webhook_endpoint(call).await?.into_parts();
    endpoint(reply.endpoint, None, metadata)
}

/// `DELETE /v1/webhook_endpoints/{id}`.
pub(crate) async fn delete(
    State(app): State<App>,
    context: RequestContext,
    PathId(id): PathId,
) -> Result<Response, GatewayError> {
    let call = context.call(pb::DeleteWebhookEndpointRequest { id });
    let (metadata, reply, _) = app.core.webhook.delete_webhook_endpoint(call).await?.into_parts();
    let deleted = Json(json!({"id": reply.id, "object": "webhook_endpoint.deleted", "deleted": true}));
    Ok(with_metadata(deleted.into_response(), metadata))
}

/// `POST /v1/webhook_endpoints/{id}/rotate_secret`.
pub(crate) async fn rotate_secret(
    State(app): State<App>,
    context: RequestContext,
    PathId(id): PathId,
    members: Members,
) -> Result<Response, GatewayError> {
    let call = context.call(wire::read_rotate(id, &members)?);
    let (metadata, reply, _) = app.core.webhook.rotate_webhook_secret(call).await?.into_parts();
    endpoint(reply.endpoint, Some(reply.secret), metadata)
}

/// `POST /v1/webhook_endpoints/{id}/test`.
pub(crate) async fn test(
    State(app): State<App>,
    context: RequestContext,
    PathId(id): PathId,
    members: Members,
) -> Result<Response, GatewayError> {
    let event_type = members.text("event_type")?.unwrap_or_default();
    let call = context.call(pb::TestWebhookEndpointRequest { id, event_type });
    let (metadata, reply, _) = app.core.webhook.test_webhook_endpoint(call).await?.into_parts();
    let result = wire::TestResult::of(reply.delivery.ok_or_else(GatewayError::internal)?);
    Ok(with_metadata(Json(result).into_response(), metadata))
}

/// `GET /v1/webhook_event_types`.
pub(crate) async fn event_types(State(app): State<App>, context: RequestContext) -> Result<Response, GatewayError> {
    let call = context.call(pb::ListWebhookEventTypesRequest {});
    let (metadata, reply, _) = app.core.webhook.list_webhook_event_types(call).await?.into_parts();
    let list = Json(json!({"object": "list", "data": reply.event_types}));
    Ok(with_metadata(list.into_response(), metadata))
}

/// `GET /v1/webhook_endpoints/{id}/deliveries`.
pub(crate) async fn deliveries(
    State(app): State<App>,
    context: RequestContext,
    PathId(id): PathId,
    query: QueryParams,
) -> Result<Response, GatewayError> {
    let request = pb::ListWebhookDeliveriesRequest { endpoint_id: id, ..pb::ListWebhookDeliveriesRequest::default() };
    list_deliveries(&app, &context, &query, request).await
}

/// `GET /v1/videos/{id}/deliveries`.
pub(crate) async fn deliveries_of_video(
    State(app): State<App>,
    context: RequestContext,
    PathId(id): PathId,
    query: QueryParams,
) -> Result<Response, GatewayError> {
    let request = pb::ListWebhookDeliveriesRequest { video_id: id, ..pb::ListWebhookDeliveriesRequest::default() };
    list_deliveries(&app, &context, &query, request).await
}

/// `POST /v1/webhook_endpoints/{id}/deliveries/{delivery_id}/redeliver`. The body is not read.
pub(crate) async fn redeliver(
    State(app): State<App>,
    context: RequestContext,
    Path((endpoint_id, id)): Path<(String, String)>,
) -> Result<Response, GatewayError> {
    let call = context.call(pb::RedeliverWebhookRequest { id, endpoint_id });
    let (metadata, reply, _) = app.core.webhook.redeliver_webhook(call).await?.into_parts();
    delivery(reply.delivery, metadata)
}

async fn list_deliveries(
    app: &App,
    context: &RequestContext,
    query: &QueryParams,
    request: pb::ListWebhookDeliveriesRequest,
) -> Result<Response, GatewayError> {
    let (page_size, page_token) = lists::read_page(query)?;
    let call = context.call(pb::ListWebhookDeliveriesRequest { page_size, page_token, ..request });
    let (metadata, reply, _) = app.core.webhook.list_webhook_deliveries(call).await?.into_parts();
    let deliveries: Vec<_> = reply.deliveries.into_iter().map(wire::Delivery::of).collect();
    Ok(lists::page(&deliveries, |delivery| &delivery.id, &reply.next_page_token, metadata))
}

fn endpoint(
    endpoint: Option<pb::WebhookEndpoint>,
    secret: Option<String>,
    metadata: MetadataMap,
) -> Result<Response, GatewayError> {
    let endpoint = wire::Endpoint::of(endpoint.ok_or_else(GatewayError::internal)?, secret);
    Ok(with_metadata(Json(endpoint).into_response(), metadata))
}

fn delivery(delivery: Option<pb::WebhookDelivery>, metadata: MetadataMap) -> Result<Response, GatewayError> {
    let delivery = wire::Delivery::of(delivery.ok_or_else(GatewayError::internal)?);
    Ok(with_metadata(Json(delivery).into_response(), metadata))
}

#[cfg(test)]
mod tests;
