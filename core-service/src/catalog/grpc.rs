//! The gRPC service of the model catalog: reads only, over the models that are configured at the time of the call.

use async_trait::async_trait;
use tonic::{Request, Response, Status};
use triptych_proto::v1::{self as pb, model_service_server::ModelService};

use super::Catalog;
use crate::{error::Error, keys::Keys};

/// The gRPC service `triptych.v1.ModelService`: lists the served models, and returns one by its name or alias.
///
/// Each call reads the current catalog: it sees models that [`Catalog::replace`] has set, and the present health of the
/// targets, which are the upstreams of a model. Clones share the catalog and the keys.
#[derive(Debug, Clone)]
pub struct ModelGrpc {
    catalog: Catalog,
    keys: Keys,
}

impl ModelGrpc {
    /// Creates the service over this catalog. Every caller is allowed until [`with_keys`](Self::with_keys) sets keys.
    pub fn new(catalog: Catalog) -> Self {
        Self { catalog, keys: Keys::default() }
    }

    /// Requires one of these API keys from every call; others fail with UNAUTHENTICATED. An empty set allows every
    /// caller. A caller sees the models that its key may call.
    #[must_use]
    pub fn with_keys(self, keys: Keys) -> Self {
        Self { keys, ..self }
    }
}

/// Returns the page after the model `page_token`, or the first one if it is empty. A `page_size` of 0 returns all remaining
/// models. The token is the id of the last model of the previous page, and is valid as long as that model is listed.
///
/// # Errors
/// `page_token` is not the id of a model in `models`.
fn page(mut models: Vec<pb::Model>, page_size: u32, page_token: &str) -> Result<pb::ListModelsResponse, Error> {
    if !page_token.is_empty() {
        let last = models.iter().position(|model| model.id == page_token);
        let last = last.ok_or_else(|| {
            Error::invalid("page_token", "is not valid, or its model was removed; list again without page_token")
        })?;
        models.drain(..=last);
    }
    let page_size = page_size as usize;
    let mut next_page_token = String::new();
    if (1..models.len()).contains(&page_size) {
        models.truncate(page_size);
        next_page_token = models.last().map(|model| model.id.clone()).unwrap_or_default();
    }
    Ok(pb::ListModelsResponse { models, next_page_token })
}

#[async_trait]
impl ModelService for ModelGrpc {
    async fn list_models(
        &self,
        request: Request<pb::ListModelsRequest>,
    ) -> Result<Response<pb::ListModelsResponse>, Status> {
        let caller = self.keys.caller(&request)?;
        let pb::ListModelsRequest { modality, page_size, page_token } = request.into_inner();
        let modality = pb::Modality::try_from(modality).map_err(|_| {
            let message = "must be MODALITY_CHAT, MODALITY_IMAGE, MODALITY_VIDEO or MODALITY_UNSPECIFIED";
            Error::invalid("modality", message)
        })?;
        let mut models = self.catalog.models(modality);
        models.retain(|model| caller.may_call(&model.id));
        Ok(Response::new(page(models, page_size, &page_token)?))
    }

    async fn get_model(&self, request: Request<pb::GetModelRequest>) -> Result<Response<pb::GetModelResponse>, Status> {
        let caller = self.keys.caller(&request)?;
        let pb::GetModelRequest { id } = request.into_inner();
        if id.is_empty() {
            return Err(Error::invalid("id", "is required: the name of a model").into());
        }
        // The closure selects the names in the error for an unknown model; a known one is checked afterwards.
        let model = self.catalog.model(&id, |model| caller.may_call(model))?;
        caller.check_model(&model.id)?;
        Ok(Response::new(pb::GetModelResponse { model: Some(model) }))
    }
}
