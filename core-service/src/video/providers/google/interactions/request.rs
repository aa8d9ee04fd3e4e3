//! The request body that creates an interaction: a call of Google's Interactions API, here the render of one video.

use base64::{Engine, engine::general_purpose::STANDARD};
use openai_dialect::extra_members;
use serde_json::{Value, json};

use super::interaction_id;
use crate::{
    json::JsonObject,
    video::{
        Operation, RenderRequest,
        inputs::{InputContent, InputRole, RenderInput},
        parameters::VideoParameters,
    },
};

/// Members that clients cannot set: those that would make the interaction something other than one video, the id of an
/// interaction that may belong to another client, and a URL that the API would call.
const RESERVED: [&str; 9] = [
    "agent",
    "input",
    "previous_interaction_id",
    "response_format",
    "response_modalities",
    "store",
    "stream",
    "tools",
    "webhook_config",
];

/// How the API returns a finished video.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::video::providers) enum Delivery {
    /// As the URI of a file that the API stores.
    File,
    /// As base64 in the response, which the API refuses for videos above about 4 MB.
    Inline,
    /// As a file below this URI of a bucket in Cloud Storage.
    Bucket(String),
}

/// Encodes a request.
pub(in crate::video::providers) fn encode(model: &str, request: &RenderRequest, delivery: &Delivery) -> String {
    let VideoParameters { prompt, operation, source, seconds, seed, resolution, aspect_ratio, extra_json, .. } =
        &request.parameters;
    let mut input = vec![json!({"type": "text", "text": prompt})];
    // The API takes the first of two images as the first frame.
    let mut inputs: Vec<_> = request.inputs.iter().collect();
    inputs.sort_by_key(|input| input.role == InputRole::LastFrame);
    input.extend(inputs.into_iter().map(part));
    let mut format = JsonObject::default();
    format.add("type", "video");
    // An edited video keeps its duration and its size, an extended one its ratio.
    let (is_edit, is_new) = (*operation == Operation::Edit, !matches!(operation, Operation::Edit | Operation::Extend));
    if is_new && !aspect_ratio.is_empty() {
        format.add("aspect_ratio", aspect_ratio.as_str());
    }
    if !is_edit && !resolution.is_empty() {
        format.add("resolution", resolution.as_str());
    }
    if !is_edit {
        format.add("duration", format!("{seconds}s"));
    }
    format.add("delivery", if *delivery == Delivery::Inline { "inline" } else { "uri" });
    if let Delivery::Bucket(uri) = delivery {
        format.add("gcs_uri", uri.as_str());
    }
    let mut config = JsonObject::default();
    if let Some(seed) = seed {
        config.add("seed", *seed);
    }
    config.add("video_config", json!({"task": task(request)}));
    let mut members = JsonObject::default();
    members.add("model", model);
    // The API returns the interaction at once; it is polled.
    members.add("background", true);
    if let Some(id) = source.as_ref().and_then(|task| interaction_id(&task.0)) {
        members.add("previous_interaction_id", id);
    }
    members.add("input", Value::Array(input));
    members.add_raw("response_format", format.to_string());
    members.add_raw("generation_config", config.to_string());
    // Members of the client, which do not replace those above.
    for (name, value) in extra_members(extra_json).unwrap_or_default() {
        if !RESERVED.contains(&name.as_str()) {
            members.add_raw(&name, value);
        }
    }
    members.to_string()
}

/// Returns the value of `video_config.task`, the use of the inputs.
fn task(request: &RenderRequest) -> &'static str {
    let has = |role| request.input(role).is_some();
    match request.parameters.operation {
        Operation::Edit => return "edit",
        Operation::Extend => return "extend",
        Operation::Generate | Operation::Remix => {}
    }
    if has(InputRole::FirstFrame) || has(InputRole::LastFrame) {
        "image_to_video"
    } else if request.inputs.is_empty() {
        "text_to_video"
    } else {
        "reference_to_video"
    }
}

/// Returns the part of the input for a file or a link.
fn part(input: &RenderInput) -> Value {
    let kind = match input.role {
        InputRole::FirstFrame | InputRole::LastFrame | InputRole::Image => "image",
        InputRole::Video | InputRole::Source => "video",
        InputRole::Sound => "audio",
    };
    match &input.content {
        InputContent::File { media_type, bytes, .. } => {
            json!({"type": kind, "data": STANDARD.encode(bytes), "mime_type": media_type.as_str()})
        }
        InputContent::Link(uri) => json!({"type": kind, "uri": uri}),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{
        media::MediaType,
        video::{Slot, UpstreamTask, testing},
    };

    /// Encodes a request for 5 seconds in 720p 16:9 with links as inputs.
    fn encoded(inputs: &[(InputRole, &str)], extra_json: &str) -> Value {
        let mut parameters = testing::request().parameters;
        (parameters.resolution, parameters.aspect_ratio, parameters.seconds) =
            ("720p".to_owned(), "16:9".to_owned(), 5);
        parameters.extra_json = extra_json.to_owned();
        let input = |(role, url): &(InputRole, &str)| RenderInput {
            role: *role,
            content: InputContent::Link((*url).to_owned()),
        };
        let request = RenderRequest { parameters, inputs: inputs.iter().map(input).collect(), slot: Slot::default() };
        serde_json::from_str(&encode("m", &request, &Delivery::File)).unwrap()
    }

    #[test]
    fn interaction_runs_in_the_background_and_delivers_a_uri() {
        let body = encoded(&[], r#"{"system_instruction":"s","stream":true,"background":false,"webhook_config":{}}"#);
        let expected = json!({"model": "m", "background": true, "input": [{"type": "text", "text": "a boat"}],
            "response_format": {"type": "video", "aspect_ratio": "16:9", "resolution": "720p", "duration": "5s",
                "delivery": "uri"},
            "generation_config": {"video_config": {"task": "text_to_video"}}, "system_instruction": "s"});
        assert_eq!(body, expected);
    }

    #[test]
    fn edit_continues_the_interaction_of_its_source_without_duration_and_ratio() {
        let mut parameters = testing::request().parameters;
        (parameters.resolution, parameters.aspect_ratio) = ("720p".to_owned(), "16:9".to_owned());
        (parameters.operation, parameters.source) =
            (Operation::Edit, Some(UpstreamTask("interactions/v1_a".to_owned())));
        parameters.extra_json = r#"{"previous_interaction_id":"other"}"#.to_owned();
        let request = RenderRequest { parameters, inputs: Vec::new(), slot: Slot::default() };
        let body: Value = serde_json::from_str(&encode("m", &request, &Delivery::File)).unwrap();
        let expected = json!({"model": "m", "background": true, "previous_interaction_id": "v1_a",
            "input": [{"type": "text", "text": "a boat"}], "response_format": {"type": "video", "delivery": "uri"},
            "generation_config": {"video_config": {"task": "edit"}}});
        assert_eq!(body, expected);
    }

    #[test]
    fn video_is_delivered_to_the_chosen_place() {
        let format = |delivery: &Delivery| {
            let parameters = testing::request().parameters;
            let request = RenderRequest { parameters, inputs: Vec::new(), slot: Slot::default() };
            let body: Value = serde_json::from_str(&encode("m", &request, delivery)).unwrap();
            (body["response_format"]["delivery"].clone(), body["response_format"]["gcs_uri"].clone())
        };
        assert_eq!(format(&Delivery::File), (json!("uri"), Value::Null));
        assert_eq!(format(&Delivery::Inline), (json!("inline"), Value::Null));
        assert_eq!(format(&Delivery::Bucket("gs://b/videos".to_owned())), (json!("uri"), json!("gs://b/videos")));
    }

    #[test]
    fn extension_has_a_duration_and_the_video_as_input() {
        let mut parameters = testing::request().parameters;
        (parameters.operation, parameters.seconds) = (Operation::Extend, 6);
        let content = InputContent::File { media_type: MediaType::Mp4, bytes: Bytes::from_static(b"a"), link: None };
        let inputs = vec![RenderInput { role: InputRole::Source, content }];
        let request = RenderRequest { parameters, inputs, slot: Slot::default() };
        let body: Value = serde_json::from_str(&encode("m", &request, &Delivery::File)).unwrap();
        assert_eq!(body["input"][1], json!({"type": "video", "data": "YQ==", "mime_type": "video/mp4"}));
        assert_eq!(body["response_format"]["duration"], "6s");
        assert_eq!(body["generation_config"]["video_config"]["task"], "extend");
    }

    #[test]
    fn inputs_decide_the_task_and_the_last_frame_follows_the_first() {
        let task = |body: &Value| body["generation_config"]["video_config"]["task"].as_str().unwrap().to_owned();
        let body = encoded(&[(InputRole::LastFrame, "l"), (InputRole::FirstFrame, "f")], "");
        assert_eq!(task(&body), "image_to_video");
        assert_eq!([&body["input"][1]["uri"], &body["input"][2]["uri"]], ["f", "l"]);
        let body = encoded(&[(InputRole::Image, "i"), (InputRole::Video, "v")], "");
        assert_eq!(task(&body), "reference_to_video");
        assert_eq!(body["input"][2], json!({"type": "video", "uri": "v"}));
    }
}
