//! The gRPC service of the model catalog.

use async_trait::async_trait;
use tonic::{Request, Response, Status};
use triptych_proto::v1::{self as pb, model_service_server::ModelService};

use super::Catalog;
use crate::{error::Error, keys::Keys};

/// Implements [`ModelService`].
#[derive(Debug, Clone)]
pub struct ModelGrpc {
    catalog: Catalog,
    keys: Keys,
}

impl ModelGrpc {
    /// Creates the service, without authentication.
    pub fn new(catalog: Catalog) -> Self {
        Self { catalog, keys: Keys::default() }
    }

    /// Requires one of these API keys.
    #[must_use]
    pub fn with_keys(self, keys: Keys) -> Self {
        Self { keys, ..self }
    }
}

/// Returns the page after the model `page_token`, or the first one if it is empty. A `page_size` of 0 returns all remaining
/// models.
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
        self.keys.caller(&request)?;
        let pb::ListModelsRequest { modality, page_size, page_token } = request.into_inner();
        let modality = pb::Modality::try_from(modality).map_err(|_| {
            let message = "must be MODALITY_CHAT, MODALITY_IMAGE, MODALITY_VIDEO or MODALITY_UNSPECIFIED";
            Error::invalid("modality", message)
        })?;
        Ok(Response::new(page(self.catalog.models(modality), page_size, &page_token)?))
    }

    async fn get_model(&self, request: Request<pb::GetModelRequest>) -> Result<Response<pb::GetModelResponse>, Status> {
        self.keys.caller(&request)?;
        let pb::GetModelRequest { id } = request.into_inner();
        if id.is_empty() {
            return Err(Error::invalid("id", "is required: the name of a model").into());
        }
        Ok(Response::new(pb::GetModelResponse { model: Some(self.catalog.model(&id)?) }))
    }
}
