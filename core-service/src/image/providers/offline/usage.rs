//! The token usage of the built-in engine: deterministic, computed like that of OpenAI's `gpt-image-1`.

use crate::{
    image::{
        Usage,
        parameters::{ImageParameters, Quality},
    },
    size::Size,
};

/// The tokens of an input image, and of each of its tiles.
const PER_INPUT: u64 = 65;
const PER_TILE: u64 = 129;
/// The side of a tile in pixels.
const TILE: u32 = 512;

/// The pixels of the image to which the tokens of each quality apply.
const PIXELS: u64 = 1024 * 1024;

/// Returns the usage of the image with this index. Prompt and input images count once, with the first image. Blocks for some
/// ten milliseconds at its first call.
pub(super) fn usage(parameters: &ImageParameters, index: u32, size: Size) -> Usage {
    let (text, input_images) = if index == 0 {
        (
            offline_chat::count_tokens(&parameters.prompt),
            parameters.pictures.iter().map(|picture| input_tokens(picture.size)).sum(),
        )
    } else {
        (0, 0)
    };
    let per_image = match parameters.quality {
        Quality::Low => 272,
        Quality::Auto | Quality::Standard | Quality::Medium => 1056,
        Quality::High | Quality::Hd | Quality::Xhigh | Quality::Max => 4160,
    };
    let output = (size.pixels() * per_image).div_ceil(PIXELS);
    let input = text + input_images;
    Usage { input, input_images, output, total: input + output }
}

/// Returns the tokens of an input image of this size.
fn input_tokens(size: Size) -> u64 {
    PER_INPUT + PER_TILE * u64::from(size.width.div_ceil(TILE)) * u64::from(size.height.div_ceil(TILE))
}
