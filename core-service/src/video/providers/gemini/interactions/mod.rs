//! Gemini Omni: a video is an interaction in the background.

mod request;
mod response;

pub(super) use self::{
    request::encode,
    response::{polled, submitted},
};

/// The path of all interactions.
pub(super) const PATH: &str = "interactions";

/// Returns whether a task is an interaction: its text is the path.
pub(super) fn is_interaction(task: &str) -> bool {
    interaction_id(task).is_some()
}

/// Returns the id of a task that is an interaction.
fn interaction_id(task: &str) -> Option<&str> {
    task.strip_prefix(PATH)?.strip_prefix('/')
}
