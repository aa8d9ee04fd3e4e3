//! The capabilities of DashScope's families of image models, and the API mode of a model.

use crate::{
    image::{
        Edits,
        native_size::{Window, closest},
    },
    size::Size,
};

/// The sizes of [`Family::Qwen1`].
const QWEN_1: [Size; 5] =
    [Size::new(1664, 928), Size::new(1472, 1104), Size::new(1328, 1328), Size::new(1104, 1472), Size::new(928, 1664)];
/// The sizes of [`Family::Wanx1`].
const WANX_1: [Size; 4] = [Size::new(1024, 1024), Size::new(1280, 720), Size::new(720, 1280), Size::new(768, 1152)];
/// Slightly less than the documented 4, as sides are rounded to whole pixels.
const MAX_RATIO: f64 = 3.9;
/// The sides are those that the areas and the ratio 4 permit.
const QWEN_2: Window = Window { area: (512 * 512, 2048 * 2048), side: (256, 4096), step: 1, ratio: MAX_RATIO };
const WAN: Window = Window { area: (1280 * 1280, 1440 * 1440), ..QWEN_2 };
const WAN_EDIT: Window = Window { area: (768 * 768, 1280 * 1280), ..QWEN_2 };
/// The ratio is the one that the sides permit, rounded down.
const WAN_2: Window = Window { area: (512 * 512, 1440 * 1440), side: (512, 1440), step: 1, ratio: 2.8 };

/// A family of models with the same capabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// Qwen-Image 1, `-plus` and `-max`: five sizes, from prompts only.
    Qwen1,
    /// Qwen-Image-Edit: edits input images and keeps their size.
    QwenEdit,
    /// Qwen-Image 2.0 and later: generates and edits.
    Qwen2,
    /// Wan 2.6 and later, from prompts only.
    Wan,
    /// Wan 2.5, the last one whose input is a prompt instead of messages.
    Wan25,
    /// Wan 2.5 for edits.
    Wan25Edit,
    /// Wan 2.0 to 2.2: sides of at most 1440 pixels.
    Wan2,
    /// Wan 1: four sizes.
    Wanx1,
}

/// How a model is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ApiMode {
    /// A call whose response has the images.
    Sync,
    /// A task that is submitted and polled.
    Async,
}

impl ApiMode {
    /// Returns the mode of a model. `task_models` are the patterns of models in [`Async`](Self::Async) mode; a `*` at the end
    /// of a pattern matches any suffix.
    pub(super) fn of(model: &str, task_models: &[String]) -> Self {
        let matches = |pattern: &String| match pattern.strip_suffix('*') {
            Some(prefix) => model.starts_with(prefix),
            None => model == pattern,
        };
        if task_models.iter().any(matches) { Self::Async } else { Self::Sync }
    }
}

impl Family {
    /// Returns the family of a model by its name; unknown names count as the newest Qwen-Image.
    pub(super) fn of(model: &str) -> Self {
        let is = |prefixes: &[&str]| prefixes.iter().any(|prefix| model.starts_with(prefix));
        match model.strip_prefix("qwen-image") {
            Some(rest) if rest.starts_with("-edit") => Self::QwenEdit,
            Some(rest) if rest.is_empty() || rest.starts_with("-plus") || rest.starts_with("-max") => Self::Qwen1,
            None if is(&["wanx-v1"]) => Self::Wanx1,
            None if is(&["wanx", "wan2.1-", "wan2.2-"]) => Self::Wan2,
            None if is(&["wan2.5-i2i"]) => Self::Wan25Edit,
            None if is(&["wan2.5-"]) => Self::Wan25,
            None if is(&["wan"]) => Self::Wan,
            Some(_) | None => Self::Qwen2,
        }
    }

    pub(super) fn edits(self) -> Edits {
        let pictures = match self {
            Self::Qwen1 | Self::Wan | Self::Wan25 | Self::Wan2 | Self::Wanx1 => 0,
            Self::QwenEdit | Self::Qwen2 | Self::Wan25Edit => 3,
        };
        Edits { pictures, mask: false }
    }

    /// Returns whether the family requires input images.
    pub(super) fn edits_only(self) -> bool {
        matches!(self, Self::QwenEdit | Self::Wan25Edit)
    }

    /// Returns the values of `Model.capabilities`.
    pub(super) fn capabilities(self) -> &'static [&'static str] {
        if self.edits().pictures == 0 { &[] } else { &["edit"] }
    }

    /// Returns the maximum number of images per request.
    pub(super) fn images_per_request(self) -> u32 {
        match self {
            Self::Qwen1 | Self::QwenEdit => 1,
            Self::Qwen2 => 6,
            Self::Wan | Self::Wan25 | Self::Wan25Edit | Self::Wan2 | Self::Wanx1 => 4,
        }
    }

    /// Returns the size to request; `None` if the family has no size parameter.
    pub(super) fn native(self, requested: Size) -> Option<Size> {
        match self {
            Self::Qwen1 => closest(requested, QWEN_1, |size| size),
            Self::QwenEdit => None,
            Self::Qwen2 => Some(QWEN_2.size(requested)),
            Self::Wan | Self::Wan25 => Some(WAN.size(requested)),
            Self::Wan25Edit => Some(WAN_EDIT.size(requested)),
            Self::Wan2 => Some(WAN_2.size(requested)),
            Self::Wanx1 => closest(requested, WANX_1, |size| size),
        }
    }
}
