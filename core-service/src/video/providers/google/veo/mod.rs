//! Veo through `predictLongRunning`: each render is a long-running operation, which is polled by its name.

mod request;
mod response;

use super::super::common::exchange::path_segment;

pub(in crate::video::providers) use self::{
    request::{encode, encode_extension, file},
    response::{parse_poll, parse_submission},
};

/// Returns whether a model is one of the Veo family, which has an API of its own.
pub(in crate::video::providers) fn is_veo(model: &str) -> bool {
    model.rsplit('/').next().is_some_and(|name| name.to_ascii_lowercase().starts_with("veo"))
}

/// Returns the path of submissions, without the path of the publisher, which precedes it on Vertex AI.
pub(in crate::video::providers) fn path(model: &str) -> String {
    let name = model.rsplit('/').next().unwrap_or(model);
    format!("models/{}:predictLongRunning", path_segment(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn family_is_derived_from_the_name() {
        assert!(is_veo("veo-3.1-generate-001") && is_veo("models/veo-3.1-fast-generate-001"));
        assert!(!is_veo("gemini-omni-1.2-flash"));
        for name in ["veo-3", "models/veo-3", "publishers/google/models/veo-3"] {
            assert_eq!(path(name), "models/veo-3:predictLongRunning");
        }
    }
}
