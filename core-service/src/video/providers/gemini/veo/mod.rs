//! Veo: a video is a long-running operation.

mod request;
mod response;

use super::super::common::exchange::path_segment;

pub(super) use self::{
    request::{encode, encode_extension},
    response::{polled, submitted},
};

/// Returns whether a model is one of the Veo family, which has an API of its own.
pub(super) fn is_veo(model: &str) -> bool {
    model.rsplit('/').next().is_some_and(|name| name.to_ascii_lowercase().starts_with("veo"))
}

/// Returns the path of submissions.
pub(super) fn path(model: &str) -> String {
    let name = model.strip_prefix("models/").unwrap_or(model);
    format!("models/{}:predictLongRunning", path_segment(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn family_is_derived_from_the_name() {
        assert!(is_veo("veo-3.1-generate-001") && is_veo("models/veo-3.1-fast-generate-001"));
        assert!(!is_veo("gemini-omni-1.2-flash"));
        assert_eq!(path("models/veo-3"), "models/veo-3:predictLongRunning");
    }
}
