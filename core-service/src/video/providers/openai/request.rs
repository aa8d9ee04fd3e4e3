//! The request body for a new video. Always multipart: all servers accept that, some accept nothing else. `source` has the
//! bodies of edits, extensions and remixes.

use openai_dialect::extra_members;
use serde_json::Value;

use super::super::common::{exchange::Content, form::Form};
use crate::{
    error::ProviderError,
    video::{
        RenderRequest,
        inputs::{InputRole, RenderInput},
        parameters::VideoParameters,
    },
};

/// The parts that this module adds itself, and `user`, which OpenAI refuses. Validation accepts their names in `extra_json` with an empty
/// list or object.
const OWN_PARTS: [&str; 9] =
    ["model", "prompt", "seconds", "size", "seed", "generate_audio", "negative_prompt", "input_reference", "user"];

/// Encodes a request. Members without a field of their own follow as text parts; the validation of the request refuses those that
/// would repeat other parts.
///
/// # Errors
/// [`ProviderError::NotSupported`] if the first frame is a link.
pub(super) fn encode(model: &str, request: &RenderRequest) -> Result<Content, ProviderError> {
    let VideoParameters { prompt, seconds, seed, negative_prompt, generate_audio, extra_json, .. } =
        &request.parameters;
    // `user` is not sent: the API has no such member, and OpenAI refuses unknown ones.
    let first_frame = request.input(InputRole::FirstFrame);
    // 4 KiB for names, boundaries and small parts.
    let capacity = first_frame.map_or(0, RenderInput::size_bytes) + prompt.len() + 4096;
    let mut form = Form::with_capacity(capacity);
    form.text("model", model);
    form.text("prompt", prompt);
    form.text("seconds", &seconds.to_string());
    form.text("size", &request.parameters.size().to_string());
    if let Some(seed) = seed {
        form.text("seed", &seed.to_string());
    }
    if let Some(generate_audio) = generate_audio {
        form.text("generate_audio", &generate_audio.to_string());
    }
    if !negative_prompt.is_empty() {
        form.text("negative_prompt", negative_prompt);
    }
    add_extra_members(&mut form, extra_json, &OWN_PARTS);
    if let Some(first_frame) = first_frame {
        let (media_type, image) = first_frame.file()?;
        // Several servers determine the type by the extension.
        let file_name = format!("reference.{}", media_type.extension());
        form.file("input_reference", &file_name, media_type.as_str(), image);
    }
    form.finish()
}

/// Adds the members without a field of their own as text parts: strings as they are, other values as JSON. Reserved members and nulls
/// are left out.
pub(super) fn add_extra_members(form: &mut Form, extra_json: &str, reserved: &[&str]) {
    for (name, value) in extra_members(extra_json).unwrap_or_default() {
        match serde_json::from_str(value) {
            _ if reserved.contains(&name.as_str()) => {}
            Ok(Value::String(text)) => form.text(&name, &text),
            Ok(Value::Null) => {}
            Ok(_) | Err(_) => form.text(&name, value),
        }
    }
}
