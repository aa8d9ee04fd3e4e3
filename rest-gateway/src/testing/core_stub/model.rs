//! The catalog: `org/m`, and `routed` on request.

use tonic::{Request, Response, Status};
use triptych_proto::{
    time::from_unix_seconds,
    v1::{self as pb, model_service_server::ModelService},
};

use super::CoreStub;

#[tonic::async_trait]
impl ModelService for CoreStub {
    async fn list_models(
        &self,
        request: Request<pb::ListModelsRequest>,
    ) -> Result<Response<pb::ListModelsResponse>, Status> {
        let modality = self.receive(request)?.modality;
        let has_routed_model = self.with(|state| {
            state.modality = modality;
            state.has_routed_model
        });
        let ids = [Some("org/m"), has_routed_model.then_some("routed")];
        let models = ids.into_iter().flatten().map(model).collect();
        Ok(self.reply(pb::ListModelsResponse { models, next_page_token: String::new() }))
    }

    async fn get_model(&self, request: Request<pb::GetModelRequest>) -> Result<Response<pb::GetModelResponse>, Status> {
        let message = self.receive(request)?;
        Ok(self.reply(pb::GetModelResponse { model: Some(model(&message.id)) }))
    }
}

fn model(id: &str) -> pb::Model {
    let target = pb::model::Target {
        name: "near".to_owned(),
        upstream_model: "theirs".to_owned(),
        state: pb::model::target::State::HalfOpen.into(),
        in_flight: 2,
        weight: 3,
        priority: 1,
    };
    pb::Model {
        id: id.to_owned(),
        modality: pb::Modality::Image.into(),
        owned_by: "offline".to_owned(),
        create_time: Some(from_unix_seconds(7)),
        default: true,
        aliases: vec!["alias".to_owned()],
        capabilities: vec!["edit".to_owned()],
        healthy: true,
        targets: if id == "routed" { vec![target] } else { Vec::new() },
        video: None,
    }
}
