//! A single raw value in place of a map, so that a [`Field`](super::field::Field) can read a value whose text has been
//! kept.

use serde::de::{DeserializeSeed, MapAccess};

/// Provides one JSON text as the next value of a map.
pub(super) struct OneValue<'de>(pub(super) &'de str);

impl<'de> MapAccess<'de> for OneValue<'de> {
    type Error = serde_json::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, _: K) -> Result<Option<K::Value>, Self::Error> {
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Self::Error> {
        seed.deserialize(&mut serde_json::Deserializer::from_str(self.0))
    }
}
