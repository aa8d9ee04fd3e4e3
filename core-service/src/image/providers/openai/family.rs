//! What the generations of OpenAI's images API have in common with a request, and what not.

use super::super::super::{Background, Edits, Encoding, ImageSpec, Quality, Window, closest};
use crate::{config::OpenaiFamily, error::ProviderError, size::Size};

/// More pixels than these come one by one: a reply of several would pass the bound on replies.
const LARGE: u64 = 1_600_000;
/// Above this, a preview would pass the bound on events.
const LARGEST_PREVIEWED: u64 = 4_200_000;

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
    Compatible,
}

/// How one request is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) family: Family,
    /// The size to ask for.
    pub(super) size: Option<Size>,
    /// The encoding to ask for, where one can be.
    pub(super) format: Option<Encoding>,
    /// Previews to ask for; with any the answer is streamed.
    pub(super) previews: u32,
    /// Whether each picture has a call of its own.
    pub(super) one_by_one: bool,
}

impl Family {
    /// The family of a model that is served by an upstream of this setting.
    pub(super) fn of(model: &str, setting: OpenaiFamily) -> Self {
        match setting {
            OpenaiFamily::DallE2 => Self::DallE2,
            OpenaiFamily::DallE3 => Self::DallE3,
            OpenaiFamily::GptImage1 => Self::GptImage1,
            OpenaiFamily::GptImage2 => Self::GptImage2,
            OpenaiFamily::Compatible => Self::Compatible,
            OpenaiFamily::Auto => {
                // Routers put the maker before the name: `openai/gpt-image-1`.
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

    /// In the words of `Model.capabilities`.
    pub(super) fn capabilities(self) -> &'static [&'static str] {
        match self {
            Self::DallE2 => &["edit"],
            Self::DallE3 => &[],
            Self::GptImage1 | Self::GptImage2 | Self::Compatible => &["edit", "preview"],
        }
    }

    /// How this request is made.
    ///
    /// # Errors
    /// For what the family cannot do and nobody here can do for it.
    pub(super) fn plan(self, spec: &ImageSpec) -> Result<Plan, ProviderError> {
        let dall_e = matches!(self, Self::DallE2 | Self::DallE3);
        if dall_e && spec.background == Background::Transparent {
            let message = "this model paints no transparent background".to_owned();
            return Err(ProviderError::Refused { message, field: Some("background".to_owned()) });
        }
        let size = spec.size.and_then(|asked| self.native(asked));
        let area = size.map_or(0, |size| u64::from(size.width) * u64::from(size.height));
        let streams = !dall_e && area <= LARGEST_PREVIEWED;
        let previews = if streams { spec.partial_images } else { 0 };
        // What is scaled here is asked for without loss.
        let format = if size == spec.size { spec.format } else { Encoding::Png };
        let format = match self {
            Self::DallE2 | Self::DallE3 => None,
            Self::GptImage1 | Self::GptImage2 => Some(format),
            // What was not asked for may be a member that the server does not know.
            Self::Compatible => (format != Encoding::Png).then_some(format),
        };
        // Events do not tell which picture they are of.
        let one_by_one = self == Self::DallE3 || previews > 0 || area > LARGE;
        Ok(Plan { family: self, size, format, previews, one_by_one })
    }

    fn native(self, asked: Size) -> Option<Size> {
        match self {
            Self::DallE2 => closest(asked, DALL_E_2, |size| size),
            Self::DallE3 => closest(asked, DALL_E_3, |size| size),
            Self::GptImage1 => closest(asked, GPT_IMAGE_1, |size| size),
            Self::GptImage2 => Some(GPT_IMAGE_2.size(asked)),
            Self::Compatible => Some(asked),
        }
    }

    /// The family's word for a quality, if it has to be told.
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
