//! The request body of the image models of DashScope (Alibaba Cloud): input (messages, or a prompt for older models) and parameters.

use openai_dialect::extra_members;
use serde_json::{Value, json};

use super::family::{ApiMode, Family};
use crate::{
    error::ProviderError,
    image::parameters::{Background, ImageParameters},
    json::JsonObject,
    media::InputPicture,
    size::Size,
};

/// The upstream parameters derived from a request and the model's family.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct NativeParams {
    family: Family,
    pub(super) mode: ApiMode,
    size: Option<Size>,
}

/// The form of a request's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum InputForm {
    Messages,
    Prompt,
}

impl NativeParams {
    /// Derives the parameters of a request.
    ///
    /// # Errors
    /// For requests that the family does not support and Triptych cannot emulate.
    pub(super) fn new(family: Family, mode: ApiMode, parameters: &ImageParameters) -> Result<Self, ProviderError> {
        if parameters.background == Background::Transparent {
            let message = "this model does not support transparent backgrounds".to_owned();
            return Err(ProviderError::Refused { message, field: Some("background".to_owned()) });
        }
        if family.edits_only() && parameters.pictures.is_empty() {
            return Err(ProviderError::NotSupported("this model requires an input image".to_owned()));
        }
        // High quality: twice the size, which is scaled down afterwards.
        let factor = if family == Family::Qwen2 && parameters.quality.is_high() { 2 } else { 1 };
        let scaled = |requested: Size| Size::new(requested.width * factor, requested.height * factor);
        Ok(Self { family, mode, size: parameters.size.and_then(|requested| family.native(scaled(requested))) })
    }

    /// Returns the path of the request below `api/v1/services/aigc`.
    pub(super) fn path(self) -> &'static str {
        self.endpoint().0
    }

    /// Returns the path of the request and the form of its input, which depend on each other.
    fn endpoint(self) -> (&'static str, InputForm) {
        match (self.mode, self.family) {
            (ApiMode::Sync, _) => ("multimodal-generation/generation", InputForm::Messages),
            (ApiMode::Async, Family::QwenEdit | Family::Qwen2 | Family::Wan) => {
                ("image-generation/generation", InputForm::Messages)
            }
            (ApiMode::Async, Family::Wan25Edit) => ("image2image/image-synthesis", InputForm::Prompt),
            (ApiMode::Async, Family::Qwen1 | Family::Wan25 | Family::Wan2 | Family::Wanx1) => {
                ("text2image/image-synthesis", InputForm::Prompt)
            }
        }
    }
}

/// Returns the body of a request for `n` images, the first of which has the index `first`.
pub(super) fn body(model: &str, parameters: &ImageParameters, native: NativeParams, first: u32, n: u32) -> Vec<u8> {
    let (NativeParams { family, size, .. }, (_, form)) = (native, native.endpoint());
    let style = parameters.style.map(|style| format!("\n\nStyle: {}", style.as_str())).unwrap_or_default();
    let prompt = [parameters.prompt.as_str(), &style].concat();
    let mut input = JsonObject::default();
    let pictures = parameters.pictures.iter().map(InputPicture::data_url);
    match form {
        InputForm::Messages => {
            let pictures = pictures.map(|picture| json!({"image": picture}));
            let content: Vec<_> = pictures.chain([json!({"text": prompt})]).collect();
            input.add("messages", json!([{"role": "user", "content": content}]));
        }
        InputForm::Prompt => {
            input.add("prompt", prompt);
            let pictures: Vec<_> = pictures.collect();
            if !pictures.is_empty() {
                input.add("images", pictures);
            }
        }
    }

    let mut members = JsonObject::default();
    if let Some(size) = size {
        members.add("size", format!("{}*{}", size.width, size.height));
    }
    if family.images_per_request() > 1 {
        members.add("n", n);
    }
    if let Some(seed) = parameters.seed {
        // DashScope's seeds have 31 bits.
        members.add("seed", seed.wrapping_add(first.into()) & i64::from(i32::MAX));
    }
    let extra = extra_members(&parameters.extra_json).unwrap_or_default();
    // Without this member DashScope adds a watermark; the client may request one.
    if family != Family::Wanx1 && !extra.iter().any(|(name, _)| name == "watermark") {
        members.add("watermark", false);
    }
    // Members that are set above are kept: `add_raw` ignores a name that exists. `n`, the number of images, is ignored even if the
    // family has no such member.
    for (name, value) in extra {
        if name == "negative_prompt" && form == InputForm::Prompt {
            input.add_raw(&name, value);
        } else if name != "n" {
            members.add_raw(&name, value);
        }
    }
    let model = Value::from(model);
    format!(r#"{{"model":{model},"input":{input},"parameters":{members}}}"#).into()
}
