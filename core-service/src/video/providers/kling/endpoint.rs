//! Kling's endpoints. The model and the inputs decide to which one a request is submitted. A task is known only at its endpoint,
//! whose name is therefore stored with the task.

use super::super::common::exchange::path_segment;
use crate::{
    error::ProviderError,
    model_facts::ModelFacts,
    video::{UpstreamTask, parameters::VideoParameters},
};

/// An endpoint. Tasks are polled and listed at the endpoint that they were submitted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// A video from a prompt.
    Text,
    /// A video from a first frame, or a first and a last one.
    Image,
    /// A video from any inputs, for models that are served only here (`api = "omni"` in their facts).
    Omni,
}

impl Endpoint {
    const ALL: [Self; 3] = [Self::Text, Self::Image, Self::Omni];

    /// Returns the endpoint of a request.
    pub(super) fn of(facts: &ModelFacts, parameters: &VideoParameters) -> Self {
        match (facts.api.as_str(), parameters.has_frames()) {
            ("omni", _) => Self::Omni,
            (_, true) => Self::Image,
            (_, false) => Self::Text,
        }
    }

    /// Returns the path of submissions and lists.
    pub(super) fn path(self) -> String {
        format!("v1/videos/{}", self.name())
    }

    /// Returns the task with this id, as it is stored with the job: `ENDPOINT/ID`.
    pub(super) fn task(self, id: &str) -> UpstreamTask {
        UpstreamTask(format!("{}/{id}", self.name()))
    }

    /// Returns the last segment of the path.
    fn name(self) -> &'static str {
        match self {
            Self::Text => "text2video",
            Self::Image => "image2video",
            Self::Omni => "omni-video",
        }
    }
}

/// Returns the path of a stored task.
pub(super) fn task_path(task: &UpstreamTask) -> Result<String, ProviderError> {
    let parsed = task.0.split_once('/').and_then(|(name, id)| {
        let endpoint = Endpoint::ALL.into_iter().find(|endpoint| endpoint.name() == name)?;
        Some(format!("{}/{}", endpoint.path(), path_segment(id)))
    });
    parsed.ok_or_else(|| ProviderError::Unreadable("the stored task does not belong to this provider".to_owned()))
}
