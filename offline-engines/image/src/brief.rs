//! What is asked for, and the line back to whoever asked.

use image::RgbaImage;

use crate::random;

/// How much care goes into a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Quality {
    /// Few octaves of detail; for thumbnails and tests.
    Low,
    /// The usual.
    #[default]
    Standard,
    /// Finer outlines and textures; painted at twice the size and reduced where memory allows (up to 4 megapixels).
    High,
}

/// One picture to paint. Equal briefs give equal pixels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Brief {
    /// Any text; English and Chinese words steer the picture, all others vary it.
    pub prompt: String,
    /// Pixels; 0 counts as 1.
    pub width: u32,
    /// Pixels; 0 counts as 1.
    pub height: u32,
    /// Without one the prompt alone decides, so a repeated call repeats the picture.
    pub seed: Option<i64>,
    /// How finely to paint.
    pub quality: Quality,
    /// Leaves out the background: the subject as a sticker, or a scene that fades out at its edges.
    pub transparent: bool,
}

impl Brief {
    pub(crate) fn seed_word(&self) -> u64 {
        let from_prompt = random::of_text(self.prompt.trim());
        self.seed
            .map_or(from_prompt, |seed| random::mix(from_prompt ^ random::mix(seed.cast_unsigned().wrapping_add(1))))
    }
}

/// Follows a picture while it is painted. `()` asks for nothing and never cancels.
pub trait Watch: Sync {
    /// How many coarser versions to show on the way, at most 3.
    fn wants_previews(&self) -> u8 {
        0
    }

    /// A coarser version at the full size asked for. `share_done` grows from call to call and stays below 1.
    fn preview(&self, share_done: f32, picture: &RgbaImage) {
        let _ = (share_done, picture);
    }

    /// Asked every few milliseconds, from the painting threads. Once true it must stay true.
    fn cancelled(&self) -> bool {
        false
    }
}

impl Watch for () {}

/// The watch said stop; there is no picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the picture was cancelled")]
pub struct Cancelled;
