//! OpenAI's image documents to and from the contract.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Serialize;
use triptych_proto::{time::unix_seconds, v1 as pb};

use super::Endpoint;
use crate::{
    error::GatewayError,
    form::{Form, FormBody},
    links::Links,
};

/// A request as it was read.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) image: pb::ImageRequest,
    pub(super) stream: bool,
    pub(super) partial_images: u32,
}

pub(super) fn read(body: &FormBody, endpoint: Endpoint, links: &Links) -> Result<Asked, GatewayError> {
    let mut form = body.form()?;
    let (pictures, mask) = match endpoint {
        Endpoint::Generations => (Vec::new(), None),
        Endpoint::Edits => inputs(&mut form, links)?,
    };
    let stream = form.flag("stream")?;
    let partial_images = form.integer("partial_images")?.unwrap_or_default();
    let image = pb::ImageRequest {
        model: form.text("model")?,
        prompt: form.text("prompt")?,
        n: form.integer("n")?,
        size: form.text("size")?,
        quality: form.text("quality")?,
        style: form.text("style")?,
        background: form.text("background")?,
        output_format: form.text("output_format")?,
        output_compression: form.integer("output_compression")?,
        seed: form.integer("seed")?,
        user: form.text("user")?,
        pictures,
        mask,
        delivery: delivery(&form.text("response_format")?)?.into(),
        keep_original: form.flag("keep_original")?,
        extra_json: form.rest()?,
    };
    Ok(Asked { image, stream, partial_images })
}

/// The pictures of an edit: `image`, once or several times, or the `images` of the JSON form.
fn inputs(form: &mut Form<'_>, links: &Links) -> Result<(Vec<pb::MediaInput>, Option<pb::MediaInput>), GatewayError> {
    let mut pictures = Vec::new();
    for name in ["image", "images"] {
        for value in form.take_all(name) {
            pictures.extend(value.pictures(name, links)?);
        }
    }
    if pictures.is_empty() {
        return Err(GatewayError::invalid("image", "`image` is required: the picture to start from"));
    }
    let mask = form.take("mask").map(|value| value.picture("mask", links)).transpose()?;
    Ok((pictures, mask))
}

fn delivery(word: &str) -> Result<pb::ImageDelivery, GatewayError> {
    match word {
        "" | "url" => Ok(pb::ImageDelivery::Link),
        "b64_json" => Ok(pb::ImageDelivery::Bytes),
        _ => Err(GatewayError::invalid("response_format", "`response_format` must be `url` or `b64_json`")),
    }
}

/// What answers repeat of a request, in the words that OpenAI's answers know.
#[derive(Debug, Clone, Copy)]
pub(super) struct Echo {
    pub(super) quality: &'static str,
    pub(super) background: &'static str,
}

impl Echo {
    pub(super) fn of(request: &pb::ImageRequest) -> Self {
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
    /// Pictures that could not be made although others were; not OpenAI's.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    failures: &'a [Failure<'a>],
}

/// One picture: either of the first two members, never both.
#[derive(Serialize)]
struct Item<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    b64_json: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(skip_serializing_if = "str::is_empty")]
    revised_prompt: &'a str,
    /// Where the picture is as the provider made it; not OpenAI's.
    #[serde(skip_serializing_if = "Option::is_none")]
    original_url: Option<String>,
}

/// A picture that could not be made.
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
    input_tokens_details: Details,
}

/// What no input picture took, as far as the provider told, stands with the texts.
#[derive(Debug, Serialize)]
struct Details {
    text_tokens: u64,
    image_tokens: u64,
}

impl From<pb::ImageUsage> for Usage {
    fn from(usage: pb::ImageUsage) -> Self {
        let pb::ImageUsage { input_tokens, output_tokens, total_tokens, input_image_tokens } = usage;
        let text_tokens = input_tokens.saturating_sub(input_image_tokens);
        let input_tokens_details = Details { text_tokens, image_tokens: input_image_tokens };
        Self { input_tokens, output_tokens, total_tokens, input_tokens_details }
    }
}

pub(super) fn write(made: &pb::GenerateImagesResponse, echo: &Echo, links: &Links) -> Vec<u8> {
    let pb::GenerateImagesResponse { create_time, model: _, pictures, usage, failures } = made;
    let first = pictures.first();
    let failures: Vec<_> = failures.iter().map(Failure::from).collect();
    // The document's enums have no word for "as you like".
    let said = |word: &'static str| (word != "auto").then_some(word);
    let images = Images {
        created: unix_seconds(*create_time),
        data: pictures.iter().map(|picture| item(picture, links)).collect(),
        background: said(echo.background),
        output_format: first.map(format),
        quality: said(echo.quality),
        size: first.map(size),
        usage: usage.map(Usage::from),
        failures: &failures,
    };
    // Texts and numbers only: there is nothing in it that serde_json could refuse.
    serde_json::to_vec(&images).unwrap_or_default()
}

fn item<'a>(picture: &'a pb::Picture, links: &Links) -> Item<'a> {
    let pb::Picture { data, media_key, media_type: _, width: _, height: _, revised_prompt, original_media_key: _ } =
        picture;
    let url = (!media_key.is_empty()).then(|| links.media(media_key));
    let b64_json = url.is_none().then(|| STANDARD.encode(data));
    Item { b64_json, url, revised_prompt, original_url: original(picture, links) }
}

/// Where the picture is as the provider made it, if it was kept.
pub(super) fn original(picture: &pb::Picture, links: &Links) -> Option<String> {
    (!picture.original_media_key.is_empty()).then(|| links.media(&picture.original_media_key))
}

/// `png`, `jpeg` or `webp`.
pub(super) fn format(picture: &pb::Picture) -> &str {
    picture.media_type.strip_prefix("image/").unwrap_or(&picture.media_type)
}

pub(super) fn size(picture: &pb::Picture) -> String {
    format!("{}x{}", picture.width, picture.height)
}
