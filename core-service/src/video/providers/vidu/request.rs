//! The request body that creates a task at Vidu, and the path of the request, which depends on the inputs.

use openai_dialect::extra_members;

use crate::{
    error::ProviderError,
    json::JsonObject,
    model_facts::ModelFacts,
    video::{
        RenderRequest,
        inputs::{InputRole, RenderInput},
        parameters::VideoParameters,
    },
};

/// The number of seeds that Vidu accepts, 0 to 2^31 - 1. Other seeds are mapped into this range.
const SEEDS: i64 = 1 << 31;

/// Members that clients cannot set: the inputs, and the id of the job, by which the task of a submission is found if the
/// response to the submission was lost.
const RESERVED: [&str; 4] = ["images", "videos", "subjects", "payload"];

/// Returns the path of submissions: references take precedence over frames.
pub(super) fn path(parameters: &VideoParameters) -> &'static str {
    match (parameters.has_references(), parameters.has_input(InputRole::LastFrame), parameters.has_frames()) {
        (true, _, _) => "ent/v2/reference2video",
        (false, true, _) => "ent/v2/start-end2video",
        (false, false, true) => "ent/v2/img2video",
        (false, false, false) => "ent/v2/text2video",
    }
}

/// Encodes a request. Vidu returns `job_id` in lists of tasks.
///
/// # Errors
/// [`ProviderError::NotSupported`] if there is an input that is not an image.
pub(super) fn encode(
    model: &str,
    facts: &ModelFacts,
    request: &RenderRequest,
    job_id: &str,
) -> Result<String, ProviderError> {
    let VideoParameters { prompt, seconds, seed, resolution, aspect_ratio, generate_audio, extra_json, .. } =
        &request.parameters;
    let has_frames = request.parameters.has_frames();
    let mut members = JsonObject::default();
    members.add("model", facts.upstream_name(model, request.parameters.input_kind()));
    let images = images(&request.inputs)?;
    if !images.is_empty() {
        members.add("images", images);
    }
    members.add("prompt", prompt.as_str());
    members.add("duration", *seconds);
    if !resolution.is_empty() {
        members.add("resolution", resolution.as_str());
    }
    // With frames, the video has the aspect ratio of the frames.
    if !has_frames && !aspect_ratio.is_empty() {
        members.add("aspect_ratio", aspect_ratio.as_str());
    }
    if let Some(generate_audio) = generate_audio {
        members.add("audio", *generate_audio);
    }
    if let Some(seed) = seed {
        members.add("seed", seed.rem_euclid(SEEDS));
    }
    members.add("payload", job_id);
    // Members of the client, which do not replace those above.
    for (name, value) in extra_members(extra_json).unwrap_or_default() {
        if !RESERVED.contains(&name.as_str()) {
            members.add_raw(&name, value);
        }
    }
    Ok(members.to_string())
}

/// Returns the images, the first frame before the last one.
fn images(inputs: &[RenderInput]) -> Result<Vec<String>, ProviderError> {
    let mut images: Vec<&RenderInput> = inputs.iter().collect();
    images.sort_by_key(|input| input.role == InputRole::LastFrame);
    let image = |input: &RenderInput| match input.role {
        InputRole::FirstFrame | InputRole::LastFrame | InputRole::Image => Ok(input.url()),
        InputRole::Video | InputRole::Sound | InputRole::Source => {
            Err(ProviderError::NotSupported("Vidu accepts images only".to_owned()))
        }
    };
    images.into_iter().map(image).collect()
}
