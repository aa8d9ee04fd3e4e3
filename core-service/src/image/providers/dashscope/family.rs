//! What the models can do, told by their names, and which way they are asked.

use crate::{
    image::{Edits, Window, closest},
    size::Size,
};

const QWEN_1: [Size; 5] =
    [Size::new(1664, 928), Size::new(1472, 1104), Size::new(1328, 1328), Size::new(1104, 1472), Size::new(928, 1664)];
const WANX_1: [Size; 4] = [Size::new(1024, 1024), Size::new(1280, 720), Size::new(720, 1280), Size::new(768, 1152)];
/// A hair less than the 4 that is allowed: sides are whole numbers.
const RATIO: f64 = 3.9;
const QWEN_2: Window = Window { area: (512 * 512, 2048 * 2048), side: (256, 4096), step: 1, ratio: RATIO };
const WAN: Window = Window { area: (1280 * 1280, 1440 * 1440), ..QWEN_2 };
const WAN_EDIT: Window = Window { area: (768 * 768, 1280 * 1280), ..QWEN_2 };
const WAN_2: Window = Window { area: (512 * 512, 1440 * 1440), side: (512, 1440), step: 1, ratio: 2.8 };

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
    /// Wan 2.5, the last that is asked in a prompt and not in messages.
    Wan25,
    /// Wan 2.5 that changes pictures.
    Wan25Edit,
    /// Wan 2.0 to 2.2: no side is longer than 1440 pixels.
    Wan2,
    /// The first Wan: four sizes.
    Wanx1,
}

/// How a model is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// By a call that is answered when the pictures are there.
    Call,
    /// By a task.
    Task,
}

impl Way {
    /// `tasks` names models that are asked by tasks; a `*` at the end stands for any rest.
    pub(super) fn of(model: &str, tasks: &[String]) -> Self {
        let named = |name: &String| match name.strip_suffix('*') {
            Some(beginning) => model.starts_with(beginning),
            None => model == name,
        };
        if tasks.iter().any(named) { Self::Task } else { Self::Call }
    }
}

impl Family {
    pub(super) fn of(model: &str) -> Self {
        let is = |beginnings: &[&str]| beginnings.iter().any(|beginning| model.starts_with(beginning));
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

    /// Whether it makes no pictures from words alone.
    pub(super) fn edits_only(self) -> bool {
        matches!(self, Self::QwenEdit | Self::Wan25Edit)
    }

    /// In the words of `Model.capabilities`.
    pub(super) fn capabilities(self) -> &'static [&'static str] {
        if self.edits().pictures == 0 { &[] } else { &["edit"] }
    }

    /// How many pictures one request makes at most.
    pub(super) fn at_once(self) -> u32 {
        match self {
            Self::Qwen1 | Self::QwenEdit => 1,
            Self::Qwen2 => 6,
            Self::Wan | Self::Wan25 | Self::Wan25Edit | Self::Wan2 | Self::Wanx1 => 4,
        }
    }

    /// The size to ask for; `None`: the family knows none.
    pub(super) fn native(self, asked: Size) -> Option<Size> {
        match self {
            Self::Qwen1 => closest(asked, QWEN_1, |size| size),
            Self::QwenEdit => None,
            Self::Qwen2 => Some(QWEN_2.size(asked)),
            Self::Wan | Self::Wan25 => Some(WAN.size(asked)),
            Self::Wan25Edit => Some(WAN_EDIT.size(asked)),
            Self::Wan2 => Some(WAN_2.size(asked)),
            Self::Wanx1 => closest(asked, WANX_1, |size| size),
        }
    }
}
