//! The parameters of an image request, independent of any provider.

use std::ops::RangeInclusive;

use crate::{media::InputPicture, size::Size};

/// The valid lengths of a side, in pixels. The maximum is the longer side of the size below; WebP allows at most 16383.
pub(crate) const SIDES: RangeInclusive<u32> = 16..=12_288;
/// The maximum number of pixels: that of the largest native size of any provider, 12288x1536.
pub(crate) const MAX_PIXELS: u64 = 18 << 20;

/// A validated image request with its input images.
#[derive(Debug, Clone)]
pub struct ImageParameters {
    /// The prompt; never blank.
    pub prompt: String,
    /// The number of images, 1 to 10.
    pub n: u32,
    /// The size of the delivered images. `None`: the provider's default.
    pub size: Option<Size>,
    /// The requested quality.
    pub quality: Quality,
    /// The requested style, if any.
    pub style: Option<Style>,
    /// The requested background.
    pub background: Background,
    /// The seed for reproducible results, as far as the provider supports it.
    pub seed: Option<i64>,
    /// An opaque identifier of the end user; may be empty.
    pub user: String,
    /// Input images; any of them makes the request an edit.
    pub pictures: Vec<InputPicture>,
    /// The mask of an edit: its transparent pixels mark the area to paint. Has the size of the first input image; PNG or WebP.
    pub mask: Option<InputPicture>,
    /// The maximum number of previews per image, 0 to 3.
    pub partial_images: u32,
    /// The encoding of the delivered images. A provider may return another one, which is converted afterwards.
    pub format: Encoding,
    /// Members of the request that have no field here, for example `moderation`: the text of a JSON object, or empty.
    pub extra_json: String,
}

/// The quality of an image: the values of OpenAI's DALL-E 3 (`standard`, `hd`), and those of its newer models.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Quality {
    /// The provider's default.
    #[default]
    Auto,
    /// `low`.
    Low,
    /// `standard`, the lower one of DALL-E 3.
    Standard,
    /// `medium`.
    Medium,
    /// `high`.
    High,
    /// `hd`, the higher one of DALL-E 3.
    Hd,
    /// `xhigh`.
    Xhigh,
    /// `max`.
    Max,
}

impl Quality {
    const ALL: [Self; 8] =
        [Self::Auto, Self::Low, Self::Standard, Self::Medium, Self::High, Self::Hd, Self::Xhigh, Self::Max];

    /// Parses a wire value; the empty one is `auto`.
    pub fn parse(text: &str) -> Option<Self> {
        if text.is_empty() { Some(Self::Auto) } else { Self::ALL.into_iter().find(|quality| quality.as_str() == text) }
    }

    /// Returns the wire value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Low => "low",
            Self::Standard => "standard",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Hd => "hd",
            Self::Xhigh => "xhigh",
            Self::Max => "max",
        }
    }

    /// Returns whether the quality is above the default of every provider.
    pub const fn is_high(self) -> bool {
        match self {
            Self::High | Self::Hd | Self::Xhigh | Self::Max => true,
            Self::Auto | Self::Low | Self::Standard | Self::Medium => false,
        }
    }
}

/// The style of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Hyper-real and dramatic.
    Vivid,
    /// More natural, less hyper-real.
    Natural,
}

impl Style {
    /// Returns the wire value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Vivid => "vivid",
            Self::Natural => "natural",
        }
    }
}

/// The background of an image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Background {
    /// The provider's default.
    #[default]
    Auto,
    /// Opaque; the transparent pixels of an image are blended with white.
    Opaque,
    /// Transparent. Requires an encoding with an alpha channel.
    Transparent,
}

impl Background {
    /// Returns the wire value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Opaque => "opaque",
            Self::Transparent => "transparent",
        }
    }
}

/// The encoding of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Lossless, with an alpha channel.
    Png,
    /// Without an alpha channel.
    Jpeg {
        /// 0 to 100.
        quality: u8,
    },
    /// With an alpha channel. Triptych itself encodes it losslessly.
    Webp {
        /// 0 to 100; used by providers that encode it themselves.
        quality: u8,
    },
}

impl Encoding {
    /// Returns the media type, for example `image/png`.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg { .. } => "image/jpeg",
            Self::Webp { .. } => "image/webp",
        }
    }

    /// Returns the wire value: `png`, `jpeg` or `webp`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg { .. } => "jpeg",
            Self::Webp { .. } => "webp",
        }
    }
}
