//! The request body of `images/generations` of Ark, the model service of Volcengine that serves Seedream.

use openai_dialect::extra_members;
use serde_json::{Value, json};

use super::family::Family;
use crate::{
    error::ProviderError,
    image::parameters::{Background, Encoding, ImageParameters, Quality},
    json::JsonObject,
    media::MediaType,
    size::Size,
};

/// The member that requests a series of related images; sent by clients in `extra_json`.
const SERIES: &str = "sequential_image_generation";

/// The upstream parameters derived from a request and the model's family.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct NativeParams {
    pub(super) family: Family,
    /// The value of `size`.
    pub(super) size: Option<String>,
    /// The value of `output_format`, if the family supports it.
    pub(super) format: Option<&'static str>,
    /// Whether one streamed call generates all images, as a series.
    pub(super) series: bool,
}

impl NativeParams {
    /// Derives the parameters of a request.
    ///
    /// # Errors
    /// For requests that the family does not support and Triptych cannot emulate.
    pub(super) fn new(family: Family, parameters: &ImageParameters) -> Result<Self, ProviderError> {
        let refused = |field: &str, message: &str| {
            Err(ProviderError::Refused { message: message.to_owned(), field: Some(field.to_owned()) })
        };
        if parameters.background == Background::Transparent {
            return refused("background", "this model does not support transparent backgrounds");
        }
        if family == Family::Seededit3 && parameters.pictures.is_empty() {
            return Err(ProviderError::NotSupported("this model requires an input image".to_owned()));
        }
        if family.is_generation_3() && parameters.pictures.iter().any(|picture| picture.format == MediaType::Webp) {
            return refused("image", "this model accepts PNG and JPEG input images only");
        }
        let extra = extra_members(&parameters.extra_json).unwrap_or_default();
        let series =
            !family.is_generation_3() && extra.iter().any(|(name, value)| name == SERIES && *value == "\"auto\"");
        // An edit without a size keeps the size of its first input image, as far as the family supports it.
        let first = parameters.pictures.first().map(|picture| picture.size);
        let native = parameters
            .size
            .or(first)
            .and_then(|requested| family.native(size_for_quality(requested, parameters.quality)));
        let is_exact = parameters.size.is_none() || native == parameters.size;
        // An image that is converted afterwards is requested in a lossless format.
        let jpeg = is_exact && matches!(parameters.format, Encoding::Jpeg { .. });
        let format = family.has_output_format().then_some(if jpeg { "jpeg" } else { "png" });
        let size =
            if family == Family::Seededit3 { Some("adaptive".to_owned()) } else { native.map(|s| s.to_string()) };
        Ok(Self { family, size, format, series })
    }
}

/// Doubles the size for high quality; the image is scaled down afterwards.
fn size_for_quality(requested: Size, quality: Quality) -> Size {
    if quality.is_high() { Size::new(requested.width * 2, requested.height * 2) } else { requested }
}

/// Returns the body of the call for the image with this index, or for all images of a series.
pub(super) fn body(
    model: &str,
    parameters: &ImageParameters,
    native: &NativeParams,
    index: u32,
    watermark: bool,
) -> Vec<u8> {
    let NativeParams { family, size, format, series } = native;
    let mut body = JsonObject::default();
    body.add("model", model);
    body.add("prompt", prompt(parameters, *series));
    let mut pictures: Vec<_> = parameters.pictures.iter().map(|picture| Value::from(picture.data_url())).collect();
    match (pictures.pop(), pictures.is_empty()) {
        (None, _) => {}
        (Some(only), true) => body.add("image", only),
        (Some(last), false) => {
            pictures.push(last);
            body.add("image", pictures);
        }
    }
    if let Some(size) = size {
        body.add("size", size.as_str());
    }
    if let Some(format) = format {
        body.add("output_format", *format);
    }
    if let (true, Some(seed)) = (family.is_generation_3(), parameters.seed) {
        // Ark's seeds have 31 bits.
        body.add("seed", seed.wrapping_add(index.into()) & i64::from(i32::MAX));
    }
    body.add("watermark", watermark);
    if *series {
        body.add(SERIES, "auto");
        body.add("sequential_image_generation_options", json!({"max_images": parameters.n}));
        body.add("stream", true);
        // As base64, the largest images would exceed the maximum size of an event.
        body.add("response_format", "url");
    } else {
        if !family.is_generation_3() {
            body.add(SERIES, "disabled");
        }
        body.add("response_format", "b64_json");
    }
    for (name, value) in extra_members(&parameters.extra_json).unwrap_or_default() {
        // `add_raw` keeps members that are set above. Only a series is streamed, and Ark has no member for the number of images.
        if name != "stream" && name != "n" {
            body.add_raw(&name, value);
        }
    }
    // The faster mode, which 4.0 alone has, unless the client has set the member.
    if (*family, parameters.quality) == (Family::Seedream4, Quality::Low) {
        body.add("optimize_prompt_options", json!({"mode": "fast"}));
    }
    body.to_string().into_bytes()
}

/// Returns the prompt with the style and the number of images of a series, for which Ark has no members.
fn prompt(parameters: &ImageParameters, series: bool) -> String {
    let style = parameters.style.map(|style| format!("\n\nStyle: {}", style.as_str()));
    let number = (series && parameters.n > 1).then(|| format!("\n\nA series of {} pictures", parameters.n));
    [parameters.prompt.as_str(), &style.unwrap_or_default(), &number.unwrap_or_default()].concat()
}
