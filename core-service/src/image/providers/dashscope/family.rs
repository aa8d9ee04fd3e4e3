//! What the models can do, told by their names.

use crate::{
    image::{Edits, Window, closest},
    size::Size,
};

const FIXED: [Size; 5] =
    [Size::new(1664, 928), Size::new(1472, 1104), Size::new(1328, 1328), Size::new(1104, 1472), Size::new(928, 1664)];
/// A hair less than the 4 that is allowed: sides are whole numbers.
const RATIO: f64 = 3.9;
const QWEN_2: Window = Window { area: (512 * 512, 2048 * 2048), side: (256, 4096), step: 1, ratio: RATIO };
const WAN: Window = Window { area: (1280 * 1280, 1440 * 1440), side: (256, 4096), step: 1, ratio: RATIO };

/// A family of models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// The first Qwen-Image, `-plus` and `-max`: five sizes, from words only.
    Qwen1,
    /// The first that changes pictures, in their own sizes.
    QwenEdit,
    /// Qwen-Image 2.0 and later, which does both.
    Qwen2,
    /// Wan, from words only.
    Wan,
}

impl Family {
    pub(super) fn of(model: &str) -> Self {
        match model.strip_prefix("qwen-image") {
            Some(rest) if rest.starts_with("-edit") => Self::QwenEdit,
            Some(rest) if rest.is_empty() || rest.starts_with("-plus") || rest.starts_with("-max") => Self::Qwen1,
            None if model.starts_with("wan") => Self::Wan,
            Some(_) | None => Self::Qwen2,
        }
    }

    pub(super) fn edits(self) -> Edits {
        let pictures = match self {
            Self::Qwen1 | Self::Wan => 0,
            Self::QwenEdit | Self::Qwen2 => 3,
        };
        Edits { pictures, mask: false }
    }

    /// In the words of `Model.capabilities`.
    pub(super) fn capabilities(self) -> &'static [&'static str] {
        if self.edits().pictures == 0 { &[] } else { &["edit"] }
    }

    /// How many pictures one call makes at most.
    pub(super) fn at_once(self) -> u32 {
        match self {
            Self::Qwen1 | Self::QwenEdit => 1,
            Self::Qwen2 => 6,
            Self::Wan => 4,
        }
    }

    /// The size to ask for; `None`: the family knows none.
    pub(super) fn native(self, asked: Size) -> Option<Size> {
        match self {
            Self::Qwen1 => closest(asked, FIXED, |size| size),
            Self::QwenEdit => None,
            Self::Qwen2 => Some(QWEN_2.size(asked)),
            Self::Wan => Some(WAN.size(asked)),
        }
    }
}
