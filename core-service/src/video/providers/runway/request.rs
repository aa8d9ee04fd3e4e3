//! The endpoint and the request body that create a task. Runway refuses members that a model does not have: the facts of the model
//! (`model_facts`) decide which of several members are sent.

use openai_dialect::extra_members;
use serde_json::{Value, json};

use crate::{
    error::ProviderError,
    json::JsonObject,
    model_facts::{ModelFacts, RatioForm},
    video::{
        Operation, RenderRequest,
        inputs::{InputRole, RenderInput},
        parameters::VideoParameters,
    },
};

/// The longest data URL of a video that Runway accepts, in bytes. A longer video is sent as a link.
const MAX_DATA_URL: usize = 5_000_000;

/// The fact `api` of models whose requests state the purpose of an input video (`mode`).
const MODES: &str = "modes";

/// The maximum number of pixels of a size that is requested as `auto_720p` rather than `auto_1080p`.
const PIXELS_OF_720P: u32 = 1280 * 720;

/// The number of seeds that Runway accepts, 0 to 2^32 - 1. Other seeds are mapped into this range.
const SEEDS: i64 = 1 << 32;

/// Members that clients cannot set: the inputs, and formats of the result other than MP4.
const RESERVED: [&str; 8] = [
    "promptImage",
    "promptVideo",
    "videoUri",
    "references",
    "referenceVideos",
    "referenceAudio",
    "outputFormat",
    "proresProfile",
];

/// Returns the path of the endpoint for a request.
pub(super) fn endpoint(request: &RenderRequest) -> &'static str {
    let has = |role| request.input(role).is_some();
    if has(InputRole::Source) {
        "video_to_video"
    } else if has(InputRole::FirstFrame) || has(InputRole::LastFrame) {
        "image_to_video"
    } else {
        "text_to_video"
    }
}

/// Encodes a request.
///
/// # Errors
/// [`ProviderError::NotSupported`] if a video is too long for a data URL, and there is no link to it.
pub(super) fn encode(model: &str, facts: &ModelFacts, request: &RenderRequest) -> Result<String, ProviderError> {
    let VideoParameters {
        prompt,
        operation,
        seconds,
        seed,
        resolution,
        generate_audio,
        negative_prompt,
        extra_json,
        ..
    } = &request.parameters;
    let mut members = JsonObject::default();
    members.add("model", model);
    members.add("promptText", prompt.as_str());
    match operation {
        Operation::Edit if facts.api == MODES => {
            members.add("mode", "edit");
            members.add("duration", "auto");
        }
        // An edited video keeps its duration and size.
        Operation::Edit => {}
        Operation::Extend => {
            members.add("mode", "extend");
            members.add("duration", *seconds);
        }
        Operation::Generate | Operation::Remix => {
            members.add("duration", *seconds);
            add_output(&mut members, facts.members.ratio, request);
        }
    }
    let is_new = request.input(InputRole::Source).is_none();
    if is_new && !resolution.is_empty() {
        members.add("resolution", resolution.as_str());
    }
    if let Some(seed) = seed {
        members.add("seed", seed.rem_euclid(SEEDS));
    }
    if let Some(generate_audio) = generate_audio.filter(|_| is_new) {
        members.add("audio", generate_audio);
    }
    if !negative_prompt.is_empty() {
        members.add("negativePrompt", negative_prompt.as_str());
    }
    add_inputs(&mut members, facts, &request.inputs)?;
    // Members of the client, which do not replace those above.
    for (name, value) in extra_members(extra_json).unwrap_or_default() {
        if !RESERVED.contains(&name.as_str()) {
            members.add_raw(&name, value);
        }
    }
    Ok(members.to_string())
}

/// Adds the member `ratio`, in the requests in which the model has it: a size in pixels for models without resolutions,
/// otherwise an aspect ratio, unless a frame determines that.
fn add_output(members: &mut JsonObject, form: RatioForm, request: &RenderRequest) {
    let VideoParameters { width, height, resolution, aspect_ratio, .. } = &request.parameters;
    let has_frames = endpoint(request) == "image_to_video";
    match form {
        RatioForm::Never => {}
        RatioForm::WithoutFrames if has_frames => {}
        RatioForm::AutoWithFrames if has_frames => {
            let is_720p = width * height <= PIXELS_OF_720P;
            members.add("ratio", if is_720p { "auto_720p" } else { "auto_1080p" });
        }
        RatioForm::Usual | RatioForm::WithoutFrames | RatioForm::AutoWithFrames => {
            if resolution.is_empty() {
                members.add("ratio", format!("{width}:{height}"));
            } else if !has_frames && !aspect_ratio.is_empty() {
                members.add("ratio", aspect_ratio.as_str());
            }
        }
    }
}

/// Adds the inputs: frames with their position, references in a list for each kind, or the video to edit or extend.
fn add_inputs(members: &mut JsonObject, facts: &ModelFacts, inputs: &[RenderInput]) -> Result<(), ProviderError> {
    let list = |role: InputRole, entry: fn(String) -> Value| -> Vec<Value> {
        inputs.iter().filter(|input| input.role == role).map(|input| entry(input.url())).collect()
    };
    let typed = facts.members.typed_references;
    let untyped: fn(String) -> Value = |uri| json!({"uri": uri});
    let mut frames = list(InputRole::FirstFrame, |uri| json!({"uri": uri, "position": "first"}));
    frames.extend(list(InputRole::LastFrame, |uri| json!({"uri": uri, "position": "last"})));
    for (name, entries) in [
        ("promptImage", frames),
        ("references", list(InputRole::Image, untyped)),
        (
            "referenceVideos",
            list(InputRole::Video, if typed { |uri| json!({"type": "video", "uri": uri}) } else { untyped }),
        ),
        (
            "referenceAudio",
            list(InputRole::Sound, if typed { |uri| json!({"type": "audio", "uri": uri}) } else { untyped }),
        ),
    ] {
        if !entries.is_empty() {
            members.add(name, entries);
        }
    }
    if let Some(source) = inputs.iter().find(|input| input.role == InputRole::Source) {
        members.add(&facts.members.source, source.url_within(MAX_DATA_URL)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model_facts::FactsTable,
        video::{Slot, inputs::InputContent, testing},
    };

    /// Encodes a request for 5 seconds in 1280x720 to a model without facts, with links as inputs. Returns endpoint and body.
    fn encoded(inputs: &[(InputRole, &str)], change: impl FnOnce(&mut VideoParameters)) -> (&'static str, Value) {
        let mut parameters = testing::request().parameters;
        (parameters.width, parameters.height, parameters.seconds) = (1280, 720, 5);
        change(&mut parameters);
        let input = |(role, url): &(InputRole, &str)| RenderInput {
            role: *role,
            content: InputContent::Link((*url).to_owned()),
        };
        let request = RenderRequest { parameters, inputs: inputs.iter().map(input).collect(), slot: Slot::default() };
        (endpoint(&request), serde_json::from_str(&encode("m", &ModelFacts::unknown(), &request).unwrap()).unwrap())
    }

    #[test]
    fn video_to_edit_or_extend_has_the_name_and_mode_of_the_model() {
        let encoded = |model: &str, operation| {
            let facts = FactsTable::default().find("runway", model);
            let mut parameters = testing::request().parameters;
            (parameters.operation, parameters.seconds, parameters.generate_audio) = (operation, 6, Some(true));
            let content = InputContent::Link("https://a.test/v".to_owned());
            let inputs = vec![RenderInput { role: InputRole::Source, content }];
            let request = RenderRequest { parameters, inputs, slot: Slot::default() };
            assert_eq!(endpoint(&request), "video_to_video");
            serde_json::from_str::<Value>(&encode(model, &facts, &request).unwrap()).unwrap()
        };
        let expected = json!({"model": "aleph2", "promptText": "a boat", "videoUri": "https://a.test/v"});
        assert_eq!(encoded("aleph2", Operation::Edit), expected);
        let expected = json!({"model": "seedance2_5", "promptText": "a boat", "mode": "edit", "duration": "auto",
            "promptVideo": "https://a.test/v"});
        assert_eq!(encoded("seedance2_5", Operation::Edit), expected);
        let expected = json!({"model": "gemini_omni_flash_1.1", "promptText": "a boat", "mode": "extend", "duration": 6,
            "videoUri": "https://a.test/v"});
        assert_eq!(encoded("gemini_omni_flash_1.1", Operation::Extend), expected);
    }

    #[test]
    fn prompt_alone_is_sent_with_the_size_as_ratio_and_reserved_members_are_dropped() {
        let (path, body) = encoded(&[], |parameters| {
            parameters.seed = Some(-1);
            parameters.generate_audio = Some(false);
            parameters.negative_prompt = "rain".to_owned();
            parameters.extra_json =
                r#"{"contentModeration":{"publicFigureThreshold":"low"},"ratio":"1:1","outputFormat":"prores"}"#
                    .to_owned();
        });
        let expected = json!({"model": "m", "promptText": "a boat", "duration": 5, "ratio": "1280:720",
            "seed": 4_294_967_295_i64, "audio": false, "negativePrompt": "rain",
            "contentModeration": {"publicFigureThreshold": "low"}});
        assert_eq!((path, body), ("text_to_video", expected));
    }

    #[test]
    fn frames_and_references_have_members_of_their_own() {
        let frames = [(InputRole::LastFrame, "https://a.test/l"), (InputRole::FirstFrame, "https://a.test/f")];
        let (path, body) = encoded(&frames, |_| {});
        let first = json!({"uri": "https://a.test/f", "position": "first"});
        let last = json!({"uri": "https://a.test/l", "position": "last"});
        assert_eq!((path, &body["promptImage"]), ("image_to_video", &json!([first, last])));
        let references = [
            (InputRole::Image, "https://a.test/i"),
            (InputRole::Video, "https://a.test/v"),
            (InputRole::Sound, "https://a.test/s"),
        ];
        let (path, body) = encoded(&references, |_| {});
        assert_eq!((path, &body["references"]), ("text_to_video", &json!([{"uri": "https://a.test/i"}])));
        assert_eq!(body["referenceVideos"], json!([{"type": "video", "uri": "https://a.test/v"}]));
        assert_eq!(body["referenceAudio"], json!([{"type": "audio", "uri": "https://a.test/s"}]));
    }

    #[test]
    fn ratio_is_sent_in_the_requests_in_which_the_model_has_it() {
        let encoded = |model: &str, inputs: &[(InputRole, &str)], size: (u32, u32), resolution: &str| {
            let facts = FactsTable::default().find("runway", model);
            let mut parameters = testing::request().parameters;
            (parameters.width, parameters.height) = size;
            parameters.resolution = resolution.to_owned();
            parameters.aspect_ratio = if resolution.is_empty() { String::new() } else { "16:9".to_owned() };
            let input = |(role, url): &(InputRole, &str)| RenderInput {
                role: *role,
                content: InputContent::Link((*url).to_owned()),
            };
            let request =
                RenderRequest { parameters, inputs: inputs.iter().map(input).collect(), slot: Slot::default() };
            let body: Value = serde_json::from_str(&encode(model, &facts, &request).unwrap()).unwrap();
            (body.get("ratio").cloned(), body.get("resolution").cloned())
        };
        let frame = [(InputRole::FirstFrame, "https://a.test/f")];
        let (hd, full_hd) = ((1280, 720), (1920, 1080));
        assert_eq!(encoded("kling2.5_turbo_pro", &[], hd, ""), (Some(json!("1280:720")), None));
        assert_eq!(encoded("kling2.5_turbo_pro", &frame, hd, ""), (None, None));
        assert_eq!(encoded("kling_4", &[], full_hd, ""), (Some(json!("1920:1080")), None));
        assert_eq!(encoded("kling_4", &frame, hd, ""), (Some(json!("auto_720p")), None));
        assert_eq!(encoded("kling_4", &frame, full_hd, ""), (Some(json!("auto_1080p")), None));
        for inputs in [&[] as &[_], &frame] {
            assert_eq!(encoded("h3_max", inputs, (1366, 768), "768p"), (None, Some(json!("768p"))));
        }
    }

    #[test]
    fn models_with_resolutions_get_an_aspect_ratio_unless_there_is_a_frame() {
        let resolution = |parameters: &mut VideoParameters| {
            (parameters.resolution, parameters.aspect_ratio) = ("720p".to_owned(), "16:9".to_owned());
        };
        let (_, body) = encoded(&[], resolution);
        assert_eq!((&body["ratio"], &body["resolution"]), (&json!("16:9"), &json!("720p")));
        let (_, body) = encoded(&[(InputRole::FirstFrame, "https://a.test/f")], resolution);
        assert_eq!((body.get("ratio"), &body["resolution"]), (None, &json!("720p")));
    }
}
