//! The request body of a submission to fal: the input of a model's endpoint.

use openai_dialect::extra_members;
use serde_json::Value;

use crate::{
    json::JsonObject,
    model_facts::{DurationForm, MemberNames},
    video::{
        RenderRequest,
        inputs::{InputRole, RenderInput},
        parameters::VideoParameters,
    },
};

/// The number of seeds that fal's models accept, 0 to 2^31 - 1. Other seeds are mapped into this range.
const SEEDS: i64 = 1 << 31;

/// Encodes a request. `names` are the names and forms of members that differ between models, from `model_facts`.
pub(super) fn encode(names: &MemberNames, request: &RenderRequest) -> String {
    let VideoParameters {
        prompt,
        seconds,
        seed,
        resolution,
        aspect_ratio,
        generate_audio,
        negative_prompt,
        extra_json,
        ..
    } = &request.parameters;
    let mut members = JsonObject::default();
    members.add("prompt", prompt.as_str());
    members.add(
        "duration",
        match names.seconds {
            DurationForm::Number => Value::from(*seconds),
            DurationForm::Text => Value::from(seconds.to_string()),
            DurationForm::TextWithUnit => Value::from(format!("{seconds}s")),
        },
    );
    // The video gets the ratio of its first frame or source, and many models then refuse the member.
    let has_ratio = request.parameters.has_frames() || request.input(InputRole::Source).is_some();
    if !aspect_ratio.is_empty() && !has_ratio {
        members.add("aspect_ratio", aspect_ratio.as_str());
    }
    if !resolution.is_empty() {
        members.add("resolution", resolution.as_str());
    }
    if let Some(seed) = seed {
        members.add("seed", seed.rem_euclid(SEEDS));
    }
    if let Some(generate_audio) = generate_audio {
        members.add("generate_audio", *generate_audio);
    }
    if !negative_prompt.is_empty() {
        members.add("negative_prompt", negative_prompt.as_str());
    }
    add_inputs(&mut members, names, request);
    // Members of the client, which do not replace those above. Names that other models have for inputs are passed on, and the
    // model decides.
    for (name, value) in extra_members(extra_json).unwrap_or_default() {
        members.add_raw(&name, value);
    }
    members.to_string()
}

/// Adds the inputs: links as they are, files as data URLs.
fn add_inputs(members: &mut JsonObject, names: &MemberNames, request: &RenderRequest) {
    let urls = |role: InputRole| request.inputs.iter().filter(move |input| input.role == role).map(RenderInput::url);
    for (name, role) in [
        (&names.first_frame, InputRole::FirstFrame),
        (&names.last_frame, InputRole::LastFrame),
        (&names.source, InputRole::Source),
    ] {
        if let Some(url) = urls(role).next() {
            members.add(name, url);
        }
    }
    for (name, role) in
        [(&names.images, InputRole::Image), (&names.videos, InputRole::Video), (&names.sounds, InputRole::Sound)]
    {
        let urls: Vec<_> = urls(role).collect();
        if !urls.is_empty() {
            members.add(name, urls);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        model_facts::{FactsTable, InputKind},
        video::{
            Operation, Slot,
            inputs::{InputContent, InputSource, StoredInput},
            testing,
        },
    };

    /// Encodes a request for 8 seconds in 720p 16:9, with a link for each of these roles.
    fn encoded(model: &str, roles: &[InputRole], change: impl FnOnce(&mut VideoParameters)) -> Value {
        let mut parameters = testing::request().parameters;
        (parameters.resolution, parameters.aspect_ratio, parameters.seconds) =
            ("720p".to_owned(), "16:9".to_owned(), 8);
        let source = || InputSource::Link("https://a.test/x".to_owned());
        parameters.inputs = roles.iter().map(|role| StoredInput { role: *role, source: source() }).collect();
        change(&mut parameters);
        let content = || InputContent::Link("https://a.test/x".to_owned());
        let inputs = roles.iter().map(|role| RenderInput { role: *role, content: content() }).collect();
        let names = FactsTable::default().find("fal", model).members;
        serde_json::from_str(&encode(&names, &RenderRequest { parameters, inputs, slot: Slot::default() })).unwrap()
    }

    #[test]
    fn members_have_the_names_and_forms_of_the_model() {
        let body = encoded("fal-ai/veo3.1", &[], |parameters| {
            parameters.seed = Some(-1);
            parameters.generate_audio = Some(false);
            parameters.extra_json = r#"{"auto_fix":true,"duration":"4s"}"#.to_owned();
        });
        let expected = json!({"prompt": "a boat", "duration": "8s", "aspect_ratio": "16:9", "resolution": "720p",
            "seed": 2_147_483_647, "generate_audio": false, "auto_fix": true});
        assert_eq!(body, expected);
        let frames = [InputRole::FirstFrame, InputRole::LastFrame];
        let body = encoded("fal-ai/kling-video/v3/pro", &frames, |_| {});
        let expected = json!({"prompt": "a boat", "duration": "8", "resolution": "720p",
            "start_image_url": "https://a.test/x", "end_image_url": "https://a.test/x"});
        assert_eq!(body, expected);
        let body = encoded("bytedance/seedance-2.0", &[InputRole::Image, InputRole::Sound], |_| {});
        assert_eq!(
            (&body["image_urls"], &body["audio_urls"]),
            (&json!(["https://a.test/x"]), &json!(["https://a.test/x"]))
        );
        assert_eq!(encoded("unknown/model", &[], |_| {})["duration"], 8);
    }

    #[test]
    fn extension_has_an_endpoint_of_its_own_and_no_ratio() {
        const MODEL: &str = "fal-ai/veo3.1/fast";
        let extend =
            |parameters: &mut VideoParameters| (parameters.operation, parameters.seconds) = (Operation::Extend, 7);
        let body = encoded(MODEL, &[InputRole::Source], extend);
        let expected =
            json!({"prompt": "a boat", "duration": "7s", "resolution": "720p", "video_url": "https://a.test/x"});
        assert_eq!(body, expected);
        let facts = FactsTable::default().find("fal", MODEL);
        assert_eq!(facts.upstream_name(MODEL, InputKind::Extend), "fal-ai/veo3.1/fast/extend-video");
    }
}
