//! `GET /v1/models`: OpenAI's list of models, extended with modality, capabilities, aliases, health, targets and what video
//! models accept.

pub(crate) mod video;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use triptych_proto::{time::unix_seconds, v1 as pb};

use self::video::VideoCapabilities;
use crate::{
    app::App, context::RequestContext, error::GatewayError, metadata::with_metadata, path::PathId, query::QueryParams,
    target_state,
};

#[derive(Debug, Serialize)]
struct ModelList {
    object: &'static str,
    data: Vec<Model>,
}

/// A model. The first four members are OpenAI's.
#[derive(Debug, Serialize)]
struct Model {
    id: String,
    object: &'static str,
    created: i64,
    owned_by: String,
    modality: &'static str,
    default: bool,
    aliases: Vec<String>,
    capabilities: Vec<String>,
    healthy: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    targets: Vec<Target>,
    #[serde(skip_serializing_if = "Option::is_none")]
    video: Option<VideoCapabilities>,
}

/// One of several upstreams that serve the model.
#[derive(Debug, Serialize)]
struct Target {
    /// The upstream's name in the configuration.
    name: String,
    /// The upstream's name of the model.
    upstream_model: String,
    /// The state of its circuit breaker.
    state: &'static str,
    in_flight: u32,
    /// The share of calls among the targets of equal priority.
    weight: u32,
    /// Targets with a lower value are preferred.
    priority: u32,
}

impl From<pb::Model> for Model {
    fn from(model: pb::Model) -> Self {
        let modality = modality(model.modality());
        let pb::Model {
            id,
            modality: _,
            owned_by,
            create_time,
            default,
            aliases,
            capabilities,
            healthy,
            targets,
            video,
        } = model;
        let targets = targets.into_iter().map(Target::from).collect();
        Self {
            id,
            object: "model",
            created: unix_seconds(create_time),
            owned_by,
            modality,
            default,
            aliases,
            capabilities,
            healthy,
            targets,
            video: video.map(VideoCapabilities::from),
        }
    }
}

impl From<pb::model::Target> for Target {
    fn from(target: pb::model::Target) -> Self {
        let state = target_state::name(target.state());
        let pb::model::Target { name, upstream_model, state: _, in_flight, weight, priority } = target;
        Self { name, upstream_model, state, in_flight, weight, priority }
    }
}

fn modality(modality: pb::Modality) -> &'static str {
    match modality {
        pb::Modality::Unspecified => "unknown",
        pb::Modality::Chat => "chat",
        pb::Modality::Image => "image",
        pb::Modality::Video => "video",
    }
}

/// Parses the `modality` parameter; without it, models of every modality are listed.
fn requested_modality(query: &QueryParams) -> Result<pb::Modality, GatewayError> {
    let Some(word) = query.get("modality") else { return Ok(pb::Modality::Unspecified) };
    let modalities = [pb::Modality::Chat, pb::Modality::Image, pb::Modality::Video];
    let found = modalities.into_iter().find(|known| modality(*known) == word);
    found.ok_or_else(|| {
        GatewayError::invalid("modality", format!("modality \"{word}\": expected `chat`, `image` or `video`"))
    })
}

/// `GET /v1/models`.
pub(crate) async fn list(
    State(app): State<App>,
    context: RequestContext,
    query: QueryParams,
) -> Result<Response, GatewayError> {
    let request = pb::ListModelsRequest { modality: requested_modality(&query)?.into(), ..Default::default() };
    let (metadata, reply, _) = app.core.model.list_models(context.call(request)).await?.into_parts();
    // Clients let users choose from the list. A name with `*` is a pattern of the configuration and cannot be called.
    let models = reply.models.into_iter().filter(|model| !model.id.contains('*'));
    let list = ModelList { object: "list", data: models.map(Model::from).collect() };
    Ok(with_metadata(Json(list).into_response(), metadata))
}

/// `GET /v1/models/{id}`. The id may contain slashes, plain or percent-encoded.
pub(crate) async fn get(
    State(app): State<App>,
    context: RequestContext,
    PathId(id): PathId,
) -> Result<Response, GatewayError> {
    let (metadata, reply, _) = app.core.model.get_model(context.call(pb::GetModelRequest { id })).await?.into_parts();
    let model = Model::from(reply.model.ok_or_else(GatewayError::internal)?);
    Ok(with_metadata(Json(model).into_response(), metadata))
}

#[cfg(test)]
mod tests;
