//! The gRPC door of the catalog.

use std::sync::Arc;

use async_trait::async_trait;
use tonic::{Request, Response, Status};
use triptych_proto::v1::{self as pb, model_service_server::ModelService};

use crate::{catalog::Catalog, error::Error, keys::Keys};

/// Answers which models are served.
#[derive(Debug, Clone)]
pub struct ModelDoor {
    catalog: Arc<Catalog>,
    keys: Keys,
}

impl ModelDoor {
    /// The door of this catalog.
    pub fn new(catalog: Arc<Catalog>) -> Self {
        Self { catalog, keys: Keys::default() }
    }

    /// The same, for callers with one of these keys.
    #[must_use]
    pub fn with_keys(self, keys: Keys) -> Self {
        Self { keys, ..self }
    }
}

#[async_trait]
impl ModelService for ModelDoor {
    async fn list_models(
        &self,
        request: Request<pb::ListModelsRequest>,
    ) -> Result<Response<pb::ListModelsResponse>, Status> {
        self.keys.caller(&request)?;
        let pb::ListModelsRequest { panel } = request.into_inner();
        let panel = pb::Panel::try_from(panel)
            .map_err(|_| Error::invalid("panel", "must be PANEL_CHAT, PANEL_IMAGE, PANEL_VIDEO or absent"))?;
        Ok(Response::new(pb::ListModelsResponse { models: self.catalog.models(panel) }))
    }

    async fn get_model(&self, request: Request<pb::GetModelRequest>) -> Result<Response<pb::GetModelResponse>, Status> {
        self.keys.caller(&request)?;
        let pb::GetModelRequest { id } = request.into_inner();
        if id.is_empty() {
            return Err(Error::invalid("id", "must name a model").into());
        }
        Ok(Response::new(pb::GetModelResponse { model: Some(self.catalog.model(&id)?) }))
    }
}
