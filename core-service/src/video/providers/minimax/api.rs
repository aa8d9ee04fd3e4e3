//! The versions of MiniMax's API, and their paths. A task is known only in the version in which it was submitted, whose name is
//! therefore stored with the task.

use super::super::common::exchange::path_segment;
use crate::{error::ProviderError, model_facts::ModelFacts, video::UpstreamTask};

/// A version of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Api {
    /// Version 1, for Hailuo and older models. The result is a file, whose link is requested by its id.
    V1,
    /// Version 2, for H3 and newer models. The result is a link.
    V2,
}

impl Api {
    /// Returns the version that serves a model.
    pub(super) fn of(facts: &ModelFacts) -> Self {
        if facts.api == "v1" { Self::V1 } else { Self::V2 }
    }

    /// Returns the path of submissions.
    pub(super) fn path(self) -> String {
        format!("{}/video_generation", self.name())
    }

    /// Returns the task with this id, as it is stored with the job: `VERSION/ID`.
    pub(super) fn task(self, id: &str) -> UpstreamTask {
        UpstreamTask(format!("{}/{id}", self.name()))
    }

    /// Returns the version and the id of a stored task.
    pub(super) fn of_task(task: &UpstreamTask) -> Result<(Self, &str), ProviderError> {
        let parsed = task.0.split_once('/').and_then(|(name, id)| {
            let api = [Self::V1, Self::V2].into_iter().find(|api| api.name() == name)?;
            Some((api, id))
        });
        parsed.ok_or_else(|| ProviderError::Unreadable("the stored task does not belong to this provider".to_owned()))
    }

    /// Returns the path of polls.
    pub(super) fn poll_path(self, id: &str) -> String {
        let id = path_segment(id);
        match self {
            Self::V1 => format!("v1/query/video_generation?task_id={id}"),
            Self::V2 => format!("v2/query/video_generation/{id}"),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }
}

/// Returns the path of the request for the link to a file.
pub(super) fn file_path(id: &str) -> String {
    format!("v1/files/retrieve?file_id={}", path_segment(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_task_has_the_version_whose_path_is_polled() {
        for (api, path) in
            [(Api::V1, "v1/query/video_generation?task_id=7%2F8"), (Api::V2, "v2/query/video_generation/7%2F8")]
        {
            let task = api.task("7/8");
            let (parsed, id) = Api::of_task(&task).unwrap();
            assert_eq!((parsed, parsed.poll_path(id).as_str()), (api, path));
        }
        for wrong in ["7", "v3/7", ""] {
            assert!(Api::of_task(&UpstreamTask(wrong.to_owned())).is_err(), "{wrong}");
        }
    }
}
