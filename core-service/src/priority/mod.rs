//! The priority of an API key: which of the calls and video jobs that wait for an upstream are served first.

mod schedule;

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

pub(crate) use self::schedule::PrioritySchedule;

/// The priority of the calls and video jobs of a key. It matters only while they wait for an upstream: then a higher one is served
/// first, with a fourth of the turns for lower ones. Callers without a key have the default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub enum Priority {
    /// After all others, for example for batches.
    Low,
    /// That of keys that do not set it.
    #[default]
    Normal,
    /// Before all others.
    High,
}

/// The error for text that is not a [`Priority`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be `low`, `normal` or `high`")]
pub struct ParseError;

impl Priority {
    /// The number of priorities.
    pub(crate) const COUNT: usize = 3;
    /// All priorities, the highest first.
    pub(crate) const DESCENDING: [Self; Self::COUNT] = [Self::High, Self::Normal, Self::Low];

    /// Returns the name, which is also its form in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }

    /// Returns its place in an array with an element for each priority.
    pub(crate) const fn index(self) -> usize {
        match self {
            Self::Low => 0,
            Self::Normal => 1,
            Self::High => 2,
        }
    }
}

impl FromStr for Priority {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::DESCENDING.into_iter().find(|priority| priority.as_str() == text).ok_or(ParseError)
    }
}

impl TryFrom<String> for Priority {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<Priority> for &'static str {
    fn from(priority: Priority) -> Self {
        priority.as_str()
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parsed_as_they_are_written_and_nothing_else_is() {
        for priority in Priority::DESCENDING {
            assert_eq!(priority.to_string().parse(), Ok(priority));
            let json = serde_json::to_string(&priority).unwrap();
            assert_eq!(serde_json::from_str::<Priority>(&json).unwrap(), priority);
        }
        for invalid in ["", "High", "high ", "urgent", "1"] {
            assert_eq!(invalid.parse::<Priority>(), Err(ParseError), "{invalid}");
        }
        let refused = serde_json::from_str::<Priority>(r#""urgent""#).unwrap_err().to_string();
        assert!(refused.contains("must be `low`, `normal` or `high`"), "{refused}");
        assert!(Priority::High > Priority::Normal && Priority::Normal > Priority::Low);
    }
}
