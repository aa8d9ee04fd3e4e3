//! The error of an invalid setting.

use std::time::Duration;

/// A setting with an unusable value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {message}")]
pub struct SettingError {
    /// The path of the setting, for example `chat.model`.
    pub key: &'static str,
    /// The rule that the value breaks, and how to satisfy it. Never repeats a secret.
    pub message: String,
}

impl SettingError {
    /// Creates an error of the setting `key`.
    pub(crate) fn new(key: &'static str, message: impl Into<String>) -> Self {
        Self { key, message: message.into() }
    }

    /// Requires that no duration is zero.
    ///
    /// # Errors
    /// Names the first setting whose duration is zero.
    pub(super) fn require_nonzero<const N: usize>(durations: [(&'static str, Duration); N]) -> Result<(), Self> {
        match durations.iter().find(|(_, duration)| duration.is_zero()) {
            Some((key, _)) => Err(Self::new(key, "must be greater than zero, for example \"30s\"")),
            None => Ok(()),
        }
    }
}
