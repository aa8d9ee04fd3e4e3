//! The capabilities of the generations of OpenAI's images API, and the request parameters derived from them.

use crate::{
    config::OpenaiFamily,
    error::ProviderError,
    image::{
        Edits,
        native_size::{Window, closest},
        parameters::{Background, Encoding, ImageParameters, Quality},
    },
    size::Size,
};

/// Images of more pixels, those above 1536x1024, are requested with one call each: a response with several would exceed the
/// maximum size of a response.
const MAX_BATCHED_PIXELS: u64 = 1_600_000;
/// Previews of images with more pixels, those above 2048x2048, would exceed the maximum size of an event.
const MAX_PREVIEW_PIXELS: u64 = 4_200_000;

const DALL_E_2: [Size; 3] = [Size::new(256, 256), Size::new(512, 512), Size::new(1024, 1024)];
const DALL_E_3: [Size; 3] = [Size::new(1024, 1024), Size::new(1792, 1024), Size::new(1024, 1792)];
const GPT_IMAGE_1: [Size; 3] = [Size::new(1024, 1024), Size::new(1536, 1024), Size::new(1024, 1536)];
const GPT_IMAGE_2: Window = Window { area: (655_360, 8_294_400), side: (16, 3840), step: 16, ratio: 3.0 };

/// A generation of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    DallE2,
    DallE3,
    GptImage1,
    GptImage2,
    /// Any other model of a compatible server: its sizes and qualities are unknown, and passed on as the client sent them.
    Compatible,
}

/// The upstream parameters derived from a request and the model's family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NativeParams {
    pub(super) family: Family,
    pub(super) size: Option<Size>,
    /// The value of `output_format`, if the family supports it.
    pub(super) format: Option<Encoding>,
    /// The number of previews to request; if any, the response is streamed.
    pub(super) previews: u32,
    /// Whether every image is requested with its own call.
    pub(super) one_per_call: bool,
}

impl Family {
    /// Returns the configured family or, with `Auto`, that of the model's name.
    pub(super) fn of(model: &str, setting: OpenaiFamily) -> Self {
        match setting {
            OpenaiFamily::DallE2 => Self::DallE2,
            OpenaiFamily::DallE3 => Self::DallE3,
            OpenaiFamily::GptImage1 => Self::GptImage1,
            OpenaiFamily::GptImage2 => Self::GptImage2,
            OpenaiFamily::Compatible => Self::Compatible,
            OpenaiFamily::Auto => {
                // Routers prefix the name with the vendor: `openai/gpt-image-1`.
                let name = model.rsplit('/').next().unwrap_or(model);
                if name.starts_with("dall-e-2") {
                    Self::DallE2
                } else if name.starts_with("dall-e-3") {
                    Self::DallE3
                } else if name.starts_with("gpt-image-1") || name.starts_with("chatgpt-image") {
                    Self::GptImage1
                } else if name.starts_with("gpt-image-") {
                    Self::GptImage2
                } else {
                    Self::Compatible
                }
            }
        }
    }

    pub(super) fn edits(self) -> Edits {
        match self {
            Self::DallE2 => Edits { pictures: 1, mask: true },
            Self::DallE3 => Edits::NONE,
            Self::GptImage1 | Self::GptImage2 | Self::Compatible => Edits { pictures: 16, mask: true },
        }
    }

    /// Returns the values of `Model.capabilities`.
    pub(super) fn capabilities(self) -> &'static [&'static str] {
        match self {
            Self::DallE2 => &["edit"],
            Self::DallE3 => &[],
            Self::GptImage1 | Self::GptImage2 | Self::Compatible => &["edit", "preview"],
        }
    }

    /// Returns the size to request from the upstream.
    fn native(self, requested: Size) -> Option<Size> {
        match self {
            Self::DallE2 => closest(requested, DALL_E_2, |size| size),
            Self::DallE3 => closest(requested, DALL_E_3, |size| size),
            Self::GptImage1 => closest(requested, GPT_IMAGE_1, |size| size),
            Self::GptImage2 => Some(GPT_IMAGE_2.size(requested)),
            Self::Compatible => Some(requested),
        }
    }

    /// Returns the family's value of a quality; `None` if it is not sent.
    pub(super) fn quality(self, quality: Quality) -> Option<&'static str> {
        match (self, quality) {
            (_, Quality::Auto) | (Self::DallE2, _) => None,
            (Self::DallE3, quality) => Some(if quality.is_high() { "hd" } else { "standard" }),
            (Self::GptImage1 | Self::GptImage2, Quality::Low) => Some("low"),
            (Self::GptImage1 | Self::GptImage2, Quality::Standard | Quality::Medium) => Some("medium"),
            (Self::GptImage1 | Self::GptImage2, Quality::High | Quality::Hd | Quality::Xhigh | Quality::Max) => {
                Some("high")
            }
            (Self::Compatible, quality) => Some(quality.as_str()),
        }
    }
}

impl NativeParams {
    /// Derives the parameters of a request.
    ///
    /// # Errors
    /// For requests that the family does not support and Triptych cannot emulate.
    pub(super) fn new(family: Family, parameters: &ImageParameters) -> Result<Self, ProviderError> {
        let dall_e = matches!(family, Family::DallE2 | Family::DallE3);
        if dall_e && parameters.background == Background::Transparent {
            let message = "this model does not support transparent backgrounds".to_owned();
            return Err(ProviderError::Refused { message, field: Some("background".to_owned()) });
        }
        let size = parameters.size.and_then(|requested| family.native(requested));
        let area = size.map_or(0, Size::pixels);
        let streams = !dall_e && area <= MAX_PREVIEW_PIXELS;
        let previews = if streams { parameters.partial_images } else { 0 };
        // An image that is converted afterwards is requested in a lossless format.
        let format = if size == parameters.size { parameters.format } else { Encoding::Png };
        let format = match family {
            Family::DallE2 | Family::DallE3 => None,
            Family::GptImage1 | Family::GptImage2 => Some(format),
            // The server may not know the member, so the default is not sent.
            Family::Compatible => (format != Encoding::Png).then_some(format),
        };
        // Stream events do not have the index of their image.
        let one_per_call = family == Family::DallE3 || previews > 0 || area > MAX_BATCHED_PIXELS;
        Ok(Self { family, size, format, previews, one_per_call })
    }
}
