//! Conversions between `google.protobuf.Timestamp` and the Unix seconds of OpenAI's JSON.

use std::time::{SystemTime, UNIX_EPOCH};

pub use prost_types::Timestamp;

/// Returns the timestamp of `seconds` since 1970.
pub fn from_unix_seconds(seconds: i64) -> Timestamp {
    Timestamp { seconds, nanos: 0 }
}

/// Returns the whole seconds since 1970; 0 for an absent timestamp.
pub fn unix_seconds(timestamp: Option<Timestamp>) -> i64 {
    timestamp.map_or(0, |timestamp| timestamp.seconds)
}

/// Returns the current time, truncated to whole seconds, which is all that OpenAI's JSON can carry.
pub fn now() -> Timestamp {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    from_unix_seconds(elapsed.as_secs().cast_signed())
}
