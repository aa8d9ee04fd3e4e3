//! The request body that creates a task at DashScope, the model service of Alibaba Cloud: the objects `input` and `parameters`, whose
//! members depend on the generation and the vendor of the model ([`Api`]).

use openai_dialect::extra_members;
use serde_json::{Value, json};

use crate::{
    error::ProviderError,
    json::JsonObject,
    model_facts::ModelFacts,
    video::{
        Operation, RenderRequest,
        inputs::{InputContent, InputRole, RenderInput},
        parameters::VideoParameters,
    },
};

/// The number of seeds that DashScope accepts, 0 to 2^31 - 1. Other seeds are mapped into this range.
const SEEDS: i64 = 1 << 31;

/// Members that clients cannot set: the inputs, and the number of videos.
const RESERVED: [&str; 7] =
    ["n", "media", "img_url", "first_frame_url", "last_frame_url", "reference_urls", "reference_url"];

/// Members of clients that are sent in `input`; all others are sent in `parameters`.
const INPUT_MEMBERS: [&str; 6] = ["audio_url", "element_list", "multi_prompt", "multi_shot", "function", "template"];

/// The scheme of files in DashScope's own store.
const OSS: &str = "oss://";

/// The form of the requests to a model, from the fact `api`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Api {
    /// Wan from 2.7 on: all inputs in one list `media`, and a resolution and an aspect ratio.
    Media,
    /// Wan up to 2.6: members for an image, reference URLs and a sound, and a size in pixels unless there is an image.
    Wan2,
    /// The models for first and last frame (`kf2v`): a member for each frame, and a path of their own.
    Keyframes,
    /// Kling's models on DashScope: like `Media`, with Kling's words for inputs and resolutions.
    Kling,
}

impl Api {
    fn of(facts: &ModelFacts) -> Self {
        match facts.api.as_str() {
            "wan2" => Self::Wan2,
            "keyframes" => Self::Keyframes,
            "kling" => Self::Kling,
            _ => Self::Media,
        }
    }
}

/// Returns the path of submissions, without that of all services, which precedes it.
pub(super) fn path(facts: &ModelFacts) -> &'static str {
    match Api::of(facts) {
        Api::Media | Api::Wan2 | Api::Kling => "video-generation/video-synthesis",
        Api::Keyframes => "image2video/video-synthesis",
    }
}

/// Returns whether an input is in DashScope's own store, which has to be announced in a header.
pub(super) fn has_oss_input(request: &RenderRequest) -> bool {
    let is_oss = |input: &RenderInput| matches!(&input.content, InputContent::Link(url) if url.starts_with(OSS));
    request.inputs.iter().any(is_oss)
}

/// Encodes a request.
///
/// # Errors
/// [`ProviderError::NotSupported`] if an input must be a URL and is a file.
pub(super) fn encode(model: &str, facts: &ModelFacts, request: &RenderRequest) -> Result<String, ProviderError> {
    let VideoParameters { prompt, operation, seed, seconds, negative_prompt, generate_audio, extra_json, .. } =
        &request.parameters;
    let api = Api::of(facts);
    let mut input = JsonObject::default();
    input.add("prompt", prompt.as_str());
    if !negative_prompt.is_empty() {
        input.add("negative_prompt", negative_prompt.as_str());
    }
    add_inputs(&mut input, api, request)?;
    let mut parameters = JsonObject::default();
    add_size(&mut parameters, api, facts, &request.parameters);
    // An edited video has the duration of its source.
    if *operation != Operation::Edit {
        parameters.add("duration", *seconds);
    }
    if let Some(generate_audio) = generate_audio {
        parameters.add("audio", *generate_audio);
    }
    if let Some(seed) = seed {
        parameters.add("seed", seed.rem_euclid(SEEDS));
    }
    // Members of the client, which do not replace those above.
    for (member, value) in extra_members(extra_json).unwrap_or_default() {
        if RESERVED.contains(&member.as_str()) {
            continue;
        }
        // Kling's models have all members about shots in `input`; Wan's have `shot_type` in `parameters`.
        let is_input = INPUT_MEMBERS.contains(&member.as_str()) || api == Api::Kling && member == "shot_type";
        if is_input { input.add_raw(&member, value) } else { parameters.add_raw(&member, value) }
    }
    // Some models add a watermark by default; clients can permit it.
    parameters.add("watermark", false);
    let upstream = facts.upstream_name(model, request.parameters.input_kind());
    let model = Value::from(upstream);
    Ok(format!(r#"{{"model":{model},"input":{input},"parameters":{parameters}}}"#))
}

/// Adds the inputs to `input`: the list `media`, or a member for each kind.
fn add_inputs(input: &mut JsonObject, api: Api, request: &RenderRequest) -> Result<(), ProviderError> {
    let (inputs, operation) = (&request.inputs, request.parameters.operation);
    if matches!(api, Api::Media | Api::Kling) {
        let media: Result<Vec<_>, _> = inputs.iter().map(|input| media_entry(api, operation, input)).collect();
        let media = media?;
        if !media.is_empty() {
            input.add("media", media);
        }
        return Ok(());
    }
    let mut references = Vec::new();
    for given in inputs {
        match (given.role, api) {
            (InputRole::FirstFrame, Api::Keyframes) => input.add("first_frame_url", given.url()),
            (InputRole::FirstFrame, _) => input.add("img_url", given.url()),
            (InputRole::LastFrame, _) => input.add("last_frame_url", given.url()),
            (InputRole::Sound, _) => input.add("audio_url", given.fetchable_url()?),
            (InputRole::Image, _) => references.push(given.url()),
            (InputRole::Video | InputRole::Source, _) => references.push(given.fetchable_url()?),
        }
    }
    if !references.is_empty() {
        input.add("reference_urls", references);
    }
    Ok(())
}

/// Returns an entry of the list `media`. DashScope accepts videos and sounds by URL only.
fn media_entry(api: Api, operation: Operation, input: &RenderInput) -> Result<Value, ProviderError> {
    let is_kling = api == Api::Kling;
    let (kind, url) = match input.role {
        InputRole::FirstFrame => ("first_frame", input.url()),
        InputRole::LastFrame => ("last_frame", input.url()),
        InputRole::Image => (if is_kling { "refer" } else { "reference_image" }, input.url()),
        InputRole::Video => (if is_kling { "feature" } else { "reference_video" }, input.fetchable_url()?),
        InputRole::Sound => ("reference_audio", input.fetchable_url()?),
        InputRole::Source if is_kling => ("base", input.fetchable_url()?),
        InputRole::Source if operation == Operation::Extend => ("first_clip", input.fetchable_url()?),
        InputRole::Source => ("video", input.fetchable_url()?),
    };
    Ok(json!({"type": kind, "url": url}))
}

/// Adds the parameters for the size of the video: pixels, or a resolution and an aspect ratio. The aspect ratio is left out if
/// frames, or a video to edit or extend, determine it.
fn add_size(parameters: &mut JsonObject, api: Api, facts: &ModelFacts, request: &VideoParameters) {
    let VideoParameters { width, height, resolution, aspect_ratio, .. } = request;
    let has_frames = request.has_frames();
    match api {
        Api::Wan2 if !has_frames => {
            parameters.add("size", format!("{width}*{height}"));
            return;
        }
        // Kling's word for the resolution: `std` for 720p, `pro` for 1080p.
        Api::Kling => parameters.add("mode", if resolution.starts_with("720") { "std" } else { "pro" }),
        Api::Media | Api::Wan2 | Api::Keyframes if !resolution.is_empty() => {
            parameters.add("resolution", resolution.as_str());
        }
        Api::Media | Api::Wan2 | Api::Keyframes => {}
    }
    if request.has_input(InputRole::Source) {
        return;
    }
    let ratio = if has_frames { facts.aspect_ratio_with_frames.as_deref() } else { Some(aspect_ratio.as_str()) };
    if let Some(ratio) = ratio.filter(|ratio| !ratio.is_empty()) {
        parameters.add(if api == Api::Kling { "aspect_ratio" } else { "ratio" }, ratio);
    }
}
