//! The settings of a PostgreSQL database.

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::error::SettingError;

/// How a process learns what others have changed in a shared database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DatabaseEvents {
    /// By NOTIFY and LISTEN of PostgreSQL, on one more connection; what is missed is read at an interval.
    #[default]
    Listen,
    /// By reads at an interval alone.
    Poll,
}

/// Validates the URL of a database, or an absent one.
pub(super) fn validate_url(name: &'static str, url: Option<&SecretString>) -> Result<(), SettingError> {
    let is_postgres = |url: &SecretString| {
        let scheme = url.expose_secret().split_once("://").map(|(scheme, _)| scheme);
        matches!(scheme, Some("postgres" | "postgresql"))
    };
    if url.is_none_or(is_postgres) {
        return Ok(());
    }
    let rule = "must be empty, or begin with postgres://, for example postgres://USER:PASSWORD@HOST/DATABASE";
    Err(SettingError::new(name, rule))
}
