//! OpenAI's image JSON, converted from and to the messages of the core's protobuf API.

use base64::{display::Base64Display, engine::general_purpose::STANDARD};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use triptych_proto::{time::unix_seconds, usd::usd, v1 as pb};

use crate::{
    error::GatewayError,
    form::{Fields, FormBody},
    links::Links,
};

/// The endpoint of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    Generations,
    Edits,
}

/// The parameters of a request.
#[derive(Debug)]
pub(super) struct ImageParameters {
    pub(super) image: pb::ImageRequest,
    pub(super) stream: bool,
    pub(super) partial_images: u32,
}

/// Parses a request.
pub(super) fn read(body: &mut FormBody, endpoint: Endpoint, links: &Links) -> Result<ImageParameters, GatewayError> {
    let mut fields = body.fields()?;
    let inputs = match endpoint {
        Endpoint::Generations => (Vec::new(), None),
        Endpoint::Edits => image_inputs(&mut fields, links)?,
    };
    if endpoint == Endpoint::Edits && inputs.0.is_empty() {
        return Err(GatewayError::invalid("image", "image: required for an edit"));
    }
    parameters(fields, inputs)
}

/// Parses a request whose cost is estimated: a generation, or an edit if there are images.
pub(super) fn read_estimate(body: &mut FormBody, links: &Links) -> Result<pb::ImageRequest, GatewayError> {
    let mut fields = body.fields()?;
    let inputs = image_inputs(&mut fields, links)?;
    Ok(parameters(fields, inputs)?.image)
}

/// The images of an edit, and its mask.
type ImageInputs = (Vec<pb::MediaInput>, Option<pb::MediaInput>);

fn parameters(mut fields: Fields<'_>, (pictures, mask): ImageInputs) -> Result<ImageParameters, GatewayError> {
    let stream = fields.boolean("stream")?;
    let partial_images = fields.integer("partial_images")?.unwrap_or_default();
    let model = fields.string("model")?;
    let delivery = delivery(&fields.string("response_format")?, &model)?.into();
    let image = pb::ImageRequest {
        model,
        prompt: fields.string("prompt")?,
        n: fields.integer("n")?,
        size: fields.string("size")?,
        quality: fields.string("quality")?,
        style: fields.string("style")?,
        background: fields.string("background")?,
        output_format: fields.string("output_format")?,
        output_compression: fields.integer("output_compression")?,
        seed: fields.integer("seed")?,
        user: fields.string("user")?,
        pictures,
        mask,
        delivery,
        keep_original: fields.boolean("keep_original")?,
        extra_json: fields.into_extra_json()?,
    };
    Ok(ImageParameters { image, stream, partial_images })
}

/// Parses the images of an edit, `image` (repeatable) or `images`, and its mask.
fn image_inputs(fields: &mut Fields<'_>, links: &Links) -> Result<ImageInputs, GatewayError> {
    let mut pictures = Vec::new();
    for name in ["image", "images"] {
        for value in fields.take_all(name) {
            pictures.extend(value.image_inputs(name, links)?);
        }
    }
    let mask = fields.take("mask").map(|value| value.image_input("mask", links)).transpose()?;
    Ok((pictures, mask))
}

/// Parses `response_format`. OpenAI's GPT image models have no such parameter and always return bytes, which their clients
/// decode without looking.
fn delivery(word: &str, model: &str) -> Result<pb::ImageDelivery, GatewayError> {
    let name = model.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    match word {
        "" if name.starts_with("gpt-image-") || name.starts_with("chatgpt-image-") => Ok(pb::ImageDelivery::Bytes),
        "" | "url" => Ok(pb::ImageDelivery::Link),
        "b64_json" => Ok(pb::ImageDelivery::Bytes),
        _ => Err(GatewayError::invalid(
            "response_format",
            format!("response_format \"{word}\": expected `url` or `b64_json`"),
        )),
    }
}

/// Request parameters that responses repeat, as values that OpenAI's API allows. `auto` stands for all other values.
#[derive(Debug, Clone, Copy)]
pub(super) struct ResponseEcho {
    pub(super) quality: &'static str,
    pub(super) background: &'static str,
}

impl ResponseEcho {
    pub(super) fn new(request: &pb::ImageRequest) -> Self {
        let quality = match request.quality.as_str() {
            "low" => "low",
            "medium" | "standard" => "medium",
            "high" | "hd" | "xhigh" | "max" => "high",
            _ => "auto",
        };
        let background = match request.background.as_str() {
            "transparent" => "transparent",
            "opaque" => "opaque",
            _ => "auto",
        };
        Self { quality, background }
    }
}

#[derive(Serialize)]
struct Images<'a> {
    created: i64,
    /// An extension of OpenAI's API.
    model: &'a str,
    data: Vec<Item<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    background: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_format: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quality: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
    /// Images that failed while others succeeded; an extension of OpenAI's API.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    failures: &'a [Failure<'a>],
}

/// One image, with either of the first two members.
#[derive(Serialize)]
struct Item<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    b64_json: Option<Base64<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(skip_serializing_if = "str::is_empty")]
    revised_prompt: &'a str,
    /// Link to the provider's original image; an extension of OpenAI's API.
    #[serde(skip_serializing_if = "Option::is_none")]
    original_url: Option<String>,
}

/// An image that failed.
#[derive(Debug, Serialize)]
pub(super) struct Failure<'a> {
    index: u32,
    code: &'a str,
    message: &'a str,
}

impl<'a> From<&'a pb::ImageFailure> for Failure<'a> {
    fn from(pb::ImageFailure { picture_index, code, message }: &'a pb::ImageFailure) -> Self {
        Self { index: *picture_index, code, message }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Usage {
    input_tokens: u64,
    output_tokens: u64,
    total_tokens: u64,
    input_tokens_details: InputTokensDetails,
    /// US dollars, as in the usage of a chat; an extension of OpenAI's API. Only in streams: other responses have a header.
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<Box<RawValue>>,
}

/// Input tokens that the provider does not attribute to images count as text tokens.
#[derive(Debug, Serialize)]
struct InputTokensDetails {
    text_tokens: u64,
    image_tokens: u64,
}

impl From<pb::ImageUsage> for Usage {
    fn from(usage: pb::ImageUsage) -> Self {
        let pb::ImageUsage { input_tokens, output_tokens, total_tokens, input_image_tokens } = usage;
        let text_tokens = input_tokens.saturating_sub(input_image_tokens);
        let input_tokens_details = InputTokensDetails { text_tokens, image_tokens: input_image_tokens };
        Self { input_tokens, output_tokens, total_tokens, input_tokens_details, cost: None }
    }
}

impl Usage {
    /// Returns the usage with this cost, in millionths of a dollar.
    pub(super) fn with_cost(self, micros: Option<i64>) -> Self {
        // A decimal number is valid JSON.
        let cost = micros.and_then(|micros| RawValue::from_string(usd(micros)).ok());
        Self { cost, ..self }
    }
}

/// The expected length of the JSON of an image besides its base64, in bytes.
const ITEM_BYTES: usize = 1 << 10;

/// Serializes a response.
pub(super) fn write(reply: &pb::GenerateImagesResponse, echo: &ResponseEcho, links: &Links) -> Vec<u8> {
    let pb::GenerateImagesResponse { create_time, model, pictures, usage, failures } = reply;
    let first = pictures.first();
    let failures: Vec<_> = failures.iter().map(Failure::from).collect();
    // `auto` is a value of OpenAI's events, but not of its responses.
    let known = |word: &'static str| (word != "auto").then_some(word);
    let images = Images {
        created: unix_seconds(*create_time),
        model,
        data: pictures.iter().map(|picture| item(picture, links)).collect(),
        background: known(echo.background),
        output_format: first.map(format),
        quality: known(echo.quality),
        size: first.map(size),
        usage: usage.map(Usage::from),
        failures: &failures,
    };
    // The images in base64 with the other members, so that the buffer is never copied to a larger one.
    let length: usize = pictures.iter().map(|picture| picture.data.len().div_ceil(3) * 4 + ITEM_BYTES).sum();
    let mut json = Vec::with_capacity(length + ITEM_BYTES);
    // Strings and numbers only: serialization cannot fail.
    let _ = serde_json::to_writer(&mut json, &images);
    json
}

/// An image that is written as base64, without a copy of its own.
struct Base64<'a>(&'a [u8]);

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::new(self.0, &STANDARD))
    }
}

fn item<'a>(picture: &'a pb::Picture, links: &Links) -> Item<'a> {
    let pb::Picture { data, media_key, media_type: _, width: _, height: _, revised_prompt, original_media_key: _ } =
        picture;
    let url = (!media_key.is_empty()).then(|| links.media(media_key));
    let b64_json = url.is_none().then_some(Base64(data));
    Item { b64_json, url, revised_prompt, original_url: original_url(picture, links) }
}

/// Returns the link to the provider's original image, if it was kept.
pub(super) fn original_url(picture: &pb::Picture, links: &Links) -> Option<String> {
    (!picture.original_media_key.is_empty()).then(|| links.media(&picture.original_media_key))
}

/// Returns the file format: `png`, `jpeg` or `webp`.
pub(super) fn format(picture: &pb::Picture) -> &str {
    picture.media_type.strip_prefix("image/").unwrap_or(&picture.media_type)
}

/// Returns the size as `WIDTHxHEIGHT`.
pub(super) fn size(picture: &pb::Picture) -> String {
    format!("{}x{}", picture.width, picture.height)
}
