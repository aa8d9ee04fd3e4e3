//! The request: a message of pictures and words, or a prompt in the older tasks, and parameters beside it.

use openai_dialect::extra_members;
use serde_json::{Value, json};

use super::family::{Family, Way};
use crate::{
    error::ProviderError,
    image::{Background, ImageSpec},
    size::Size,
};

/// How one request is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Plan {
    family: Family,
    pub(super) way: Way,
    /// The size to ask for.
    size: Option<Size>,
}

/// In which words a model is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Messages,
    Prompt,
}

impl Plan {
    /// # Errors
    /// For what the family cannot do and nobody here can do for it.
    pub(super) fn of(family: Family, way: Way, spec: &ImageSpec) -> Result<Self, ProviderError> {
        if spec.background == Background::Transparent {
            let message = "this model paints no transparent background".to_owned();
            return Err(ProviderError::Refused { message, field: Some("background".to_owned()) });
        }
        if family.edits_only() && spec.pictures.is_empty() {
            return Err(ProviderError::NotSupported("this model starts from pictures only".to_owned()));
        }
        let times = if family == Family::Qwen2 && spec.quality.is_high() { 2 } else { 1 };
        let finer = |asked: Size| Size::new(asked.width * times, asked.height * times);
        Ok(Self { family, way, size: spec.size.and_then(|asked| family.native(finer(asked))) })
    }

    /// Where the request goes, below `api/v1/services/aigc`.
    pub(super) fn path(self) -> &'static str {
        self.address().0
    }

    fn address(self) -> (&'static str, Form) {
        match (self.way, self.family) {
            (Way::Call, _) => ("multimodal-generation/generation", Form::Messages),
            (Way::Task, Family::QwenEdit | Family::Qwen2 | Family::Wan) => {
                ("image-generation/generation", Form::Messages)
            }
            (Way::Task, Family::Wan25Edit) => ("image2image/image-synthesis", Form::Prompt),
            (Way::Task, Family::Qwen1 | Family::Wan25 | Family::Wan2 | Family::Wanx1) => {
                ("text2image/image-synthesis", Form::Prompt)
            }
        }
    }
}

/// The body of the request for `n` pictures from `first` on.
pub(super) fn write(model: &str, spec: &ImageSpec, plan: Plan, first: u32, n: u32) -> Vec<u8> {
    let (Plan { family, size, .. }, (_, form)) = (plan, plan.address());
    let mut input: Vec<(String, String)> = Vec::new();
    let mut parameters: Vec<(String, String)> = Vec::new();
    let mut ask = |name: &str, value: Value| input.push((name.to_owned(), value.to_string()));
    let style = spec.style.map(|style| format!("\n\nStyle: {}", style.as_str())).unwrap_or_default();
    let words = [spec.prompt.as_str(), &style].concat();
    let pictures = spec.pictures.iter().map(crate::media::InputPicture::data_url);
    match form {
        Form::Messages => {
            let pictures = pictures.map(|picture| json!({"image": picture}));
            let content: Vec<_> = pictures.chain([json!({"text": words})]).collect();
            ask("messages", json!([{"role": "user", "content": content}]));
        }
        Form::Prompt => {
            ask("prompt", words.into());
            let pictures: Vec<_> = pictures.collect();
            if !pictures.is_empty() {
                ask("images", pictures.into());
            }
        }
    }

    let mut add = |name: &str, value: Value| parameters.push((name.to_owned(), value.to_string()));
    if let Some(size) = size {
        add("size", format!("{}*{}", size.width, size.height).into());
    }
    if family.at_once() > 1 {
        add("n", n.into());
    }
    if let Some(seed) = spec.seed {
        // Seeds have 31 bits here.
        add("seed", (seed.wrapping_add(first.into()) & i64::from(i32::MAX)).into());
    }
    // What was not asked for is not painted over the picture, unless the caller says so.
    let extra = extra_members(&spec.extra_json).unwrap_or_default();
    if family != Family::Wanx1 && !extra.iter().any(|(name, _)| name == "watermark") {
        add("watermark", false.into());
    }
    for (name, value) in extra {
        if name == "negative_prompt" && form == Form::Prompt {
            input.push((name, value.to_owned()));
        } else if name != "n" && !parameters.iter().any(|(known, _)| *known == name) {
            parameters.push((name, value.to_owned()));
        }
    }
    let model = Value::from(model);
    format!(r#"{{"model":{model},"input":{{{}}},"parameters":{{{}}}}}"#, members(&input), members(&parameters)).into()
}

fn members(members: &[(String, String)]) -> String {
    let members = members.iter().map(|(name, value)| format!("{}:{value}", Value::from(name.as_str())));
    members.collect::<Vec<_>>().join(",")
}
