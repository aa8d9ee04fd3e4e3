//! Gemini Omni through Google's Interactions API: each render is an interaction, which runs in the background and is polled.

mod request;
mod response;

pub(in crate::video::providers) use self::{
    request::{Delivery, encode},
    response::{parse_cancellation, parse_poll, parse_submission},
};

/// The path of all interactions.
pub(in crate::video::providers) const PATH: &str = "interactions";

/// Returns whether a task is an interaction, `interactions/ID`, rather than an operation of Veo.
pub(in crate::video::providers) fn is_interaction(task: &str) -> bool {
    interaction_id(task).is_some()
}

/// Returns the id of a task that is an interaction.
fn interaction_id(task: &str) -> Option<&str> {
    task.strip_prefix(PATH)?.strip_prefix('/')
}
