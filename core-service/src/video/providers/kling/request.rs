//! The request body that creates a task at Kling. Its members depend on the endpoint.

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

/// Members that clients cannot set: the model, the inputs, and the id of the job, by which the task of a submission is found if
/// the response to the submission was lost.
const RESERVED: [&str; 6] = ["model_name", "image", "image_tail", "image_list", "video_list", "external_task_id"];

/// Encodes a request. Kling returns `job_id` in lists of tasks.
///
/// # Errors
/// [`ProviderError::NotSupported`] if an input must be a URL and is a file.
pub(super) fn encode(
    model: &str,
    endpoint: Endpoint,
    request: &RenderRequest,
    job_id: &str,
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
    // Always sent: without it, Kling uses its oldest model.
    members.add("model_name", model);
    members.add("prompt", prompt.as_str());
    if !negative_prompt.is_empty() {
        members.add("negative_prompt", negative_prompt.as_str());
    }
    if let Some(mode) = mode(resolution) {
        members.add("mode", mode);
    }
    // An edited video keeps its duration.
    if !is_edit {
        members.add("duration", seconds.to_string());
    }
    // Frames and a video to edit determine the aspect ratio.
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
    members.add("external_task_id", job_id);
    // Members of the client, which do not replace those above.
    for (name, value) in extra_members(extra_json).unwrap_or_default() {
        if !RESERVED.contains(&name.as_str()) {
            members.add_raw(&name, value);
        }
    }
    Ok(members.to_string())
}

/// Returns Kling's `mode` for a resolution: `std` (standard), `pro` (professional) or `4k`.
fn mode(resolution: &str) -> Option<&'static str> {
    match resolution.to_ascii_lowercase().as_str() {
        "720p" => Some("std"),
        "1080p" => Some("pro"),
        "4k" => Some("4k"),
        _ => None,
    }
}

/// Adds the lists of images and videos of the endpoint `omni-video`. Kling accepts videos by URL only. A reference video has
/// the type `feature`, a video to edit `base`.
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
