//! Reading JSON values into the fields of protobuf messages.

use std::{collections::BTreeMap, fmt, marker::PhantomData};

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use triptych_proto::time::{Timestamp, from_unix_seconds};

use super::{
    field::{Field, Unrepresented},
    mode::Mode,
    object::{Object, ObjectSeed},
};

/// A type that can be read from a JSON value.
pub(crate) trait Value: Sized {
    /// Reads the value. In lenient mode, members of objects within it may have unexpected types.
    fn read<'de, D: Deserializer<'de>>(deserializer: D, mode: Mode) -> Result<Self, D::Error>;
}

impl<T: Object> Value for T {
    fn read<'de, D: Deserializer<'de>>(deserializer: D, mode: Mode) -> Result<Self, D::Error> {
        ObjectSeed(mode, PhantomData).deserialize(deserializer)
    }
}

impl Value for String {
    fn read<'de, D: Deserializer<'de>>(deserializer: D, _: Mode) -> Result<Self, D::Error> {
        String::deserialize(deserializer)
    }
}

impl Value for bool {
    fn read<'de, D: Deserializer<'de>>(deserializer: D, _: Mode) -> Result<Self, D::Error> {
        bool::deserialize(deserializer)
    }
}

impl Value for f64 {
    fn read<'de, D: Deserializer<'de>>(deserializer: D, _: Mode) -> Result<Self, D::Error> {
        f64::deserialize(deserializer)
    }
}

/// Implements [`Value`] for integer types. Accepts numbers with a zero fraction, such as `3.0`: JSON Schema defines
/// them as integers, and some clients send them.
macro_rules! impl_value_for_integer {
    ($($number:ty),*) => {$(
        impl Value for $number {
            fn read<'de, D: Deserializer<'de>>(deserializer: D, _: Mode) -> Result<Self, D::Error> {
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

/// A field of Unix seconds. Fractions, which some upstreams send, are truncated. 0 clears the field, and `null` leaves it unchanged; neither
/// is reported as unrepresentable.
pub(crate) struct UnixSeconds<'a>(pub(crate) &'a mut Option<Timestamp>);

impl Field for UnixSeconds<'_> {
    #[expect(clippy::cast_possible_truncation, reason = "the fraction is truncated on purpose; the cast saturates")]
    fn read_from<'de, A: MapAccess<'de>>(&mut self, map: &mut A, _: Mode) -> Result<Unrepresented, A::Error> {
        struct Number(i64);

        impl<'de> Deserialize<'de> for Number {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                f64::deserialize(deserializer).map(|seconds| Self(seconds as i64))
            }
        }

        if let Some(Number(seconds)) = map.next_value()? {
            // Some upstreams send 0 because they have no clock.
            *self.0 = (seconds != 0).then(|| from_unix_seconds(seconds));
        }
        Ok(None)
    }
}

/// Reads a [`Value`].
struct ValueSeed<T>(Mode, PhantomData<T>);

impl<'de, T: Value> DeserializeSeed<'de> for ValueSeed<T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        T::read(deserializer, self.0)
    }
}

/// Reads `null` as `None`, and any other value with the seed.
pub(crate) struct Nullable<S>(pub(crate) S);

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Nullable<S> {
    type Value = Option<S::Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        struct NullableVisitor<S>(S);

        impl<'de, S: DeserializeSeed<'de>> Visitor<'de> for NullableVisitor<S> {
            type Value = Option<S::Value>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value or null")
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(None)
            }

            fn visit_none<E>(self) -> Result<Self::Value, E> {
                Ok(None)
            }

            fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
                self.0.deserialize(deserializer).map(Some)
            }
        }

        deserializer.deserialize_option(NullableVisitor(self.0))
    }
}

impl<T: Value> Field for T {
    fn read_from<'de, A: MapAccess<'de>>(&mut self, map: &mut A, mode: Mode) -> Result<Unrepresented, A::Error> {
        Ok(match map.next_value_seed(Nullable(ValueSeed(mode, PhantomData)))? {
            Some(value) => {
                *self = value;
                None
            }
            None => Some("null"),
        })
    }
}

impl<T: Value> Field for Option<T> {
    fn read_from<'de, A: MapAccess<'de>>(&mut self, map: &mut A, mode: Mode) -> Result<Unrepresented, A::Error> {
        Ok(match map.next_value_seed(Nullable(ValueSeed(mode, PhantomData)))? {
            Some(value) => {
                *self = Some(value);
                None
            }
            None => Some("null"),
        })
    }
}

impl<T: Value> Field for Vec<T> {
    fn read_from<'de, A: MapAccess<'de>>(&mut self, map: &mut A, mode: Mode) -> Result<Unrepresented, A::Error> {
        Ok(match map.next_value_seed(Nullable(ArraySeed(mode, PhantomData)))? {
            Some(values) if values.is_empty() => Some("[]"),
            Some(values) => {
                *self = values;
                None
            }
            None => Some("null"),
        })
    }
}

impl<T: Value> Field for BTreeMap<String, T> {
    fn read_from<'de, A: MapAccess<'de>>(&mut self, map: &mut A, mode: Mode) -> Result<Unrepresented, A::Error> {
        Ok(match map.next_value_seed(Nullable(MapSeed(mode, PhantomData)))? {
            Some(values) if values.is_empty() => Some("{}"),
            Some(values) => {
                *self = values;
                None
            }
            None => Some("null"),
        })
    }
}

/// Reads an array of values.
pub(crate) struct ArraySeed<T>(pub(crate) Mode, pub(crate) PhantomData<T>);

impl<'de, T: Value> DeserializeSeed<'de> for ArraySeed<T> {
    type Value = Vec<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<T>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, T: Value> Visitor<'de> for ArraySeed<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed(ValueSeed(self.0, PhantomData))? {
            values.push(value);
        }
        Ok(values)
    }
}

/// Reads an object as a map.
struct MapSeed<T>(Mode, PhantomData<T>);

impl<'de, T: Value> DeserializeSeed<'de> for MapSeed<T> {
    type Value = BTreeMap<String, T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, T: Value> Visitor<'de> for MapSeed<T> {
    type Value = BTreeMap<String, T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut values = BTreeMap::new();
        while let Some(name) = map.next_key()? {
            values.insert(name, map.next_value_seed(ValueSeed(self.0, PhantomData))?);
        }
        Ok(values)
    }
}

/// Reads a string or an array of strings into a field, for example `stop`.
pub(crate) struct OneOrMany<'a>(pub(crate) &'a mut Vec<String>);

impl Field for OneOrMany<'_> {
    fn read_from<'de, A: MapAccess<'de>>(&mut self, map: &mut A, _: Mode) -> Result<Unrepresented, A::Error> {
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
