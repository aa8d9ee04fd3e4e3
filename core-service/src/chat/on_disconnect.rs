//! What becomes of an answer whose caller hangs up: the rule.

use std::{str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, de::Error as _};
use tonic::metadata::MetadataMap;

use crate::error::Error;

/// The metadata key, and HTTP header, by which a call sets the rule for itself.
pub const ON_DISCONNECT: &str = "x-triptych-on-disconnect";
const DAY: Duration = Duration::from_hours(24);

/// What becomes of an answer whose caller hangs up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnDisconnect {
    /// The connection to the upstream is closed at once, which is what stops it.
    #[default]
    Cancel,
    /// The answer is read to its end all the same.
    Continue,
    /// The answer is read on, but no longer than this.
    Grace(Duration),
}

/// A text that is no rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be `cancel`, `continue` or a time from 1 s to a day, such as `10` or `10s`")]
pub struct NoRule;

impl OnDisconnect {
    /// The rule of a call with this metadata; `otherwise` where it sets none.
    pub fn of(metadata: &MetadataMap, otherwise: Self) -> Result<Self, Error> {
        let Some(value) = metadata.get(ON_DISCONNECT) else { return Ok(otherwise) };
        let rule = value.to_str().map_err(|_| NoRule).and_then(str::parse);
        rule.map_err(|error| Error::invalid(ON_DISCONNECT, error.to_string()))
    }
}

impl FromStr for OnDisconnect {
    type Err = NoRule;

    fn from_str(text: &str) -> Result<Self, NoRule> {
        let grace = match text {
            "cancel" => return Ok(Self::Cancel),
            "continue" => return Ok(Self::Continue),
            text => match text.parse() {
                Ok(seconds) => Duration::from_secs(seconds),
                Err(_) => humantime_serde::re::humantime::parse_duration(text).map_err(|_| NoRule)?,
            },
        };
        if (Duration::from_secs(1)..=DAY).contains(&grace) { Ok(Self::Grace(grace)) } else { Err(NoRule) }
    }
}

impl<'de> Deserialize<'de> for OnDisconnect {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_a_word_or_a_time() {
        let ten = OnDisconnect::Grace(Duration::from_secs(10));
        assert_eq!("cancel".parse(), Ok(OnDisconnect::Cancel));
        assert_eq!("continue".parse(), Ok(OnDisconnect::Continue));
        assert_eq!(("10".parse(), "10s".parse()), (Ok(ten), Ok(ten)));
        assert_eq!("2m".parse(), Ok(OnDisconnect::Grace(Duration::from_mins(2))));
        for wrong in ["", "Cancel", "0", "0s", "500ms", "-1", "1.5", "86401", "25h", "for ever", "99999999999999999999"]
        {
            assert_eq!(wrong.parse::<OnDisconnect>(), Err(NoRule), "{wrong}");
        }
    }

    #[test]
    fn a_call_may_set_its_own_rule_and_a_wrong_one_is_named() {
        let mut metadata = MetadataMap::new();
        assert_eq!(OnDisconnect::of(&metadata, OnDisconnect::Continue), Ok(OnDisconnect::Continue));
        metadata.insert(ON_DISCONNECT, "cancel".parse().unwrap());
        assert_eq!(OnDisconnect::of(&metadata, OnDisconnect::Continue), Ok(OnDisconnect::Cancel));
        metadata.insert(ON_DISCONNECT, "later".parse().unwrap());
        let refused = OnDisconnect::of(&metadata, OnDisconnect::Continue).unwrap_err();
        assert!(matches!(refused, Error::InvalidField { ref field, .. } if field == ON_DISCONNECT), "{refused:?}");
    }
}
