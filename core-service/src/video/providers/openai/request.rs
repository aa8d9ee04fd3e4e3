//! The request body. Always multipart: all servers accept it, some accept nothing else.

use openai_dialect::extra_members;
use serde_json::Value;

use super::super::common::{exchange::Content, form::Form};
use crate::{
    error::ProviderError,
    video::{RenderRequest, parameters::VideoParameters},
};

/// Encodes a request. Members without a field of their own follow as text parts; validation keeps them from repeating the
/// others.
pub(super) fn encode(model: &str, request: &RenderRequest) -> Result<Content, ProviderError> {
    let RenderRequest { parameters, reference, slot: _ } = request;
    // The API has no member for the end user, and OpenAI's refuses unknown ones.
    let VideoParameters { prompt, seconds, seed, user: _, extra_json, .. } = parameters;
    let capacity = reference.as_ref().map_or(0, |reference| reference.image.len()) + prompt.len() + 4096;
    let mut form = Form::with_capacity(capacity);
    form.text("model", model);
    form.text("prompt", prompt);
    form.text("seconds", &seconds.to_string());
    form.text("size", &parameters.size().to_string());
    if let Some(seed) = seed {
        form.text("seed", &seed.to_string());
    }
    for (name, value) in extra_members(extra_json).unwrap_or_default() {
        match serde_json::from_str(value) {
            Ok(Value::String(text)) => form.text(&name, &text),
            Ok(Value::Null) => {}
            Ok(_) | Err(_) => form.text(&name, value),
        }
    }
    if let Some(reference) = reference {
        let media_type = reference.key.media_type();
        // Several servers determine the type by the extension.
        let file_name = format!("reference.{}", media_type.extension());
        form.file("input_reference", &file_name, media_type.as_str(), &reference.image);
    }
    form.finish()
}
