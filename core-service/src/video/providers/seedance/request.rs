//! The request body of a task.

use base64::{Engine, engine::general_purpose::STANDARD};
use openai_dialect::extra_members;
use serde_json::{Value, json};

use super::{
    family::{Family, Output},
    prompt::without_flags,
};
use crate::{
    config::SeedanceResolution,
    digest::{Hex, sha256},
    error::ProviderError,
    json::JsonObject,
    video::{Reference, RenderRequest, parameters::VideoParameters},
};

/// The number of seeds.
const SEEDS: i64 = 1 << 32;

/// The longest identifier of an end user, in bytes.
const MAX_IDENTIFIER: usize = 64;

/// Members that clients cannot set: what is rendered and for how long, and an address that Ark would call.
const RESERVED: [&str; 3] = ["content", "frames", "callback_url"];

/// Encodes a request.
///
/// # Errors
/// [`ProviderError::Refused`] if the prompt consists of flags.
pub(super) fn encode(model: &str, request: &RenderRequest, limit: SeedanceResolution) -> Result<String, ProviderError> {
    let RenderRequest { parameters, reference, slot: _ } = request;
    let VideoParameters { prompt, seconds, seed, user, extra_json, .. } = parameters;
    let text = without_flags(prompt);
    if text.is_empty() {
        let message = "prompt: consists of flags such as `--rs`, which are not accepted; describe the video".to_owned();
        return Err(ProviderError::Refused { message, field: Some("prompt".to_owned()) });
    }
    let family = Family::of(model);
    let Output { resolution, ratio } = family.output(parameters.size(), limit);
    let mut content = vec![json!({"type": "text", "text": text})];
    content.extend(reference.as_ref().map(first_frame));
    let mut members = JsonObject::default();
    members.add("model", model);
    members.add("content", Value::Array(content));
    members.add("resolution", name(resolution));
    // With a first frame, newer models reject every other ratio.
    members.add("ratio", if reference.is_some() { "adaptive" } else { ratio });
    members.add("duration", family.seconds(*seconds));
    if let Some(seed) = seed {
        members.add("seed", seed.rem_euclid(SEEDS));
    }
    members.add("watermark", false);
    if !user.is_empty() {
        members.add("safety_identifier", identifier(user));
    }
    for (name, value) in extra_members(extra_json).unwrap_or_default() {
        if !RESERVED.contains(&name.as_str()) {
            members.add_raw(&name, value);
        }
    }
    Ok(members.to_string())
}

fn first_frame(reference: &Reference) -> Value {
    let url = format!("data:{};base64,{}", reference.key.media_type().as_str(), STANDARD.encode(&reference.image));
    json!({"type": "image_url", "image_url": {"url": url}, "role": "first_frame"})
}

fn name(resolution: SeedanceResolution) -> &'static str {
    match resolution {
        SeedanceResolution::P480 => "480p",
        SeedanceResolution::P720 => "720p",
        SeedanceResolution::P1080 => "1080p",
        SeedanceResolution::Uhd => "4k",
    }
}

/// Returns the identifier of an end user; the digest of one that is too long.
fn identifier(user: &str) -> String {
    if user.len() <= MAX_IDENTIFIER { user.to_owned() } else { Hex(&sha256(user.as_bytes())).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::video::{Slot, testing};

    fn encoded(change: impl FnOnce(&mut VideoParameters)) -> Value {
        let mut parameters = testing::request().parameters;
        change(&mut parameters);
        let request = RenderRequest { parameters, reference: None, slot: Slot::default() };
        let body = encode("doubao-seedance-1-5-pro-251215", &request, SeedanceResolution::P1080).unwrap();
        serde_json::from_str(&body).unwrap()
    }

    #[test]
    fn members_of_the_client_do_not_replace_those_of_the_request() {
        let body = encoded(|parameters| {
            parameters.extra_json = r#"{"generate_audio":false,"resolution":"4k","duration":-1,"watermark":true,
                                        "callback_url":"http://x","frames":289,"content":[]}"#
                .to_owned();
        });
        let expected = json!({"model": "doubao-seedance-1-5-pro-251215", "content": [{"type": "text", "text": "a boat"}],
            "resolution": "480p", "ratio": "16:9", "duration": 4, "watermark": false, "generate_audio": false});
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
