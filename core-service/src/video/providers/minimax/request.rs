//! The request body that creates a task, in both versions of MiniMax's API: version 1 has a member for each image, version 2 a list
//! `content` with the prompt and all inputs.

use openai_dialect::extra_members;
use serde_json::{Value, json};

use super::api::Api;
use crate::{
    error::ProviderError,
    json::JsonObject,
    video::{
        RenderRequest,
        inputs::{InputRole, RenderInput},
        parameters::VideoParameters,
    },
};

/// Members that clients cannot set: the inputs.
const RESERVED: [&str; 4] = ["content", "first_frame_image", "last_frame_image", "subject_reference"];

/// Encodes a request.
///
/// # Errors
/// [`ProviderError::NotSupported`] if an input must be a URL and is a file.
pub(super) fn encode(model: &str, api: Api, request: &RenderRequest) -> Result<String, ProviderError> {
    let VideoParameters { prompt, seconds, resolution, aspect_ratio, extra_json, .. } = &request.parameters;
    let mut members = JsonObject::default();
    members.add("model", model);
    match api {
        Api::V1 => {
            members.add("prompt", prompt.as_str());
            add_images(&mut members, request);
        }
        Api::V2 => {
            let text = Ok(json!({"type": "text", "text": prompt}));
            let content: Result<Vec<_>, _> = std::iter::once(text).chain(request.inputs.iter().map(part)).collect();
            members.add("content", content?);
        }
    }
    if !resolution.is_empty() {
        members.add("resolution", resolution.as_str());
    }
    members.add("duration", *seconds);
    // Frames determine the aspect ratio, and version 1 has no such member.
    if api == Api::V2 && !request.parameters.has_frames() && !aspect_ratio.is_empty() {
        members.add("ratio", aspect_ratio.as_str());
    }
    // Members of the client, which do not replace those above.
    for (name, value) in extra_members(extra_json).unwrap_or_default() {
        if !RESERVED.contains(&name.as_str()) {
            members.add_raw(&name, value);
        }
    }
    Ok(members.to_string())
}

/// Adds the images that version 1 accepts. A reference image must show a person: `character` is the only type of subject.
fn add_images(members: &mut JsonObject, request: &RenderRequest) {
    for (role, name) in [(InputRole::FirstFrame, "first_frame_image"), (InputRole::LastFrame, "last_frame_image")] {
        if let Some(input) = request.input(role) {
            members.add(name, input.url());
        }
    }
    if let Some(input) = request.input(InputRole::Image) {
        members.add("subject_reference", json!([{"type": "character", "image": [input.url()]}]));
    }
}

/// Returns the part of `content` for an input. MiniMax accepts videos and sounds by URL only.
fn part(input: &RenderInput) -> Result<Value, ProviderError> {
    let (kind, role, url) = match input.role {
        InputRole::FirstFrame => ("image_url", "first_frame", input.url()),
        InputRole::LastFrame => ("image_url", "last_frame", input.url()),
        InputRole::Image => ("image_url", "reference_image", input.url()),
        InputRole::Video | InputRole::Source => ("video_url", "reference_video", input.fetchable_url()?),
        InputRole::Sound => ("audio_url", "reference_audio", input.fetchable_url()?),
    };
    Ok(json!({"type": kind, kind: {"url": url}, "role": role}))
}
