//! The policy for chat calls whose client disconnects, which a call, an API key or the settings choose.

use std::{fmt, str::FromStr, time::Duration};

use http::HeaderName;
use serde::{Deserialize, Deserializer, de::Error as _};
use tonic::metadata::MetadataMap;

use crate::error::Error;

/// The metadata key, and HTTP header, by which a call sets [`OnDisconnect`] for itself.
pub const ON_DISCONNECT: &str = "x-triptych-on-disconnect";
/// The longest time of [`OnDisconnect::Grace`].
const DAY: Duration = Duration::from_hours(24);

/// The policy for a call whose client disconnects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnDisconnect {
    /// The connection to the upstream is closed at once, which cancels the request there.
    #[default]
    Cancel,
    /// The response is read to its end.
    Continue,
    /// The response is read to its end, for at most this long.
    Grace(Duration),
}

/// The error for text that is not a valid [`OnDisconnect`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be `cancel`, `continue` or a duration from 1 s to 24 h, for example `10` (seconds) or `10s`")]
pub struct ParseError;

impl OnDisconnect {
    /// Reads the value of a call with this metadata; `default` if it sets none.
    ///
    /// # Errors
    /// [`Error::InvalidField`] for a value that is not an [`OnDisconnect`].
    pub fn from_metadata(metadata: &MetadataMap, default: Self) -> Result<Self, Error> {
        const NAME: HeaderName = HeaderName::from_static(ON_DISCONNECT);
        let Some(value) = metadata.as_ref().get(NAME) else { return Ok(default) };
        let parsed = value.to_str().map_err(|_| ParseError).and_then(str::parse);
        parsed.map_err(|error| Error::invalid(ON_DISCONNECT, error.to_string()))
    }
}

impl FromStr for OnDisconnect {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let grace = match text {
            "cancel" => return Ok(Self::Cancel),
            "continue" => return Ok(Self::Continue),
            text => match text.parse() {
                Ok(seconds) => Duration::from_secs(seconds),
                Err(_) => humantime_serde::re::humantime::parse_duration(text).map_err(|_| ParseError)?,
            },
        };
        if (Duration::from_secs(1)..=DAY).contains(&grace) { Ok(Self::Grace(grace)) } else { Err(ParseError) }
    }
}

/// Writes the form that is parsed.
impl fmt::Display for OnDisconnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancel => f.write_str("cancel"),
            Self::Continue => f.write_str("continue"),
            Self::Grace(grace) => write!(f, "{}", humantime_serde::re::humantime::format_duration(*grace)),
        }
    }
}

impl<'de> Deserialize<'de> for OnDisconnect {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Value {
            Seconds(u64),
            Text(String),
        }
        let text = match Value::deserialize(deserializer)? {
            Value::Seconds(seconds) => seconds.to_string(),
            Value::Text(text) => text,
        };
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_durations_from_a_second_to_a_day_are_parsed() {
        let ten = OnDisconnect::Grace(Duration::from_secs(10));
        assert_eq!("cancel".parse(), Ok(OnDisconnect::Cancel));
        assert_eq!("continue".parse(), Ok(OnDisconnect::Continue));
        assert_eq!(("10".parse(), "10s".parse()), (Ok(ten), Ok(ten)));
        assert_eq!(serde_json::from_str::<OnDisconnect>("10").unwrap(), ten);
        assert_eq!(serde_json::from_str::<OnDisconnect>(r#""10s""#).unwrap(), ten);
        assert_eq!("2m".parse(), Ok(OnDisconnect::Grace(Duration::from_mins(2))));
        for policy in
            [OnDisconnect::Cancel, OnDisconnect::Continue, ten, OnDisconnect::Grace(Duration::from_millis(90_500))]
        {
            assert_eq!(policy.to_string().parse(), Ok(policy));
        }
        for invalid in
            ["", "Cancel", "0", "0s", "500ms", "-1", "1.5", "86401", "25h", "for ever", "99999999999999999999"]
        {
            assert_eq!(invalid.parse::<OnDisconnect>(), Err(ParseError), "{invalid}");
        }
    }

    #[test]
    fn metadata_overrides_the_default_and_an_invalid_value_names_its_field() {
        let mut metadata = MetadataMap::new();
        assert_eq!(OnDisconnect::from_metadata(&metadata, OnDisconnect::Continue), Ok(OnDisconnect::Continue));
        metadata.insert(ON_DISCONNECT, "cancel".parse().unwrap());
        assert_eq!(OnDisconnect::from_metadata(&metadata, OnDisconnect::Continue), Ok(OnDisconnect::Cancel));
        metadata.insert(ON_DISCONNECT, "later".parse().unwrap());
        let refused = OnDisconnect::from_metadata(&metadata, OnDisconnect::Continue).unwrap_err();
        assert!(matches!(refused, Error::InvalidField { ref field, .. } if field == ON_DISCONNECT), "{refused:?}");
    }
}
