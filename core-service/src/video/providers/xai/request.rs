//! The endpoint of xAI's API and the request body for a new, an edited or an extended video.

use openai_dialect::extra_members;
use serde_json::{Value, json};

use crate::{
    json::JsonObject,
    video::{Operation, RenderRequest, inputs::InputRole, parameters::VideoParameters},
};

/// Members that clients cannot set: the inputs, and a URL to which the API would upload the result.
const RESERVED: [&str; 5] = ["image", "last_frame", "reference_images", "video", "output"];

/// Returns the path of the endpoint for a request.
pub(super) fn endpoint(request: &RenderRequest) -> &'static str {
    match request.parameters.operation {
        Operation::Edit => "videos/edits",
        Operation::Extend => "videos/extensions",
        Operation::Generate | Operation::Remix => "videos/generations",
    }
}

/// Encodes a request.
pub(super) fn encode(model: &str, request: &RenderRequest) -> String {
    let VideoParameters { prompt, operation, seconds, user, resolution, aspect_ratio, extra_json, .. } =
        &request.parameters;
    let mut members = JsonObject::default();
    members.add("model", model);
    members.add("prompt", prompt.as_str());
    let url = |role| request.input(role).map(|input| json!({"url": input.url()}));
    if let Some(source) = url(InputRole::Source) {
        // The result has the size of the source, and after an edit its duration too.
        members.add("video", source);
        if *operation == Operation::Extend {
            members.add("duration", *seconds);
        }
    } else {
        members.add("duration", *seconds);
        if !resolution.is_empty() {
            members.add("resolution", resolution.as_str());
        }
        // Frames determine the aspect ratio.
        if !aspect_ratio.is_empty() && !request.parameters.has_frames() {
            members.add("aspect_ratio", aspect_ratio.as_str());
        }
    }
    if let Some(image) = url(InputRole::FirstFrame) {
        members.add("image", image);
    }
    if let Some(image) = url(InputRole::LastFrame) {
        members.add("last_frame", image);
    }
    let references = request.inputs.iter().filter(|input| input.role == InputRole::Image);
    let references: Vec<Value> = references.map(|input| json!({"url": input.url()})).collect();
    if !references.is_empty() {
        members.add("reference_images", references);
    }
    if !user.is_empty() {
        members.add("user", user.as_str());
    }
    // Members of the client, which do not replace those above.
    for (name, value) in extra_members(extra_json).unwrap_or_default() {
        if !RESERVED.contains(&name.as_str()) {
            members.add_raw(&name, value);
        }
    }
    members.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::video::{
        Slot,
        inputs::{InputContent, InputSource, RenderInput, StoredInput},
        testing,
    };

    /// Encodes a request for 5 seconds in 720p 16:9 with a link for each of these roles. Returns endpoint and body.
    fn encoded(roles: &[InputRole], operation: Operation) -> (&'static str, Value) {
        let mut parameters = testing::request().parameters;
        parameters.operation = operation;
        (parameters.resolution, parameters.aspect_ratio, parameters.seconds) =
            ("720p".to_owned(), "16:9".to_owned(), 5);
        parameters.extra_json = r#"{"duration":15,"output":{"upload_url":"http://10.0.0.1"}}"#.to_owned();
        let source = || InputSource::Link("https://a.test/x".to_owned());
        parameters.inputs = roles.iter().map(|role| StoredInput { role: *role, source: source() }).collect();
        let content = || InputContent::Link("https://a.test/x".to_owned());
        let inputs = roles.iter().map(|role| RenderInput { role: *role, content: content() }).collect();
        let request = RenderRequest { parameters, inputs, slot: Slot::default() };
        (endpoint(&request), serde_json::from_str(&encode("m", &request)).unwrap())
    }

    #[test]
    fn inputs_have_members_of_their_own() {
        let expected =
            json!({"model": "m", "prompt": "a boat", "duration": 5, "resolution": "720p", "aspect_ratio": "16:9"});
        let new = Operation::Generate;
        assert_eq!(encoded(&[], new), ("videos/generations", expected));
        let file = json!({"url": "https://a.test/x"});
        let expected = json!({"model": "m", "prompt": "a boat", "duration": 5, "resolution": "720p", "image": file});
        assert_eq!(encoded(&[InputRole::FirstFrame], new), ("videos/generations", expected));
        let (_, body) = encoded(&[InputRole::FirstFrame, InputRole::LastFrame], new);
        assert_eq!((&body["image"], &body["last_frame"]), (&file, &file));
        let (_, body) = encoded(&[InputRole::Image, InputRole::Image], new);
        assert_eq!(body["reference_images"], json!([file, file]));
        // The gateway sends no duration for an edit: the client's extra member is passed on.
        let expected = json!({"model": "m", "prompt": "a boat", "video": file, "duration": 15});
        assert_eq!(encoded(&[InputRole::Source], Operation::Edit), ("videos/edits", expected));
        let expected = json!({"model": "m", "prompt": "a boat", "video": file, "duration": 5});
        assert_eq!(encoded(&[InputRole::Source], Operation::Extend), ("videos/extensions", expected));
    }
}
