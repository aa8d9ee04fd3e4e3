//! The cost of a call by its price.

use crate::{config::Price, usd::Usd};

/// Prices of tokens are per million.
const TOKENS: u64 = 1_000_000;
/// Milliseconds of a second.
const MILLIS: u64 = 1000;

/// What a call has used, or may use at most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quantities {
    /// Tokens of the prompt, cached ones included.
    pub input_tokens: u64,
    /// Tokens of the prompt that came from the provider's cache.
    pub cached_tokens: u64,
    /// Tokens of the response, reasoning included.
    pub output_tokens: u64,
    /// Tokens of reasoning, for usage reports. They are part of `output_tokens`, so that they have no price of their own.
    pub reasoning_tokens: u64,
    /// Images of the response.
    pub images: u64,
    /// The length of a video.
    pub video_millis: u64,
}

/// Returns what a call costs. The amount of each kind is rounded up to a millionth of a dollar; a kind without a price costs nothing.
pub fn cost(price: &Price, quantities: &Quantities) -> Usd {
    let Quantities { input_tokens, cached_tokens, output_tokens, reasoning_tokens: _, images, video_millis } =
        *quantities;
    let cached_tokens = cached_tokens.min(input_tokens);
    let amounts = [
        (price.per_million_input_tokens, input_tokens - cached_tokens, TOKENS),
        (price.per_million_cached_tokens.or(price.per_million_input_tokens), cached_tokens, TOKENS),
        (price.per_million_output_tokens, output_tokens, TOKENS),
        (price.per_image, images, 1),
        (price.per_second, video_millis, MILLIS),
        (price.per_call, 1, 1),
    ];
    amounts.iter().map(|(price, count, per)| price.unwrap_or_default().times(*count, *per)).sum()
}
