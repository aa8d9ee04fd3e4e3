//! The request type of the mock image engine.

use crate::random;

/// Level of detail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Quality {
    /// Fewer noise octaves (layers of detail in textures); for thumbnails and tests.
    Low,
    /// The default.
    #[default]
    Standard,
    /// Finer outlines and textures. Pictures of up to 4 megapixels are rendered at twice their width and height, then
    /// reduced.
    High,
}

/// A picture to draw. Equal requests yield equal pixels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageRequest {
    /// Any text. Known English and Chinese words determine the content; the whole text seeds the random details.
    pub prompt: String,
    /// Width in pixels; 0 counts as 1.
    pub width: u32,
    /// Height in pixels; 0 counts as 1.
    pub height: u32,
    /// Varies the picture. Without a seed it depends on the prompt alone.
    pub seed: Option<i64>,
    /// Level of detail.
    pub quality: Quality,
    /// Draws on a transparent background: the first subject alone, or a scene that fades out towards its edges.
    pub transparent: bool,
}

impl ImageRequest {
    /// Returns the seed of all random details, derived from the prompt and the request's seed.
    pub(crate) fn combined_seed(&self) -> u64 {
        let from_prompt = random::hash_text(self.prompt.trim());
        self.seed
            .map_or(from_prompt, |seed| random::mix(from_prompt ^ random::mix(seed.cast_unsigned().wrapping_add(1))))
    }
}
