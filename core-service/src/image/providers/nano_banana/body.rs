//! The request: pictures first, words last, and what is said of the picture to come.

use base64::{Engine, engine::general_purpose::STANDARD};
use openai_dialect::extra_members;
use serde_json::{Value, json};

use super::{
    super::super::{ImageSpec, Style},
    family::Plan,
};

/// Said besides after an answer in words alone.
const FIRMLY: &str = "Answer with exactly one picture, not with words.";
/// OpenAI's own members, which clients send out of habit and this API would refuse a request for.
const FOREIGN: [&str; 2] = ["moderation", "input_fidelity"];
const CONFIG: &str = "generationConfig";

/// Writes the request for the picture of this index. `firmly`: words are not enough.
pub(super) fn write(spec: &ImageSpec, plan: Plan, index: u32, firmly: bool) -> Vec<u8> {
    let encoded = spec.pictures.iter().map(|picture| picture.bytes.len() / 3 * 4 + 100).sum::<usize>();
    let mut body = String::with_capacity(encoded + spec.prompt.len() + 1024);
    body.push_str(r#"{"contents":[{"role":"user","parts":["#);
    for picture in &spec.pictures {
        body.push_str(r#"{"inlineData":{"mimeType":""#);
        body.push_str(picture.format.as_str());
        body.push_str(r#"","data":""#);
        STANDARD.encode_string(&picture.bytes, &mut body);
        body.push_str(r#""}},"#);
    }
    let mut words = spec.prompt.clone();
    if let Some(style) = spec.style {
        words.push_str(match style {
            Style::Vivid => "\n\nStyle: vivid, dramatic.",
            Style::Natural => "\n\nStyle: natural, plain.",
        });
    }
    if firmly {
        words.push_str("\n\n");
        words.push_str(FIRMLY);
    }
    body.push_str(&json!({ "text": words }).to_string());
    body.push_str("]}]");
    // Raw text: numbers keep their spelling and members their order.
    let extras = extra_members(&spec.extra_json).unwrap_or_default();
    let said = |name: &str| extras.iter().find(|(known, _)| known == name).map(|(_, value)| *value);
    add(&mut body, CONFIG, &config(spec, plan, index, said(CONFIG).or_else(|| said("generation_config"))));
    for (name, value) in &extras {
        let ours = ["contents", CONFIG, "generation_config"].contains(&name.as_str());
        if !ours && !FOREIGN.contains(&name.as_str()) {
            add(&mut body, name, value);
        }
    }
    body.push('}');
    body.into_bytes()
}

/// What the request says of the picture, with what the caller says besides.
fn config(spec: &ImageSpec, plan: Plan, index: u32, besides: Option<&str>) -> String {
    let mut image = serde_json::Map::new();
    if let Some(ratio) = plan.ratio {
        image.insert("aspectRatio".to_owned(), ratio.to_string().into());
    }
    if let Some(tier) = plan.tier {
        image.insert("imageSize".to_owned(), tier.as_str().into());
    }
    let mut members = vec![("responseModalities".to_owned(), json!(["IMAGE"]).to_string())];
    if !image.is_empty() {
        members.push(("imageConfig".to_owned(), Value::from(image).to_string()));
    }
    if let Some(seed) = spec.seed {
        // Another seed for each picture, or they would all be the same.
        members.push(("seed".to_owned(), seed.saturating_add(i64::from(index)).to_string()));
    }
    for (name, value) in besides.and_then(extra_members).unwrap_or_default() {
        // Who knows this API's own words means them.
        members.retain(|(known, _)| *known != name);
        members.push((name, value.to_owned()));
    }
    let mut object = String::from("{");
    for (name, value) in &members {
        add(&mut object, name, value);
    }
    object.push('}');
    object
}

/// One more member of an object that is being written.
fn add(object: &mut String, name: &str, value: &str) {
    if !object.ends_with('{') {
        object.push(',');
    }
    object.push_str(&Value::from(name).to_string());
    object.push(':');
    object.push_str(value);
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{super::family::Family, *};
    use crate::{
        image::providers::tests::spec,
        media::{InputPicture, MediaType},
        size::Size,
    };

    fn written(spec: &ImageSpec, index: u32, firmly: bool) -> String {
        let plan = Family::Three.plan(spec).unwrap();
        String::from_utf8(write(spec, plan, index, firmly)).unwrap()
    }

    #[test]
    fn a_request_without_wishes_says_only_that_a_picture_is_wanted() {
        let expected = r#"{"contents":[{"role":"user","parts":[{"text":"a boat"}]}],"generationConfig":{"responseModalities":["IMAGE"]}}"#;
        assert_eq!(written(&spec(), 0, false), expected);
    }

    #[test]
    fn pictures_go_before_the_words_and_every_wish_finds_its_member() {
        let picture = InputPicture {
            bytes: Bytes::from_static(b"\x89PNG"),
            format: MediaType::Png,
            size: Size::new(9, 9),
            has_alpha: true,
        };
        let spec = ImageSpec {
            size: Some(Size::new(1792, 1024)),
            style: Some(Style::Natural),
            seed: Some(7),
            pictures: vec![picture],
            ..spec()
        };
        let told: Value = serde_json::from_str(&written(&spec, 2, true)).unwrap();
        let expected = json!({
            "contents": [{"role": "user", "parts": [
                {"inlineData": {"mimeType": "image/png", "data": "iVBORw=="}},
                {"text": format!("a boat\n\nStyle: natural, plain.\n\n{FIRMLY}")},
            ]}],
            "generationConfig": {
                "responseModalities": ["IMAGE"], "imageConfig": {"aspectRatio": "16:9", "imageSize": "2K"}, "seed": 9,
            },
        });
        assert_eq!(told, expected);
    }

    #[test]
    fn what_has_no_field_is_handed_on_and_the_apis_own_words_count_most() {
        let extra_json = r#"{"safetySettings":[{"threshold":"OFF"}],"moderation":"low","contents":[],
            "generationConfig":{"temperature":1E400,"seed":5}}"#;
        let spec = ImageSpec { seed: Some(7), extra_json: extra_json.to_owned(), ..spec() };
        let expected = r#","generationConfig":{"responseModalities":["IMAGE"],"temperature":1E400,"seed":5},"safetySettings":[{"threshold":"OFF"}]}"#;
        let told = written(&spec, 0, false);
        assert!(told.ends_with(expected), "{told}");
        assert_eq!(told.matches("contents").count(), 1, "{told}");
    }
}
