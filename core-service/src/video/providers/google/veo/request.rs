//! The request body that starts an operation, for both of Google's APIs with Veo: the Gemini API and Vertex AI.

use base64::{Engine, engine::general_purpose::STANDARD};
use openai_dialect::extra_members;
use serde_json::{Value, json};

use crate::{
    error::ProviderError,
    json::JsonObject,
    video::{
        RenderRequest,
        inputs::{InputRole, RenderInput},
        parameters::VideoParameters,
    },
};

/// Parameters that clients cannot set: the number of videos, a bucket that the gateway may not be able to read, and a topic to
/// which Google would publish events.
const RESERVED: [&str; 4] = ["sampleCount", "storageUri", "outputGcsUri", "pubsubTopic"];

/// The only resolution of extensions.
const EXTENSION_RESOLUTION: &str = "720p";

/// Encodes the extension of `video`, which Veo rendered before. Its duration and its ratio are fixed. `own` are parameters that
/// only the API in question has.
pub(in crate::video::providers) fn encode_extension(
    parameters: &VideoParameters,
    video: Value,
    own: &[(&str, Value)],
) -> String {
    let VideoParameters { prompt, seed, negative_prompt, extra_json, .. } = parameters;
    let mut instance = JsonObject::default();
    instance.add("prompt", prompt.as_str());
    instance.add("video", video);
    let mut members = JsonObject::default();
    members.add("resolution", EXTENSION_RESOLUTION);
    add_options(&mut members, *seed, negative_prompt, own, extra_json);
    format!(r#"{{"instances":[{instance}],"parameters":{members}}}"#)
}

/// Encodes a request. Members without a field of their own become parameters; `own` are parameters that only the API
/// in question has.
///
/// # Errors
/// [`ProviderError::NotSupported`] if an input is a link.
pub(in crate::video::providers) fn encode(
    request: &RenderRequest,
    own: &[(&str, Value)],
) -> Result<String, ProviderError> {
    let VideoParameters { prompt, seconds, seed, resolution, aspect_ratio, negative_prompt, extra_json, .. } =
        &request.parameters;
    let mut instance = JsonObject::default();
    instance.add("prompt", prompt.as_str());
    for (name, role) in [("image", InputRole::FirstFrame), ("lastFrame", InputRole::LastFrame)] {
        if let Some(input) = request.input(role) {
            instance.add(name, file(input)?);
        }
    }
    let mut parameters = JsonObject::default();
    if !aspect_ratio.is_empty() {
        parameters.add("aspectRatio", aspect_ratio.as_str());
    }
    if !resolution.is_empty() {
        parameters.add("resolution", resolution.as_str());
    }
    parameters.add("durationSeconds", *seconds);
    add_options(&mut parameters, *seed, negative_prompt, own, extra_json);
    Ok(format!(r#"{{"instances":[{instance}],"parameters":{parameters}}}"#))
}

/// Encodes the file of an input.
///
/// # Errors
/// [`ProviderError::NotSupported`] if the input is a link.
pub(in crate::video::providers) fn file(input: &RenderInput) -> Result<Value, ProviderError> {
    let (media_type, bytes) = input.file()?;
    Ok(json!({"bytesBase64Encoded": STANDARD.encode(bytes), "mimeType": media_type.as_str()}))
}

/// Adds the parameters that new videos and extensions share.
fn add_options(
    parameters: &mut JsonObject,
    seed: Option<i64>,
    negative_prompt: &str,
    own: &[(&str, Value)],
    extra_json: &str,
) {
    for (name, value) in own {
        parameters.add(name, value.clone());
    }
    if let Some(seed) = seed {
        parameters.add("seed", seed);
    }
    if !negative_prompt.is_empty() {
        parameters.add("negativePrompt", negative_prompt);
    }
    // Members of the client, which do not replace those that were added before.
    for (name, value) in extra_members(extra_json).unwrap_or_default() {
        if !RESERVED.contains(&name.as_str()) {
            parameters.add_raw(&name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        media::MediaType,
        video::{Slot, inputs::InputContent, testing},
    };
    use bytes::Bytes;

    /// Encodes a request for 6 seconds in 720p 9:16 with this first frame.
    fn encoded(content: InputContent) -> Result<Value, ProviderError> {
        let mut parameters = testing::request().parameters;
        (parameters.resolution, parameters.aspect_ratio, parameters.seconds) =
            ("720p".to_owned(), "9:16".to_owned(), 6);
        parameters.negative_prompt = "rain".to_owned();
        parameters.extra_json = r#"{"personGeneration":"allow_adult","sampleCount":4,"durationSeconds":8}"#.to_owned();
        let inputs = vec![RenderInput { role: InputRole::FirstFrame, content }];
        let body = encode(&RenderRequest { parameters, inputs, slot: Slot::default() }, &[("sampleCount", json!(1))])?;
        Ok(serde_json::from_str(&body).unwrap())
    }

    #[test]
    fn extension_names_the_earlier_video() {
        let parameters = VideoParameters { seconds: 7, ..testing::request().parameters };
        let body: Value =
            serde_json::from_str(&encode_extension(&parameters, json!({"uri": "https://a.test/files/f"}), &[]))
                .unwrap();
        let instance = json!({"prompt": "a boat", "video": {"uri": "https://a.test/files/f"}});
        assert_eq!(body, json!({"instances": [instance], "parameters": {"resolution": "720p"}}));
    }

    #[test]
    fn frames_are_sent_as_base64_and_further_members_as_parameters() {
        let file = InputContent::File { media_type: MediaType::Png, bytes: Bytes::from_static(b"a"), link: None };
        let image = json!({"bytesBase64Encoded": "YQ==", "mimeType": "image/png"});
        let expected = json!({"instances": [{"prompt": "a boat", "image": image}],
            "parameters": {"aspectRatio": "9:16", "resolution": "720p", "durationSeconds": 6, "sampleCount": 1,
                "negativePrompt": "rain", "personGeneration": "allow_adult"}});
        assert_eq!(encoded(file), Ok(expected));
        let link = InputContent::Link("asset://a".to_owned());
        assert!(matches!(encoded(link), Err(ProviderError::NotSupported(_))));
    }
}
