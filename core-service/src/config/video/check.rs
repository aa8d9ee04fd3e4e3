//! Validation of settings that all video providers have.

use std::time::Duration;

use crate::config::error::SettingError;

/// The shortest accepted poll interval.
const MIN_POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Checks that a list of models has at least one name, none of them blank.
pub(super) fn models(key: &'static str, models: &[String]) -> Result<(), SettingError> {
    if models.is_empty() || models.iter().any(|model| model.trim().is_empty()) {
        return Err(SettingError::new(key, "must be a list of at least one name, none of them empty"));
    }
    Ok(())
}

/// Checks the interval between two polls of a render.
pub(super) fn poll_interval(key: &'static str, interval: Duration) -> Result<(), SettingError> {
    if interval < MIN_POLL_INTERVAL {
        return Err(SettingError::new(key, "must be at least 100ms"));
    }
    Ok(())
}
