//! Secrets of webhooks, in the notation of the Standard Webhooks specification: `whsec_` and the base64 of the key.

use std::fmt;

use base64::{
    Engine as _,
    alphabet::STANDARD as ALPHABET,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use uuid::Uuid;

const PREFIX: &str = "whsec_";

/// Accepts base64 with and without padding, as the libraries of receivers do.
const DECODER: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The lengths of a key that the specification allows, in bytes.
const LENGTHS: std::ops::RangeInclusive<usize> = 24..=64;

/// The key that signs the deliveries to an endpoint. Its `Debug` output does not contain it.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSecret(Vec<u8>);

impl WebhookSecret {
    /// The rule for the text of a secret, to follow the name of a setting.
    pub(crate) const RULE: &str =
        "must be `whsec_` and the base64 of 24 to 64 bytes; `echo whsec_$(openssl rand -base64 32)` generates one";

    /// Parses the notation of the specification. `None` for any other text.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let key = DECODER.decode(text.strip_prefix(PREFIX)?).ok()?;
        LENGTHS.contains(&key.len()).then_some(Self(key))
    }

    /// Generates a secret with 244 random bits, 122 of each UUID.
    pub(crate) fn generate() -> Self {
        Self([Uuid::new_v4().into_bytes(), Uuid::new_v4().into_bytes()].concat())
    }

    /// Returns the key.
    pub(crate) fn key(&self) -> &[u8] {
        &self.0
    }

    /// Returns the secret in the notation of the specification.
    pub(crate) fn to_text(&self) -> String {
        format!("{PREFIX}{}", STANDARD.encode(&self.0))
    }

    /// Returns the prefix and the last four characters, by which an operator recognizes the secret.
    pub(crate) fn hint(&self) -> String {
        let text = self.to_text();
        format!("{PREFIX}...{}", &text[text.len() - 4..])
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_is_parsed_as_it_was_written() {
        let secret = WebhookSecret::generate();
        assert_eq!(WebhookSecret::parse(&secret.to_text()), Some(secret.clone()));
        assert_ne!(WebhookSecret::generate(), secret);
        assert!(!format!("{secret:?}").contains(&secret.to_text()));
        let unpadded = secret.to_text().trim_end_matches('=').to_owned();
        assert_eq!(WebhookSecret::parse(&unpadded), Some(secret));
    }

    #[test]
    fn other_texts_are_no_secrets() {
        let base64 = |length: usize| STANDARD.encode(vec![7; length]);
        for wrong in ["", "whsec_", "whsec_&&&&", &base64(32)] {
            assert_eq!(WebhookSecret::parse(wrong), None, "{wrong}");
        }
        for (length, valid) in [(23, false), (24, true), (64, true), (65, false)] {
            assert_eq!(WebhookSecret::parse(&format!("whsec_{}", base64(length))).is_some(), valid, "{length}");
        }
    }
}
