//! `GET /v1/models`: what is served, as OpenAI lists it.

use axum::{Json, extract::State};
use serde::Serialize;
use triptych_proto::v1 as pb;

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
}

impl From<pb::Model> for Model {
    fn from(model: pb::Model) -> Self {
        let pb::Model { id, panel: _, owned_by, created, default: _, aliases: _, capabilities: _ } = model;
        Self { id, object: "model", created, owned_by }
    }
}

pub(crate) async fn list(State(app): State<App>, context: Context) -> Result<Json<ModelList>, GatewayError> {
    let all = pb::ListModelsRequest { panel: pb::Panel::Unspecified.into() };
    let answer = app.core.model.list_models(context.call(all)).await?.into_inner();
    Ok(Json(ModelList { object: "list", data: answer.models.into_iter().map(Model::from).collect() }))
}

/// Names may hold slashes, plain or encoded.
pub(crate) async fn get(State(app): State<App>, context: Context, Id(id): Id) -> Result<Json<Model>, GatewayError> {
    let answer = app.core.model.get_model(context.call(pb::GetModelRequest { id })).await?.into_inner();
    answer.model.map(|model| Json(model.into())).ok_or_else(GatewayError::internal)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{Script, get, send};

    #[tokio::test]
    async fn models_are_listed_as_openai_lists_them() {
        let answer = send(&Script::default(), get("/v1/models")).await;
        let model = json!({"id": "org/m", "object": "model", "created": 7, "owned_by": "offline"});
        assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({"object": "list", "data": [model]})));
    }

    #[tokio::test]
    async fn a_name_with_a_slash_is_found_plain_and_encoded() {
        for path in ["/v1/models/org/m", "/v1/models/org%2Fm"] {
            let answer = send(&Script::default(), get(path)).await;
            let model = json!({"id": "org/m", "object": "model", "created": 7, "owned_by": "offline"});
            assert_eq!((answer.status.as_u16(), answer.json()), (200, model), "{path}");
        }
    }

    #[tokio::test]
    async fn a_model_that_is_none_is_a_404_that_names_the_member() {
        let script = Script::default();
        script.fails("MODEL_NOT_FOUND", tonic::Code::NotFound, Some("model"));
        let answer = send(&script, get("/v1/models/none")).await;
        assert_eq!(answer.error(), (404, Some("model".to_owned()), "model_not_found".to_owned()));
    }
}
