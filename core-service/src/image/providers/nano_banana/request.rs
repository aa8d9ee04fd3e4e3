//! The request body of Gemini's `generateContent`: input images first, the prompt last, and the generation parameters.

use base64::{Engine, engine::general_purpose::STANDARD};
use openai_dialect::extra_members;
use serde_json::json;

use super::family::NativeParams;
use crate::{
    image::parameters::{ImageParameters, Style},
    json::JsonObject,
};

/// Appended to the prompt of a retry, after a response with text only.
const RETRY_INSTRUCTION: &str = "Answer with exactly one picture, not with words.";
/// Parameters of OpenAI's API that clients often send and Gemini rejects.
const DROPPED: [&str; 2] = ["moderation", "input_fidelity"];
/// The member with the generation parameters, and its other spelling, which Gemini also accepts.
const CONFIG: &str = "generationConfig";
const CONFIG_ALIAS: &str = "generation_config";

/// Whether an image is requested for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attempt {
    First,
    Retry,
}

/// Returns the request body for the image with this index.
pub(super) fn body(parameters: &ImageParameters, native: NativeParams, index: u32, attempt: Attempt) -> Vec<u8> {
    // Base64 with the JSON around it, so that the text is allocated once.
    let encoded = parameters.pictures.iter().map(|picture| picture.bytes.len() / 3 * 4 + 100).sum::<usize>();
    let mut contents = String::with_capacity(encoded + parameters.prompt.len() + 1024);
    contents.push_str(r#"[{"role":"user","parts":["#);
    for picture in &parameters.pictures {
        contents.push_str(r#"{"inlineData":{"mimeType":""#);
        contents.push_str(picture.format.as_str());
        contents.push_str(r#"","data":""#);
        STANDARD.encode_string(&picture.bytes, &mut contents);
        contents.push_str(r#""}},"#);
    }
    contents.push_str(&json!({ "text": prompt(parameters, attempt) }).to_string());
    contents.push_str("]}]");
    let extra = extra_members(&parameters.extra_json).unwrap_or_default();
    let extra_member = |name: &str| extra.iter().find(|(known, _)| known == name).map(|(_, value)| *value);
    let extra_config = extra_member(CONFIG).or_else(|| extra_member(CONFIG_ALIAS));
    let mut body = JsonObject::default();
    body.add_raw("contents", contents);
    body.add_raw(CONFIG, config(parameters, native, index, extra_config).to_string());
    for (name, value) in &extra {
        if name != CONFIG_ALIAS && !DROPPED.contains(&name.as_str()) {
            body.add_raw(name, *value);
        }
    }
    body.to_string().into_bytes()
}

/// Returns the prompt with the style, for which the API has no member.
fn prompt(parameters: &ImageParameters, attempt: Attempt) -> String {
    let mut prompt = parameters.prompt.clone();
    if let Some(style) = parameters.style {
        prompt.push_str(match style {
            Style::Vivid => "\n\nStyle: vivid, dramatic.",
            Style::Natural => "\n\nStyle: natural, plain.",
        });
    }
    if attempt == Attempt::Retry {
        prompt.push_str("\n\n");
        prompt.push_str(RETRY_INSTRUCTION);
    }
    prompt
}

/// Returns the generation parameters. Members of `extra` take precedence.
fn config(parameters: &ImageParameters, native: NativeParams, index: u32, extra: Option<&str>) -> JsonObject {
    let mut image = JsonObject::default();
    if let Some(ratio) = native.ratio {
        image.add("aspectRatio", ratio.to_string());
    }
    if let Some(tier) = native.tier {
        image.add("imageSize", tier.as_str());
    }
    let mut config = JsonObject::default();
    config.add("responseModalities", json!(["IMAGE"]));
    if !image.is_empty() {
        config.add_raw("imageConfig", image.to_string());
    }
    if let Some(seed) = parameters.seed {
        // With the same seed all images would be equal.
        config.add("seed", seed.saturating_add(i64::from(index)));
    }
    for (name, value) in extra.and_then(extra_members).unwrap_or_default() {
        config.set_raw(&name, value);
    }
    config
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::Value;

    use super::{super::family::Family, *};
    use crate::{
        image::providers::common::testing::parameters,
        media::{InputPicture, MediaType},
        size::Size,
    };

    fn written(parameters: &ImageParameters, index: u32, attempt: Attempt) -> String {
        let native = NativeParams::new(Family::Pro3, parameters).unwrap();
        String::from_utf8(body(parameters, native, index, attempt)).unwrap()
    }

    #[test]
    fn default_request_has_prompt_and_modality_only() {
        let expected = r#"{"contents":[{"role":"user","parts":[{"text":"a boat"}]}],"generationConfig":{"responseModalities":["IMAGE"]}}"#;
        assert_eq!(written(&parameters(), 0, Attempt::First), expected);
    }

    #[test]
    fn input_images_precede_the_prompt_and_parameters_have_members() {
        let picture = InputPicture {
            bytes: Bytes::from_static(b"\x89PNG"),
            format: MediaType::Png,
            size: Size::new(9, 9),
            has_alpha: true,
        };
        let parameters = ImageParameters {
            size: Some(Size::new(1792, 1024)),
            style: Some(Style::Natural),
            seed: Some(7),
            pictures: vec![picture],
            ..parameters()
        };
        let body: Value = serde_json::from_str(&written(&parameters, 2, Attempt::Retry)).unwrap();
        let expected = json!({
            "contents": [{"role": "user", "parts": [
                {"inlineData": {"mimeType": "image/png", "data": "iVBORw=="}},
                {"text": format!("a boat\n\nStyle: natural, plain.\n\n{RETRY_INSTRUCTION}")},
            ]}],
            "generationConfig": {
                "responseModalities": ["IMAGE"], "imageConfig": {"aspectRatio": "16:9", "imageSize": "2K"}, "seed": 9,
            },
        });
        assert_eq!(body, expected);
    }

    #[test]
    fn extra_members_are_passed_on_and_native_config_takes_precedence() {
        let extra_json = r#"{"safetySettings":[{"threshold":"OFF"}],"moderation":"low","contents":[],
            "generationConfig":{"temperature":1E400,"seed":5}}"#;
        let parameters = ImageParameters { seed: Some(7), extra_json: extra_json.to_owned(), ..parameters() };
        let expected = r#","generationConfig":{"responseModalities":["IMAGE"],"temperature":1E400,"seed":5},"safetySettings":[{"threshold":"OFF"}]}"#;
        let body = written(&parameters, 0, Attempt::First);
        assert!(body.ends_with(expected), "{body}");
        assert_eq!(body.matches("contents").count(), 1, "{body}");
    }
}
