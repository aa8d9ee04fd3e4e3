//! The request: JSON for generations, multipart for edits, with the same members in the same words.

use bytes::Bytes;
use http::HeaderValue;
use openai_dialect::extra_members;
use serde_json::Value;

use super::{
    super::super::{Background, Encoding, ImageSpec},
    family::{Family, Plan},
};
use crate::{error::ProviderError, media::InputPicture};

/// A request, written.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) path: &'static str,
    pub(super) content_type: HeaderValue,
    pub(super) bytes: Bytes,
}

/// Writes the request for `n` pictures.
pub(super) fn write(model: &str, spec: &ImageSpec, plan: Plan, n: u32) -> Result<Body, ProviderError> {
    let members = members(model, spec, plan, n);
    if spec.pictures.is_empty() {
        let content_type = HeaderValue::from_static("application/json");
        return Ok(Body { path: "images/generations", content_type, bytes: json(&members).into() });
    }
    let boundary = uuid::Uuid::new_v4().simple().to_string();
    let content_type = HeaderValue::try_from(format!("multipart/form-data; boundary={boundary}"));
    let content_type = content_type.map_err(|error| ProviderError::Broken(format!("the request's form: {error}")))?;
    Ok(Body { path: "images/edits", content_type, bytes: form(&boundary, &members, spec).into() })
}

/// Names and values, the values as JSON.
fn members(model: &str, spec: &ImageSpec, plan: Plan, n: u32) -> Vec<(String, String)> {
    let Plan { family, size, format, previews, one_by_one: _ } = plan;
    let mut members = Vec::new();
    let mut add = |name: &str, value: Value| members.push((name.to_owned(), value.to_string()));
    add("model", model.into());
    add("prompt", spec.prompt.as_str().into());
    if n > 1 {
        add("n", n.into());
    }
    if let Some(size) = size {
        add("size", size.to_string().into());
    }
    if let Some(quality) = family.quality(spec.quality) {
        add("quality", quality.into());
    }
    match family {
        Family::DallE2 | Family::DallE3 | Family::Compatible => add("response_format", "b64_json".into()),
        Family::GptImage1 | Family::GptImage2 => {}
    }
    if let (Family::DallE3 | Family::Compatible, Some(style)) = (family, spec.style) {
        add("style", style.as_str().into());
    }
    if spec.background != Background::Auto && !matches!(family, Family::DallE2 | Family::DallE3) {
        add("background", spec.background.as_str().into());
    }
    if let Some(format) = format {
        add("output_format", format.as_str().into());
        if let Encoding::Jpeg { quality } | Encoding::Webp { quality } = format {
            add("output_compression", quality.into());
        }
    }
    if let (Family::Compatible, Some(seed)) = (family, spec.seed) {
        add("seed", seed.into());
    }
    if !spec.user.is_empty() {
        add("user", spec.user.as_str().into());
    }
    if previews > 0 {
        add("stream", true.into());
        add("partial_images", previews.into());
    }
    // A member twice would be read by some servers as the one, by others as the other.
    for (name, value) in extra_members(&spec.extra_json).unwrap_or_default() {
        if !members.iter().any(|(known, _)| *known == name) {
            members.push((name, value.to_owned()));
        }
    }
    members
}

fn json(members: &[(String, String)]) -> String {
    let members: Vec<_> =
        members.iter().map(|(name, value)| format!("{}:{value}", Value::from(name.as_str()))).collect();
    format!("{{{}}}", members.join(","))
}

fn form(boundary: &str, members: &[(String, String)], spec: &ImageSpec) -> Vec<u8> {
    let files = spec.pictures.iter().chain(&spec.mask).map(|picture| picture.bytes.len() + 300).sum::<usize>();
    let mut form = Vec::with_capacity(files + spec.prompt.len() + 4096);
    for (name, value) in members {
        let text = match serde_json::from_str(value) {
            Ok(Value::String(text)) => text,
            Ok(_) | Err(_) => value.clone(),
        };
        let name = quoted(name);
        form.extend(
            format!("--{boundary}\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n").bytes(),
        );
    }
    let name = if spec.pictures.len() == 1 { "image" } else { "image[]" };
    for (place, picture) in spec.pictures.iter().enumerate() {
        file(&mut form, boundary, name, &format!("image-{place}"), picture);
    }
    if let Some(mask) = &spec.mask {
        file(&mut form, boundary, "mask", "mask", mask);
    }
    form.extend(format!("--{boundary}--\r\n").bytes());
    form
}

fn file(form: &mut Vec<u8>, boundary: &str, name: &str, stem: &str, picture: &InputPicture) {
    let (kind, extension) = (picture.format.as_str(), picture.format.extension());
    // Servers tell the type by either, and some by the name alone.
    form.extend(
        format!(
            "--{boundary}\r\ncontent-disposition: form-data; name=\"{name}\"; filename=\"{stem}.{extension}\"\r\n\
             content-type: {kind}\r\n\r\n"
        )
        .bytes(),
    );
    form.extend_from_slice(&picture.bytes);
    form.extend(b"\r\n");
}

/// A member's name as browsers write it between quotes.
fn quoted(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}
