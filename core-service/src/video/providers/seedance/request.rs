//! The request body that creates a task at Ark, the model service that serves Seedance: a list `content` with the prompt and all
//! inputs, and the parameters.

use openai_dialect::extra_members;
use serde_json::{Value, json};

use super::prompt::without_flags;
use crate::{
    digest::{Hex, sha256},
    error::ProviderError,
    json::JsonObject,
    model_facts::ModelFacts,
    video::{
        Operation, RenderRequest,
        inputs::{InputRole, RenderInput},
        parameters::VideoParameters,
    },
};

/// The number of seeds that Ark accepts, 0 to 2^32 - 1. Other seeds are mapped into this range.
const SEEDS: i64 = 1 << 32;

/// The fact `api` of models whose requests state the purpose of the references (`omni_reference_task_type`).
const NAMED_TASKS: &str = "omni";

/// The longest `safety_identifier` that Ark accepts, in bytes.
const MAX_IDENTIFIER: usize = 64;

/// Members that clients cannot set: prompt and inputs, the duration in frames, and a URL that Ark would call.
const RESERVED: [&str; 3] = ["content", "frames", "callback_url"];

/// Encodes a request.
///
/// # Errors
/// [`ProviderError::Refused`] if the prompt consists of flags; [`ProviderError::NotSupported`] if an input must be a URL and is
/// a file.
pub(super) fn encode(
    model: &str,
    facts: &ModelFacts,
    request: &RenderRequest,
    job_id: &str,
) -> Result<String, ProviderError> {
    let VideoParameters { prompt, seed, user, resolution, aspect_ratio, generate_audio, extra_json, .. } =
        &request.parameters;
    let text = without_flags(prompt);
    if text.is_empty() {
        let message = "prompt: consists of flags such as `--rs`, which are not accepted; describe the video".to_owned();
        return Err(ProviderError::Refused { message, field: Some("prompt".to_owned()) });
    }
    let mut content = vec![json!({"type": "text", "text": text})];
    for input in &request.inputs {
        content.push(part(input)?);
    }
    let is_derived = request.input(InputRole::Source).is_some();
    let has_frames = request.parameters.has_input(InputRole::FirstFrame);
    let mut members = JsonObject::default();
    members.add("model", model);
    members.add("content", Value::Array(content));
    members.add("resolution", resolution.as_str());
    // With a first frame, or a video to edit or extend, newer models reject every other ratio.
    members.add("ratio", if has_frames || is_derived { "adaptive" } else { aspect_ratio.as_str() });
    members.add("duration", duration(&request.parameters));
    if let Some(task) = task_type(&request.parameters).filter(|_| facts.api == NAMED_TASKS) {
        members.add("omni_reference_task_type", task);
    }
    if let Some(seed) = seed {
        members.add("seed", seed.rem_euclid(SEEDS));
    }
    if let Some(generate_audio) = generate_audio {
        members.add("generate_audio", *generate_audio);
    }
    members.add("watermark", false);
    members.add("safety_identifier", identifier(user, job_id));
    // Members of the client, which do not replace those above.
    for (name, value) in extra_members(extra_json).unwrap_or_default() {
        if !RESERVED.contains(&name.as_str()) {
            members.add_raw(&name, value);
        }
    }
    Ok(members.to_string())
}

/// Returns the duration in seconds. For edits, -1: Ark uses that of the video.
fn duration(parameters: &VideoParameters) -> i64 {
    if parameters.operation == Operation::Edit { -1 } else { parameters.seconds.into() }
}

/// Returns the value of `omni_reference_task_type`, the purpose of the references. With this member, Ark refuses contradicting
/// parameters at submission rather than while the task runs.
fn task_type(parameters: &VideoParameters) -> Option<&'static str> {
    match parameters.operation {
        Operation::Edit => Some("edit"),
        Operation::Extend => Some("extend"),
        Operation::Generate | Operation::Remix => parameters.has_references().then_some("reference"),
    }
}

/// Returns the part of `content` for an input. Ark accepts videos and sounds by URL only.
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

/// Returns the `safety_identifier`: the identifier of the end user, or its digest if it is too long. Without an end user, the
/// id of the job: lists of tasks contain no other text of the request by which a task could be found.
pub(super) fn identifier(user: &str, job_id: &str) -> String {
    match user.len() {
        0 => job_id.to_owned(),
        1..=MAX_IDENTIFIER => user.to_owned(),
        _ => Hex(&sha256(user.as_bytes())).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model_facts::FactsTable,
        video::{Slot, inputs::InputContent, testing},
    };

    /// Encodes a request for one second in 480p 16:9 to Seedance 1.5 Pro, after `change`.
    fn encoded(change: impl FnOnce(&mut VideoParameters)) -> Value {
        let mut parameters = testing::request().parameters;
        parameters.resolution = "480p".to_owned();
        parameters.aspect_ratio = "16:9".to_owned();
        change(&mut parameters);
        encoded_for("doubao-seedance-1-5-pro-251215", parameters, Vec::new())
    }

    fn encoded_for(model: &str, parameters: VideoParameters, inputs: Vec<RenderInput>) -> Value {
        let facts = FactsTable::default().find("seedance", model);
        let request = RenderRequest { parameters, inputs, slot: Slot::default() };
        serde_json::from_str(&encode(model, &facts, &request, "video_1").unwrap()).unwrap()
    }

    #[test]
    fn video_to_edit_or_extend_forces_the_ratio_and_states_its_purpose_from_2_5_on() {
        let encoded = |model: &str, operation| {
            let content = InputContent::Link("https://a.test/v.mp4".to_owned());
            let input = RenderInput { role: InputRole::Source, content };
            let mut parameters = testing::request().parameters;
            (parameters.operation, parameters.seconds, parameters.aspect_ratio) = (operation, 7, "16:9".to_owned());
            let body = encoded_for(model, parameters, vec![input]);
            assert_eq!(body["content"][1]["role"], "reference_video");
            assert_eq!(body["ratio"], "adaptive");
            (body["duration"].clone(), body["omni_reference_task_type"].clone())
        };
        assert_eq!(encoded("doubao-seedance-2-5-260628", Operation::Edit), (json!(-1), json!("edit")));
        assert_eq!(encoded("doubao-seedance-2-5-260628", Operation::Extend), (json!(7), json!("extend")));
        assert_eq!(encoded("doubao-seedance-2-0-260128", Operation::Extend), (json!(7), Value::Null));
    }

    #[test]
    fn members_of_the_client_do_not_replace_those_of_the_request() {
        let body = encoded(|parameters| {
            parameters.extra_json = r#"{"camera_fixed":true,"resolution":"4k","duration":-1,"watermark":true,
                                        "callback_url":"http://x","frames":289,"content":[]}"#
                .to_owned();
        });
        let expected = json!({"model": "doubao-seedance-1-5-pro-251215", "content": [{"type": "text", "text": "a boat"}],
            "resolution": "480p", "ratio": "16:9", "duration": 1, "watermark": false, "safety_identifier": "video_1", "camera_fixed": true});
        assert_eq!(body, expected);
    }

    #[test]
    fn seed_and_user_are_mapped_into_the_ranges_of_the_api() {
        let body = encoded(|parameters| {
            parameters.seed = Some(-1);
            parameters.user = "u".repeat(65);
        });
        assert_eq!(body["seed"], 4_294_967_295_i64);
        assert_eq!(body["safety_identifier"].as_str().unwrap().len(), 64);
        assert_eq!(encoded(|parameters| parameters.user = "u-1".to_owned())["safety_identifier"], "u-1");
    }
}
