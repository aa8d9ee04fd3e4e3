//! Raw JSON values: the text of a value, checked but not parsed.

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer};
use serde_json::value::RawValue;

/// Maximum nesting depth of a raw value. serde_json skips raw values iteratively and without a depth limit; this one
/// protects the stack of the recursive parsers that read the value later.
const MAX_DEPTH: usize = 128;

/// Reads a value as raw text and validates it with the function.
///
/// Validation is part of deserialization so that its error gets the path of the value.
pub(crate) struct ValidatedRaw(pub(crate) fn(&str) -> Result<(), &'static str>);

impl<'de> DeserializeSeed<'de> for ValidatedRaw {
    type Value = &'de str;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<&'de str, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        if exceeds_max_depth(raw) {
            return Err(de::Error::custom(format_args!("nested deeper than {MAX_DEPTH} levels")));
        }
        (self.0)(raw).map_err(de::Error::custom)?;
        Ok(raw)
    }
}

/// Returns whether a JSON text is nested deeper than 128 levels.
pub(crate) fn exceeds_max_depth(raw: &str) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in raw.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return true;
        }
    }
    false
}
