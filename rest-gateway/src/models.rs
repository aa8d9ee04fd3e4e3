//! `GET /v1/models`: what is served, as OpenAI lists it, and a few members more: what the model makes and can do, under
//! which names, and how it and its targets stand.

use axum::{
    Json,
    extract::{Query, State},
};
use http::Uri;
use serde::Serialize;
use triptych_proto::{time::unix_seconds, v1 as pb};

use crate::{app::App, context::Context, error::GatewayError, path::Id};

#[derive(Debug, Serialize)]
pub(crate) struct ModelList {
    object: &'static str,
    data: Vec<Model>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Model {
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
}

#[derive(Debug, Serialize)]
struct Target {
    name: String,
    upstream_model: String,
    state: &'static str,
    in_flight: u32,
    weight: u32,
    priority: u32,
}

impl From<pb::Model> for Model {
    fn from(model: pb::Model) -> Self {
        let modality = modality(model.modality());
        let pb::Model { id, modality: _, owned_by, create_time, default, aliases, capabilities, healthy, targets } =
            model;
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
        }
    }
}

impl From<pb::model::Target> for Target {
    fn from(target: pb::model::Target) -> Self {
        let state = state(target.state());
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

/// The panel that a query asks for; all of them where it names none.
fn asked(uri: &Uri) -> Result<pb::Modality, GatewayError> {
    let pairs = Query::<Vec<(String, String)>>::try_from_uri(uri);
    let Query(pairs) = pairs.map_err(|_| GatewayError::invalid_request("the query cannot be read"))?;
    let Some((_, word)) = pairs.iter().rev().find(|(name, _)| name == "modality") else {
        return Ok(pb::Modality::Unspecified);
    };
    let modalities = [pb::Modality::Chat, pb::Modality::Image, pb::Modality::Video];
    let found = modalities.into_iter().find(|known| modality(*known) == word);
    found.ok_or_else(|| GatewayError::invalid("modality", "`modality` must be `chat`, `image` or `video`"))
}

/// A breaker's state in the words of metrics and of `/v1/models`.
pub(crate) fn state(state: pb::model::target::State) -> &'static str {
    match state {
        pb::model::target::State::Unspecified => "unknown",
        pb::model::target::State::Closed => "closed",
        pb::model::target::State::Open => "open",
        pb::model::target::State::HalfOpen => "half_open",
    }
}

pub(crate) async fn list(State(app): State<App>, context: Context, uri: Uri) -> Result<Json<ModelList>, GatewayError> {
    let request = pb::ListModelsRequest { modality: asked(&uri)?.into(), ..Default::default() };
    let answer = app.core.model.list_models(context.call(request)).await?.into_inner();
    Ok(Json(ModelList { object: "list", data: answer.models.into_iter().map(Model::from).collect() }))
}

/// Names may hold slashes, plain or encoded.
pub(crate) async fn get(State(app): State<App>, context: Context, Id(id): Id) -> Result<Json<Model>, GatewayError> {
    let answer = app.core.model.get_model(context.call(pb::GetModelRequest { id })).await?.into_inner();
    answer.model.map(|model| Json(model.into())).ok_or_else(GatewayError::internal)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{Script, get, send};

    fn model() -> Value {
        json!({"id": "org/m", "object": "model", "created": 7, "owned_by": "offline", "modality": "image", "default": true,
               "aliases": ["habit"], "capabilities": ["edit"], "healthy": true})
    }

    #[tokio::test]
    async fn models_are_listed_as_openai_lists_them() {
        let answer = send(&Script::default(), get("/v1/models")).await;
        assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({"object": "list", "data": [model()]})));
    }

    #[tokio::test]
    async fn a_list_may_be_of_one_panel() {
        let script = Script::default();
        for (query, panel) in [
            ("", pb::Modality::Unspecified),
            ("?other=1", pb::Modality::Unspecified),
            ("?modality=chat", pb::Modality::Chat),
            ("?modality=chat&modality=image", pb::Modality::Image),
            ("?modality=video", pb::Modality::Video),
        ] {
            assert_eq!(send(&script, get(&format!("/v1/models{query}"))).await.status, 200, "{query}");
            assert_eq!(script.panel(), panel, "{query}");
        }
        for wrong in ["", "images", "unknown", "MODALITY_CHAT"] {
            let answer = send(&script, get(&format!("/v1/models?modality={wrong}"))).await;
            assert_eq!(answer.error(), (400, Some("modality".to_owned()), "invalid_field".to_owned()), "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_name_with_a_slash_is_found_plain_and_encoded() {
        for path in ["/v1/models/org/m", "/v1/models/org%2Fm"] {
            let answer = send(&Script::default(), get(path)).await;
            assert_eq!((answer.status.as_u16(), answer.json()), (200, model()), "{path}");
        }
    }

    #[tokio::test]
    async fn the_targets_of_a_routed_model_are_told_as_they_stand() {
        let target = json!({"name": "near", "upstream_model": "theirs", "state": "half_open", "in_flight": 2, "weight": 3, "priority": 1});
        let answer = send(&Script::default(), get("/v1/models/routed")).await.json();
        assert_eq!((&answer["healthy"], &answer["targets"]), (&json!(true), &json!([target])));
    }

    #[tokio::test]
    async fn a_model_that_is_none_is_a_404_that_names_the_member() {
        let script = Script::default();
        script.fails("MODEL_NOT_FOUND", tonic::Code::NotFound, Some("model"));
        let answer = send(&script, get("/v1/models/none")).await;
        assert_eq!(answer.error(), (404, Some("model".to_owned()), "model_not_found".to_owned()));
    }
}
