//! Codecs that the providers for the Gemini API and for Vertex AI share: Veo's long-running operations, the interactions of
//! Gemini Omni, the video in a response, its location as a job stores it, and refusals of content.

pub(super) mod interactions;
pub(super) mod location;
pub(super) mod refusal;
pub(super) mod veo;
pub(super) mod video_object;
