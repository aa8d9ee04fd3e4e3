//! OpenAI's list of images, which other upstreams use as well.
//!
//! Wire format: `{"data":[{"b64_json"|"url", "revised_prompt"}], "usage":{..}}`, with an `error` on either level.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::decode::base64_image;
use crate::{error::ProviderError, image::Usage};

/// An image in an upstream's response.
#[derive(Debug, PartialEq)]
pub(in crate::image::providers) struct UpstreamImage {
    /// The image, or why this one failed; others may have succeeded.
    pub(in crate::image::providers) source: Result<ImageSource, ProviderError>,
    /// Empty if the prompt was not revised.
    pub(in crate::image::providers) revised_prompt: String,
}

/// How an upstream delivers an image.
#[derive(Debug, PartialEq)]
pub(in crate::image::providers) enum ImageSource {
    Bytes(Bytes),
    Link(String),
}

/// A parsed list of images.
#[derive(Debug)]
pub(in crate::image::providers) struct ImageList {
    pub(in crate::image::providers) images: Vec<UpstreamImage>,
    pub(in crate::image::providers) usage: Option<Usage>,
}

/// Maps the JSON text of an `error` within a successful response to a provider error.
pub(in crate::image::providers) type MapError = fn(&str) -> ProviderError;

#[derive(Deserialize)]
struct ListWire<'a> {
    #[serde(borrow)]
    data: Option<Vec<ImageWire<'a>>>,
    usage: Option<UsageWire>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(in crate::image::providers) struct ImageWire<'a> {
    #[serde(borrow)]
    pub(in crate::image::providers) b64_json: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(in crate::image::providers) url: Option<Cow<'a, str>>,
    pub(in crate::image::providers) revised_prompt: Option<String>,
    #[serde(borrow)]
    pub(in crate::image::providers) error: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(in crate::image::providers) struct UsageWire {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    total_tokens: Option<u64>,
    input_tokens_details: Option<DetailsWire>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct DetailsWire {
    image_tokens: Option<u64>,
}

/// Parses a non-streaming response.
///
/// # Errors
/// [`ProviderError::Unreadable`] if it is not a list of images; the mapped `error` if it has one and no images.
pub(in crate::image::providers) fn parse(body: &[u8], map_error: MapError) -> Result<ImageList, ProviderError> {
    let ListWire { data, usage, error } = serde_json::from_slice(body.trim_ascii()).map_err(|error| {
        ProviderError::Unreadable(format!("the upstream's response is not a list of images: {error}"))
    })?;
    let images: Vec<_> = data.unwrap_or_default().into_iter().map(|image| image.into_image(map_error)).collect();
    match non_null(error) {
        Some(error) if images.is_empty() => Err(map_error(error)),
        Some(_) | None => Ok(ImageList { images, usage: usage.and_then(UsageWire::into_usage) }),
    }
}

/// Returns the text of an `error` member unless it is null.
pub(in crate::image::providers) fn non_null(error: Option<&RawValue>) -> Option<&str> {
    error.map(RawValue::get).filter(|error| *error != "null")
}

impl ImageWire<'_> {
    pub(in crate::image::providers) fn into_image(self, map_error: MapError) -> UpstreamImage {
        let Self { b64_json, url, revised_prompt, error } = self;
        let source = match (b64_json, url, non_null(error)) {
            (Some(encoded), ..) if !encoded.is_empty() => base64_image(&encoded).map(ImageSource::Bytes),
            (_, Some(url), _) if url.starts_with("data:") => base64_image(&url).map(ImageSource::Bytes),
            (_, Some(url), _) if !url.is_empty() => Ok(ImageSource::Link(url.into_owned())),
            (.., Some(error)) => Err(map_error(error)),
            (.., None) => {
                Err(ProviderError::Unreadable("the upstream's response lacks the bytes or link of an image".to_owned()))
            }
        };
        UpstreamImage { source, revised_prompt: revised_prompt.unwrap_or_default() }
    }
}

impl UsageWire {
    /// Returns the usage; missing counts are derived, as some upstreams report only part of them.
    pub(in crate::image::providers) fn into_usage(self) -> Option<Usage> {
        let Self { input_tokens, output_tokens, total_tokens, input_tokens_details } = self;
        input_tokens.or(output_tokens).or(total_tokens)?;
        let reported_input = input_tokens.unwrap_or_default();
        let total = total_tokens.unwrap_or(reported_input.saturating_add(output_tokens.unwrap_or_default()));
        let output = output_tokens.unwrap_or(total.saturating_sub(reported_input));
        let input = input_tokens.unwrap_or(total.saturating_sub(output));
        let input_images = input_tokens_details.unwrap_or_default().image_tokens.unwrap_or_default();
        Some(Usage { input, input_images, output, total })
    }
}
