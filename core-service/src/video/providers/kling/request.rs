//! The request body of a task, at the endpoint that its inputs and the API of the model decide.

use openai_dialect::extra_members;
use serde_json::{Value, json};

use super::endpoint::Endpoint;
use crate::{
    error::ProviderError,
    json::JsonObject,
    video::{
        Operation, RenderRequest,
        inputs::{InputRole, RenderInput},
        parameters::VideoParameters,
    },
};

/// Members that clients cannot set: what is rendered, and the mark by which a lost submission is found.
const RESERVED: [&str; 6] = ["model_name", "image", "image_tail", "image_list", "video_list", "external_task_id"];

/// Encodes a request. `mark` identifies the task in lists.
///
/// # Errors
/// [`ProviderError::NotSupported`] if an input must be a URL and is a file.
pub(super) fn encode(
    model: &str,
    endpoint: Endpoint,
    request: &RenderRequest,
    mark: &str,
) -> Result<String, ProviderError> {
    let VideoParameters {
        prompt,
        operation,
        seconds,
        negative_prompt,
        aspect_ratio,
        resolution,
        generate_audio,
        extra_json,
        ..
    } = &request.parameters;
    let is_edit = *operation == Operation::Edit;
    let mut members = JsonObject::default();
    // The default is the oldest model.
    members.add("model_name", model);
    members.add("prompt", prompt.as_str());
    if !negative_prompt.is_empty() {
        members.add("negative_prompt", negative_prompt.as_str());
    }
    if let Some(mode) = mode(resolution) {
        members.add("mode", mode);
    }
    // An edited video keeps its own.
    if !is_edit {
        members.add("duration", seconds.to_string());
    }
    // Frames have their own, and so does a video to edit.
    if !is_edit && !request.parameters.has_frames() && !aspect_ratio.is_empty() {
        members.add("aspect_ratio", aspect_ratio.as_str());
    }
    if let Some(generate_audio) = generate_audio {
        members.add("sound", if *generate_audio { "on" } else { "off" });
    }
    if endpoint == Endpoint::Omni {
        add_lists(&mut members, &request.inputs)?;
    } else {
        for (role, name) in [(InputRole::FirstFrame, "image"), (InputRole::LastFrame, "image_tail")] {
            if let Some(input) = request.input(role) {
                members.add(name, input.url_or_base64());
            }
        }
    }
    members.add("external_task_id", mark);
    for (name, value) in extra_members(extra_json).unwrap_or_default() {
        if !RESERVED.contains(&name.as_str()) {
            members.add_raw(&name, value);
        }
    }
    Ok(members.to_string())
}

/// Returns Kling's name of a resolution.
fn mode(resolution: &str) -> Option<&'static str> {
    match resolution.to_ascii_lowercase().as_str() {
        "720p" => Some("std"),
        "1080p" => Some("pro"),
        "4k" => Some("4k"),
        _ => None,
    }
}

/// Adds the lists of images and videos of a model that accepts several. Videos are accepted by URL only.
fn add_lists(members: &mut JsonObject, inputs: &[RenderInput]) -> Result<(), ProviderError> {
    let (mut images, mut videos) = (Vec::<Value>::new(), Vec::<Value>::new());
    for input in inputs {
        match input.role {
            InputRole::FirstFrame => images.push(json!({"image_url": input.url_or_base64(), "type": "first_frame"})),
            InputRole::LastFrame => images.push(json!({"image_url": input.url_or_base64(), "type": "end_frame"})),
            InputRole::Image => images.push(json!({"image_url": input.url_or_base64()})),
            InputRole::Video => videos.push(json!({"video_url": input.fetchable_url()?, "refer_type": "feature"})),
            InputRole::Source => videos.push(json!({"video_url": input.fetchable_url()?, "refer_type": "base"})),
            InputRole::Sound => return Err(ProviderError::NotSupported("Kling accepts no sounds".to_owned())),
        }
    }
    for (name, list) in [("image_list", images), ("video_list", videos)] {
        if !list.is_empty() {
            members.add(name, list);
        }
    }
    Ok(())
}
