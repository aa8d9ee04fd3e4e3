//! What to make: a request after its checks, in words that every provider understands or passes on.

use std::ops::RangeInclusive;

use crate::{media::InputPicture, size::Size};

/// Shortest and longest side of a picture that may be asked for, in pixels. None beyond 16383 fits into a WebP file.
pub(crate) const SIDES: RangeInclusive<u32> = 16..=12_288;
/// Most pixels of one: as many as the largest has that a provider makes by itself, 12288x1536.
pub(crate) const MOST_PIXELS: u64 = 18 << 20;

/// What to make: a checked request, its pictures fetched and known to be pictures.
#[derive(Debug, Clone)]
pub struct ImageSpec {
    /// What to show; never blank.
    pub prompt: String,
    /// How many pictures, 1 to 10.
    pub n: u32,
    /// Size in pixels that the caller will get. `None`: the provider's choice.
    pub size: Option<Size>,
    /// How much care to take, in the caller's word.
    pub quality: Quality,
    /// How far from the ordinary; `None`: not said.
    pub style: Option<Style>,
    /// What is behind the subject.
    pub background: Background,
    /// Asks for the same picture to the same request.
    pub seed: Option<i64>,
    /// An opaque name of the end user; may be empty.
    pub user: String,
    /// Pictures to start from; any of them makes this an edit.
    pub pictures: Vec<InputPicture>,
    /// Where to paint: the transparent pixels. Of the first picture's size, PNG or WebP.
    pub mask: Option<InputPicture>,
    /// How many previews of each picture at most, 0 to 3.
    pub partial_images: u32,
    /// Encoding that the caller will get. A provider that can make it saves a conversion; none has to.
    pub format: Encoding,
    /// Members for the upstream that have no field, `moderation` for instance; the text of a JSON object, or empty.
    pub extra_json: String,
}

/// How much care to take over a picture: the words of both generations of the API.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Quality {
    /// As the provider likes; also where nothing was said.
    #[default]
    Auto,
    /// The lowest.
    Low,
    /// DALL-E's ordinary one.
    Standard,
    /// The middle one.
    Medium,
    /// High.
    High,
    /// DALL-E's finer one.
    Hd,
    /// Higher than high.
    Xhigh,
    /// The highest there is.
    Max,
}

impl Quality {
    const ALL: [Self; 8] =
        [Self::Auto, Self::Low, Self::Standard, Self::Medium, Self::High, Self::Hd, Self::Xhigh, Self::Max];

    /// The quality of this word; the empty one is `auto`.
    pub fn parse(word: &str) -> Option<Self> {
        if word.is_empty() { Some(Self::Auto) } else { Self::ALL.into_iter().find(|quality| quality.as_str() == word) }
    }

    /// Its word on the wire.
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

    /// Whether more than the ordinary was asked for.
    pub const fn is_high(self) -> bool {
        match self {
            Self::High | Self::Hd | Self::Xhigh | Self::Max => true,
            Self::Auto | Self::Low | Self::Standard | Self::Medium => false,
        }
    }
}

/// How far a picture may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Dramatic.
    Vivid,
    /// Plain.
    Natural,
}

impl Style {
    /// Its word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Vivid => "vivid",
            Self::Natural => "natural",
        }
    }
}

/// What is behind the subject.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Background {
    /// As the provider likes; also where nothing was said.
    #[default]
    Auto,
    /// Something; what transparency a picture comes with is laid on white.
    Opaque,
    /// Nothing. Only with an encoding that can hold it.
    Transparent,
}

impl Background {
    /// Its word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Opaque => "opaque",
            Self::Transparent => "transparent",
        }
    }
}

/// How a picture is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Lossless, with transparency.
    Png,
    /// No transparency.
    Jpeg {
        /// 0 to 100.
        quality: u8,
    },
    /// With transparency. Lossless where it is encoded here.
    Webp {
        /// 0 to 100, for providers that encode it themselves.
        quality: u8,
    },
}

impl Encoding {
    /// The media type, for instance `image/png`.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg { .. } => "image/jpeg",
            Self::Webp { .. } => "image/webp",
        }
    }

    /// Its word on the wire: `png`, `jpeg` or `webp`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg { .. } => "jpeg",
            Self::Webp { .. } => "webp",
        }
    }
}
