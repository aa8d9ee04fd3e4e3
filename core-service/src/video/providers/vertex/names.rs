//! URLs and paths of Vertex AI. The name of a resource, such as an operation, is its path below the version of the API.

use super::super::common::exchange::{path_segment, path_segments};
use crate::error::ProviderError;

/// The location without a region, and the only one of interactions.
const GLOBAL: &str = "global";

/// Returns the URL of the API at a location.
pub(super) fn base_url(location: &str) -> String {
    if location == GLOBAL {
        "https://aiplatform.googleapis.com".to_owned()
    } else {
        format!("https://{location}-aiplatform.googleapis.com")
    }
}

/// Returns the URL of the API for interactions.
pub(super) fn base_url_of_interactions() -> String {
    base_url(GLOBAL)
}

/// Returns the path of the publisher Google, below which its models are, with a slash at the end.
pub(super) fn publisher(project: &str, location: &str) -> String {
    format!("v1/projects/{}/locations/{}/publishers/google/", path_segment(project), path_segment(location))
}

/// Returns the path of `interaction`: `interactions`, or `interactions/ID`.
pub(super) fn interaction(project: &str, interaction: &str) -> String {
    format!("v1beta1/projects/{}/locations/{GLOBAL}/{}", path_segment(project), path_segments(interaction))
}

/// Returns the path of the request for the state of an operation: a method of its model, which is the first part of its name.
pub(super) fn fetch_operation(operation: &str) -> Result<String, ProviderError> {
    let model = operation.rsplit_once("/operations/").map(|(model, _)| model);
    let model = model.filter(|model| model.starts_with("projects/"));
    let model = model.ok_or_else(|| {
        ProviderError::Unreadable("the name of the upstream's operation does not contain its model".to_owned())
    })?;
    Ok(format!("v1/{}:fetchPredictOperation", path_segments(model)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_paths_below_the_project() {
        assert_eq!(base_url("europe-west4"), "https://europe-west4-aiplatform.googleapis.com");
        assert_eq!(base_url_of_interactions(), "https://aiplatform.googleapis.com");
        assert_eq!(
            publisher("example.com:p", "global"),
            "v1/projects/example.com%3Ap/locations/global/publishers/google/"
        );
        assert_eq!(interaction("p", "interactions/v1_a"), "v1beta1/projects/p/locations/global/interactions/v1_a");
        let model = "projects/7/locations/us-central1/publishers/google/models/veo-3.1-generate-001";
        assert_eq!(
            fetch_operation(&format!("{model}/operations/o-1")),
            Ok(format!("v1/{model}:fetchPredictOperation"))
        );
        for other in ["operations/o-1", "models/veo/operations/o-1", "projects/7"] {
            assert!(matches!(fetch_operation(other), Err(ProviderError::Unreadable(_))), "{other}");
        }
    }
}
