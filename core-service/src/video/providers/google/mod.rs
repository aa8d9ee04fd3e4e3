//! What the two APIs of Google for videos have in common, the Gemini API and Vertex AI: Veo's operations, the interactions of Gemini
//! Omni, and how both refuse content.

pub(super) mod interactions;
pub(super) mod location;
pub(super) mod refusal;
pub(super) mod veo;
pub(super) mod video_object;
