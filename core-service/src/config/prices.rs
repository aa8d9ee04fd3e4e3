//! The prices of models.

use serde::{Deserialize, Serialize};

use super::error::SettingError;
use crate::usd::Usd;

/// What calls of a model cost, under conditions. The first price whose model and conditions match applies. Prices of the settings for a
/// model replace its compiled-in ones.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Price {
    /// The public name of the model, or its name at the provider; `*` stands for any characters.
    pub model: String,
    /// The id of the provider; empty: any.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub provider: String,
    /// The conditions.
    #[serde(skip_serializing_if = "PriceConditions::is_empty")]
    pub when: PriceConditions,
    /// For a million tokens of prompts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_million_input_tokens: Option<Usd>,
    /// For a million tokens of prompts from the provider's cache. `None`: as for other tokens of prompts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_million_cached_tokens: Option<Usd>,
    /// For a million tokens of responses, reasoning included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_million_output_tokens: Option<Usd>,
    /// For an image of a response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_image: Option<Usd>,
    /// For a second of video.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_second: Option<Usd>,
    /// For a call, a request for images, or a video, whatever its length.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_call: Option<Usd>,
    /// The most tokens of a response, for calls that set no maximum: the cost of as many is reserved in a budget before the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u64>,
}

/// What a call must have so that a price applies. An absent condition is always met.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PriceConditions {
    /// The resolution, in the terms of the model: `720p` of a video, `2K` of an image of Gemini.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolution: Option<String>,
    /// The size of an image or video in pixels, WIDTHxHEIGHT, in either orientation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// The quality of an image: `low`, `medium`, `high`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality: Option<String>,
    /// Whether a video has a sound track.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio: Option<bool>,
    /// Whether the request has a video as input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video_input: Option<bool>,
    /// What a video request does: `generate`, `edit`, `extend`, `remix`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
}

impl PriceConditions {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Price {
    /// Validates the prices of the setting `prices`.
    pub(super) fn validate_all(prices: &[Self]) -> Result<(), SettingError> {
        for (index, price) in prices.iter().enumerate() {
            if price.model.is_empty() {
                return Err(SettingError::new(
                    "prices",
                    format!("prices[{index}] must name a model, for example \"gpt-*\""),
                ));
            }
            if !price.has_amount() {
                let message = format!(
                    "the price of `{}` must have an amount: per_million_input_tokens, per_million_output_tokens, per_image, \
                     per_second or per_call; per_call = 0 is free",
                    price.model
                );
                return Err(SettingError::new("prices", message));
            }
        }
        Ok(())
    }

    fn has_amount(&self) -> bool {
        let amounts = [
            self.per_million_input_tokens,
            self.per_million_cached_tokens,
            self.per_million_output_tokens,
            self.per_image,
            self.per_second,
            self.per_call,
        ];
        amounts.iter().any(Option::is_some)
    }
}
