//! The request body of OpenAI's images API: JSON for generations, multipart for edits, with the same members.

use bytes::Bytes;
use http::HeaderValue;
use openai_dialect::extra_members;
use serde_json::Value;

use super::{
    super::common::request::JSON,
    family::{Family, NativeParams},
};
use crate::{
    error::ProviderError,
    image::parameters::{Background, Encoding, ImageParameters},
    json::JsonObject,
    media::InputPicture,
};

/// An encoded request.
#[derive(Debug)]
pub(super) struct EncodedRequest {
    pub(super) path: &'static str,
    pub(super) content_type: HeaderValue,
    pub(super) body: Bytes,
}

/// Encodes the request for `n` images, the first of which has the index `first`.
pub(super) fn encode(
    model: &str,
    parameters: &ImageParameters,
    native: NativeParams,
    first: u32,
    n: u32,
) -> Result<EncodedRequest, ProviderError> {
    let members = members(model, parameters, native, first, n);
    if parameters.pictures.is_empty() {
        let body = members.to_string().into();
        return Ok(EncodedRequest { path: "images/generations", content_type: JSON, body });
    }
    let boundary = uuid::Uuid::new_v4().simple().to_string();
    let content_type = HeaderValue::try_from(format!("multipart/form-data; boundary={boundary}"));
    let content_type = content_type
        .map_err(|error| ProviderError::Broken(format!("encoding the multipart request failed: {error}")))?;
    Ok(EncodedRequest { path: "images/edits", content_type, body: multipart(&boundary, &members, parameters).into() })
}

/// Returns the members of the request.
fn members(model: &str, parameters: &ImageParameters, native: NativeParams, first: u32, n: u32) -> JsonObject {
    let NativeParams { family, size, format, previews, one_per_call: _ } = native;
    let mut members = JsonObject::default();
    members.add("model", model);
    members.add("prompt", parameters.prompt.as_str());
    if n > 1 {
        members.add("n", n);
    }
    if let Some(size) = size {
        members.add("size", size.to_string());
    }
    if let Some(quality) = family.quality(parameters.quality) {
        members.add("quality", quality);
    }
    match family {
        Family::DallE2 | Family::DallE3 | Family::Compatible => members.add("response_format", "b64_json"),
        Family::GptImage1 | Family::GptImage2 => {}
    }
    if let (Family::DallE3 | Family::Compatible, Some(style)) = (family, parameters.style) {
        members.add("style", style.as_str());
    }
    if parameters.background != Background::Auto && !matches!(family, Family::DallE2 | Family::DallE3) {
        members.add("background", parameters.background.as_str());
    }
    if let Some(format) = format {
        members.add("output_format", format.as_str());
        if let Encoding::Jpeg { quality } | Encoding::Webp { quality } = format {
            members.add("output_compression", quality);
        }
    }
    if let (Family::Compatible, Some(seed)) = (family, parameters.seed) {
        // With the same seed, separate calls would return the same image.
        members.add("seed", seed.wrapping_add(first.into()));
    }
    if !parameters.user.is_empty() {
        members.add("user", parameters.user.as_str());
    }
    if previews > 0 {
        members.add("stream", true);
        members.add("partial_images", previews);
    }
    // Members that are set above are kept: `add_raw` ignores a name that exists.
    for (name, value) in extra_members(&parameters.extra_json).unwrap_or_default() {
        members.add_raw(&name, value);
    }
    members
}

/// Returns the members and the input images as `multipart/form-data`.
fn multipart(boundary: &str, members: &JsonObject, parameters: &ImageParameters) -> Vec<u8> {
    // The files with the heads of their parts, so that the form is allocated once.
    let files =
        parameters.pictures.iter().chain(&parameters.mask).map(|picture| picture.bytes.len() + 300).sum::<usize>();
    let mut form = Vec::with_capacity(files + parameters.prompt.len() + 4096);
    for (name, value) in members.members() {
        // A field of a form is plain text: a string without its quotes, any other value as JSON.
        let text = match serde_json::from_str(value) {
            Ok(Value::String(text)) => text,
            Ok(_) | Err(_) => value.to_owned(),
        };
        let name = quoted(name);
        form.extend(
            format!("--{boundary}\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n").bytes(),
        );
    }
    let name = if parameters.pictures.len() == 1 { "image" } else { "image[]" };
    for (index, picture) in parameters.pictures.iter().enumerate() {
        file(&mut form, boundary, name, &format!("image-{index}"), picture);
    }
    if let Some(mask) = &parameters.mask {
        file(&mut form, boundary, "mask", "mask", mask);
    }
    form.extend(format!("--{boundary}--\r\n").bytes());
    form
}

/// Appends the part of a file, whose name is `stem` with the extension of its format.
fn file(form: &mut Vec<u8>, boundary: &str, name: &str, stem: &str, picture: &InputPicture) {
    let (kind, extension) = (picture.format.as_str(), picture.format.extension());
    // Servers determine the type by the content type or by the extension of the name, some by the latter only.
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

/// Escapes a name for `content-disposition`, as browsers do.
fn quoted(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::providers::common::testing::parameters;

    #[test]
    fn each_call_of_a_request_has_the_seed_of_its_first_image() {
        let parameters = ImageParameters { seed: Some(7), ..parameters() };
        let native = NativeParams::new(Family::Compatible, &parameters).unwrap();
        for (first, expected) in [(0, 7), (2, 9)] {
            let request = encode("m", &parameters, native, first, 1).unwrap();
            let body: Value = serde_json::from_slice(&request.body).unwrap();
            assert_eq!(body["seed"], expected, "{first}");
        }
    }
}
