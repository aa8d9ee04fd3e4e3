//! The model service of the stub. It lists the image model `org/m`, `routed` if the test has added it, and `clips` if
//! video models are requested. Every id has a model.

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
        let is_video_list = modality == i32::from(pb::Modality::Video);
        let ids = [Some("org/m"), has_routed_model.then_some("routed"), is_video_list.then_some("clips")];
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
    let is_video = id == "clips";
    pb::Model {
        id: id.to_owned(),
        modality: if is_video { pb::Modality::Video } else { pb::Modality::Image }.into(),
        owned_by: "offline".to_owned(),
        create_time: Some(from_unix_seconds(7)),
        default: true,
        aliases: vec!["alias".to_owned()],
        capabilities: vec!["edit".to_owned()],
        healthy: true,
        targets: if id == "routed" { vec![target] } else { Vec::new() },
        video: is_video.then(capabilities),
    }
}

fn capabilities() -> pb::VideoCapabilities {
    pb::VideoCapabilities {
        resolutions: vec!["480p".to_owned(), "720p".to_owned()],
        aspect_ratios: vec!["16:9".to_owned()],
        durations: vec![4, 8],
        first_frame: true,
        last_frame: true,
        max_reference_images: 9,
        audio: pb::video_capabilities::Audio::DefaultOn.into(),
        seed: true,
        deprecation_date: "2027-01-31".to_owned(),
        ..pb::VideoCapabilities::default()
    }
}
