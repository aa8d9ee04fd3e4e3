//! Conversions between `google.protobuf.Timestamp` and the Unix seconds of OpenAI's JSON.

use std::time::{SystemTime, UNIX_EPOCH};

pub use prost_types::Timestamp;

/// Converts Unix seconds into a timestamp.
pub fn from_unix_seconds(seconds: i64) -> Timestamp {
    Timestamp { seconds, nanos: 0 }
}

/// Returns the Unix seconds of a timestamp, rounded down; 0 for `None`.
pub fn unix_seconds(timestamp: Option<Timestamp>) -> i64 {
    timestamp.map_or(0, |timestamp| timestamp.seconds)
}

/// Returns the current time, truncated to whole seconds: OpenAI's JSON cannot represent fractions.
pub fn now() -> Timestamp {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    from_unix_seconds(elapsed.as_secs().cast_signed())
}
