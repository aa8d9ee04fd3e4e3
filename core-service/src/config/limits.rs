//! The limits of API keys and of teams.

use serde::{Deserialize, Serialize};

use super::error::SettingError;
use crate::usd::Usd;

/// What the calls of a key, or of all keys of a team together, may use. The default limits nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccountLimits {
    /// The models that may be called, by their public names and not by aliases; `*` stands for any characters. Empty: all models.
    pub models: Vec<String>,
    /// Chat and image requests and new videos per minute; 0: no limit.
    pub requests_per_minute: u32,
    /// Tokens of chat calls per minute, of prompts and responses together; 0: no limit.
    pub tokens_per_minute: u32,
    /// Chat and image requests, and requests that create videos, in flight; 0: no limit.
    pub concurrent_calls: u32,
    /// Videos that are queued, rendering or being stored; 0: no limit.
    pub jobs_in_flight: u32,
    /// The most that may be spent per day, which begins at midnight UTC; `None`: no limit.
    pub budget_per_day: Option<Usd>,
    /// The most that may be spent per calendar month, UTC; `None`: no limit.
    pub budget_per_month: Option<Usd>,
    /// The most that may be spent in all; `None`: no limit.
    pub budget_total: Option<Usd>,
}

/// A team of API keys. Its limits apply to all of them together, in addition to those of each key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Team {
    /// The name by which keys refer to the team.
    pub name: String,
    /// The limits.
    pub limits: AccountLimits,
}

impl Team {
    pub(super) fn validate_all(teams: &[Self]) -> Result<(), SettingError> {
        for (index, Self { name, limits: _ }) in teams.iter().enumerate() {
            if name.is_empty() {
                return Err(SettingError::new("teams", format!("teams[{index}] must have a name")));
            }
            if teams[..index].iter().any(|earlier| earlier.name == *name) {
                return Err(SettingError::new("teams", format!("`{name}` is defined twice")));
            }
        }
        Ok(())
    }
}
