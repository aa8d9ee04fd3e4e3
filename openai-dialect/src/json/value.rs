//! Reading JSON values into the fields of contract messages.

use std::{collections::BTreeMap, fmt, marker::PhantomData};

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use triptych_proto::time::{Timestamp, from_unix_seconds};

use super::{
    field::Field,
    object::{JsonObject, Object},
};

/// A type that can be read from a JSON value.
pub(crate) trait Value: Sized {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;
}

impl<T: Object> Value for T {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        JsonObject::deserialize(deserializer).map(|JsonObject(object)| object)
    }
}

impl Value for String {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)
    }
}

impl Value for bool {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        bool::deserialize(deserializer)
    }
}

impl Value for f64 {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        f64::deserialize(deserializer)
    }
}

/// Implements [`Value`] for integer types. Accepts numbers with a zero fraction, such as `3.0`: JSON Schema defines them as integers, and some clients send them.
macro_rules! impl_value_for_integer {
    ($($number:ty),*) => {$(
        impl Value for $number {
            fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct IntegerVisitor;

                impl Visitor<'_> for IntegerVisitor {
                    type Value = $number;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        write!(f, "an integer from {} to {}", <$number>::MIN, <$number>::MAX)
                    }

                    fn visit_u64<E: de::Error>(self, number: u64) -> Result<$number, E> {
                        number.try_into().map_err(|_| E::invalid_value(de::Unexpected::Unsigned(number), &self))
                    }

                    fn visit_i64<E: de::Error>(self, number: i64) -> Result<$number, E> {
                        number.try_into().map_err(|_| E::invalid_value(de::Unexpected::Signed(number), &self))
                    }

                    #[expect(clippy::cast_possible_truncation, reason = "the value is an integer below 2^53")]
                    fn visit_f64<E: de::Error>(self, number: f64) -> Result<$number, E> {
                        /// 2^53: doubles represent all integers below it exactly.
                        const MAX_EXACT: f64 = 9_007_199_254_740_992.0;
                        if number.fract() == 0.0 && number.abs() < MAX_EXACT {
                            return self.visit_i64(number as i64);
                        }
                        Err(E::invalid_value(de::Unexpected::Float(number), &self))
                    }
                }

                deserializer.deserialize_any(IntegerVisitor)
            }
        }
    )*};
}

impl_value_for_integer!(u32, u64, i64);

/// Reads Unix seconds into a field. Fractions, which some upstreams send, are truncated.
pub(crate) struct UnixSeconds<'a>(pub(crate) &'a mut Option<Timestamp>);

impl Field for UnixSeconds<'_> {
    #[expect(clippy::cast_possible_truncation, reason = "the fraction is truncated on purpose; the cast saturates")]
    fn read_from<'de, A: MapAccess<'de>>(&mut self, map: &mut A) -> Result<Option<&'static str>, A::Error> {
        struct Number(i64);

        impl<'de> Deserialize<'de> for Number {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                f64::deserialize(deserializer).map(|seconds| Self(seconds as i64))
            }
        }

        if let Some(Number(seconds)) = map.next_value()? {
            // Upstreams without a clock send 0.
            *self.0 = (seconds != 0).then(|| from_unix_seconds(seconds));
        }
        Ok(None)
    }
}

/// Implements [`Deserialize`] for a [`Value`].
struct JsonValue<T>(T);

impl<'de, T: Value> Deserialize<'de> for JsonValue<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::read(deserializer).map(JsonValue)
    }
}

impl<T: Value> Field for T {
    fn read_from<'de, A: MapAccess<'de>>(&mut self, map: &mut A) -> Result<Option<&'static str>, A::Error> {
        Ok(match map.next_value::<Option<JsonValue<T>>>()? {
            Some(JsonValue(value)) => {
                *self = value;
                None
            }
            None => Some("null"),
        })
    }
}

impl<T: Value> Field for Option<T> {
    fn read_from<'de, A: MapAccess<'de>>(&mut self, map: &mut A) -> Result<Option<&'static str>, A::Error> {
        Ok(match map.next_value::<Option<JsonValue<T>>>()? {
            Some(JsonValue(value)) => {
                *self = Some(value);
                None
            }
            None => Some("null"),
        })
    }
}

impl<T: Value> Field for Vec<T> {
    fn read_from<'de, A: MapAccess<'de>>(&mut self, map: &mut A) -> Result<Option<&'static str>, A::Error> {
        Ok(match map.next_value::<Option<JsonArray<T>>>()? {
            Some(JsonArray(values)) if values.is_empty() => Some("[]"),
            Some(JsonArray(values)) => {
                *self = values;
                None
            }
            None => Some("null"),
        })
    }
}

impl<T: Value> Field for BTreeMap<String, T> {
    fn read_from<'de, A: MapAccess<'de>>(&mut self, map: &mut A) -> Result<Option<&'static str>, A::Error> {
        Ok(match map.next_value::<Option<BTreeMap<String, JsonValue<T>>>>()? {
            Some(values) if values.is_empty() => Some("{}"),
            Some(values) => {
                *self = values.into_iter().map(|(name, JsonValue(value))| (name, value)).collect();
                None
            }
            None => Some("null"),
        })
    }
}

/// Reads an array of values.
pub(crate) struct JsonArray<T>(pub(crate) Vec<T>);

impl<'de, T: Value> Deserialize<'de> for JsonArray<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ArrayVisitor<T>(PhantomData<T>);

        impl<'de, T: Value> Visitor<'de> for ArrayVisitor<T> {
            type Value = JsonArray<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut values = Vec::new();
                while let Some(JsonValue(value)) = seq.next_element()? {
                    values.push(value);
                }
                Ok(JsonArray(values))
            }
        }

        deserializer.deserialize_seq(ArrayVisitor(PhantomData))
    }
}

/// Reads a string or an array of strings into a field, for example `stop`.
pub(crate) struct OneOrMany<'a>(pub(crate) &'a mut Vec<String>);

impl Field for OneOrMany<'_> {
    fn read_from<'de, A: MapAccess<'de>>(&mut self, map: &mut A) -> Result<Option<&'static str>, A::Error> {
        struct OneOrManyValue(Vec<String>);

        impl<'de> Deserialize<'de> for OneOrManyValue {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct OneOrManyVisitor;

                impl<'de> Visitor<'de> for OneOrManyVisitor {
                    type Value = OneOrManyValue;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("a string or an array of strings")
                    }

                    fn visit_str<E>(self, text: &str) -> Result<OneOrManyValue, E> {
                        Ok(OneOrManyValue(vec![text.to_owned()]))
                    }

                    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<OneOrManyValue, A::Error> {
                        Vec::deserialize(de::value::SeqAccessDeserializer::new(seq)).map(OneOrManyValue)
                    }
                }

                deserializer.deserialize_any(OneOrManyVisitor)
            }
        }

        Ok(match map.next_value::<Option<OneOrManyValue>>()? {
            Some(OneOrManyValue(values)) if values.is_empty() => Some("[]"),
            Some(OneOrManyValue(values)) => {
                *self.0 = values;
                None
            }
            None => Some("null"),
        })
    }
}
