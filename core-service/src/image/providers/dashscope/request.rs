//! The request: a message of pictures and words, and parameters beside it.

use openai_dialect::extra_members;
use serde_json::{Value, json};

use super::family::Family;
use crate::{
    error::ProviderError,
    image::{Background, ImageSpec},
    size::Size,
};

/// How one request is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Plan {
    family: Family,
    /// The size to ask for.
    size: Option<Size>,
}

impl Plan {
    /// # Errors
    /// For what the family cannot do and nobody here can do for it.
    pub(super) fn of(family: Family, spec: &ImageSpec) -> Result<Self, ProviderError> {
        if spec.background == Background::Transparent {
            let message = "this model paints no transparent background".to_owned();
            return Err(ProviderError::Refused { message, field: Some("background".to_owned()) });
        }
        if family == Family::QwenEdit && spec.pictures.is_empty() {
            return Err(ProviderError::NotSupported("this model starts from pictures only".to_owned()));
        }
        let finer = |asked: Size| match (family, spec.quality.is_high()) {
            (Family::Qwen2, true) => Size::new(asked.width * 2, asked.height * 2),
            (Family::Qwen1 | Family::QwenEdit | Family::Wan, _) | (Family::Qwen2, false) => asked,
        };
        Ok(Self { family, size: spec.size.and_then(|asked| family.native(finer(asked))) })
    }
}

/// The body of the call for `n` pictures from `first` on.
pub(super) fn write(model: &str, spec: &ImageSpec, plan: Plan, first: u32, n: u32) -> Vec<u8> {
    let Plan { family, size } = plan;
    let mut content: Vec<_> = spec.pictures.iter().map(|picture| json!({"image": picture.data_url()})).collect();
    let style = spec.style.map(|style| format!("\n\nStyle: {}", style.as_str())).unwrap_or_default();
    let words = [spec.prompt.as_str(), &style].concat();
    content.push(json!({"text": words}));

    let mut parameters: Vec<(String, String)> = Vec::new();
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
    if !extra.iter().any(|(name, _)| name == "watermark") {
        add("watermark", false.into());
    }
    for (name, value) in extra {
        if name != "n" && !parameters.iter().any(|(known, _)| *known == name) {
            parameters.push((name, value.to_owned()));
        }
    }
    let parameters: Vec<_> =
        parameters.iter().map(|(name, value)| format!("{}:{value}", Value::from(name.as_str()))).collect();
    let messages = json!([{"role": "user", "content": content}]);
    let model = Value::from(model);
    format!(r#"{{"model":{model},"input":{{"messages":{messages}}},"parameters":{{{}}}}}"#, parameters.join(",")).into()
}
