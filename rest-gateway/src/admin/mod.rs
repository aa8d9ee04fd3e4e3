//! `/admin/v1`, for administrators: API keys, and the repair of the ledger, which records what keys and teams spend. A hold is money
//! that the ledger reserves for calls or a video until their cost is known.

mod request;
#[cfg(test)]
mod tests;
mod wire;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use tonic::metadata::MetadataMap;
use triptych_proto::v1 as pb;

use crate::{
    app::App, context::RequestContext, error::GatewayError, lists, members::Members, metadata::with_metadata,
    path::PathId, query::QueryParams,
};

/// `POST /admin/v1/keys`.
pub(crate) async fn create_key(
    State(app): State<App>,
    context: RequestContext,
    members: Members,
) -> Result<Response, GatewayError> {
    let call = context.call(request::create(&members)?);
    let (metadata, reply, _) = app.core.admin.create_key(call).await?.into_parts();
    key(reply.key, Some(reply.secret), metadata)
}

/// `GET /admin/v1/keys`.
pub(crate) async fn list_keys(
    State(app): State<App>,
    context: RequestContext,
    query: QueryParams,
) -> Result<Response, GatewayError> {
    let call = context.call(request::list_keys(&query)?);
    let (metadata, reply, _) = app.core.admin.list_keys(call).await?.into_parts();
    let keys: Vec<_> = reply.keys.into_iter().map(|key| wire::Key::of(key, None)).collect();
    Ok(lists::page(&keys, |key| &key.name, &reply.next_page_token, metadata))
}

/// `GET /admin/v1/keys/{name}`.
pub(crate) async fn get_key(
    State(app): State<App>,
    context: RequestContext,
    PathId(name): PathId,
) -> Result<Response, GatewayError> {
    let call = context.call(pb::GetKeyRequest { name });
    let (metadata, reply, _) = app.core.admin.get_key(call).await?.into_parts();
    key(reply.key, None, metadata)
}

/// `POST /admin/v1/keys/{name}`.
pub(crate) async fn update_key(
    State(app): State<App>,
    context: RequestContext,
    PathId(name): PathId,
    members: Members,
) -> Result<Response, GatewayError> {
    let call = context.call(request::update(name, &members)?);
    let (metadata, reply, _) = app.core.admin.update_key(call).await?.into_parts();
    key(reply.key, None, metadata)
}

/// `POST /admin/v1/keys/{name}/rotate`.
pub(crate) async fn rotate_key(
    State(app): State<App>,
    context: RequestContext,
    PathId(name): PathId,
    members: Members,
) -> Result<Response, GatewayError> {
    let call = context.call(request::rotate(name, &members)?);
    let (metadata, reply, _) = app.core.admin.rotate_key(call).await?.into_parts();
    key(reply.key, Some(reply.secret), metadata)
}

/// `POST /admin/v1/keys/{name}/revoke`. The body is not read.
pub(crate) async fn revoke_key(
    State(app): State<App>,
    context: RequestContext,
    PathId(name): PathId,
) -> Result<Response, GatewayError> {
    let call = context.call(pb::RevokeKeyRequest { name });
    let (metadata, reply, _) = app.core.admin.revoke_key(call).await?.into_parts();
    key(reply.key, None, metadata)
}

/// `GET /admin/v1/ledger/verify`.
pub(crate) async fn verify_ledger(State(app): State<App>, context: RequestContext) -> Result<Response, GatewayError> {
    let call = context.call(pb::VerifyLedgerRequest {});
    let (metadata, reply, _) = app.core.admin.verify_ledger(call).await?.into_parts();
    let verification = wire::Verification::of(reply.discrepancies);
    Ok(with_metadata(Json(verification).into_response(), metadata))
}

/// `GET /admin/v1/ledger/holds`.
pub(crate) async fn list_holds(
    State(app): State<App>,
    context: RequestContext,
    query: QueryParams,
) -> Result<Response, GatewayError> {
    let call = context.call(request::list_holds(&query)?);
    let (metadata, reply, _) = app.core.admin.list_holds(call).await?.into_parts();
    let holds: Vec<_> = reply.holds.into_iter().map(wire::Hold::of).collect();
    Ok(lists::page(&holds, |hold| &hold.id, &reply.next_page_token, metadata))
}

/// `POST /admin/v1/ledger/holds/{id}/resolve`.
pub(crate) async fn resolve_hold(
    State(app): State<App>,
    context: RequestContext,
    PathId(id): PathId,
    members: Members,
) -> Result<Response, GatewayError> {
    let call = context.call(request::resolve(id, &members)?);
    let (metadata, reply, _) = app.core.admin.resolve_hold(call).await?.into_parts();
    let hold = wire::Hold::of(reply.hold.ok_or_else(GatewayError::internal)?);
    let resolution = wire::Resolution::new(hold, reply.cost_micros);
    Ok(with_metadata(Json(resolution).into_response(), metadata))
}

fn key(key: Option<pb::ApiKey>, secret: Option<String>, metadata: MetadataMap) -> Result<Response, GatewayError> {
    let key = wire::Key::of(key.ok_or_else(GatewayError::internal)?, secret);
    Ok(with_metadata(Json(key).into_response(), metadata))
}
