//! Reading single values into the contract's fields.

use std::{collections::BTreeMap, fmt, marker::PhantomData};
use triptych_proto::time::{Timestamp, from_unix_seconds};

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::object::{Json, Object};

/// A field that takes the value of a member.
pub(crate) trait Slot {
    /// Reads the next value. Answers with its spelling where the field cannot hold it and was left alone.
    fn fill<'de, A: MapAccess<'de>>(&mut self, map: &mut A) -> Result<Option<&'static str>, A::Error>;
}

/// A JSON value that a field can hold.
pub(crate) trait Value: Sized {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;
}

impl<T: Object> Value for T {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Json::deserialize(deserializer).map(|Json(object)| object)
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

/// Whole numbers, however they are spelled: to JSON Schema, and to some clients, `3.0` is one.
macro_rules! whole_number {
    ($($number:ty),*) => {$(
        impl Value for $number {
            fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Whole;

                impl Visitor<'_> for Whole {
                    type Value = $number;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        write!(f, "a whole number from {} to {}", <$number>::MIN, <$number>::MAX)
                    }

                    fn visit_u64<E: de::Error>(self, number: u64) -> Result<$number, E> {
                        number.try_into().map_err(|_| E::invalid_value(de::Unexpected::Unsigned(number), &self))
                    }

                    fn visit_i64<E: de::Error>(self, number: i64) -> Result<$number, E> {
                        number.try_into().map_err(|_| E::invalid_value(de::Unexpected::Signed(number), &self))
                    }

                    #[expect(clippy::cast_possible_truncation, reason = "only whole numbers below 2^53 get that far")]
                    fn visit_f64<E: de::Error>(self, number: f64) -> Result<$number, E> {
                        const EXACT: f64 = 9_007_199_254_740_992.0;
                        if number.fract() == 0.0 && number.abs() < EXACT {
                            return self.visit_i64(number as i64);
                        }
                        Err(E::invalid_value(de::Unexpected::Float(number), &self))
                    }
                }

                deserializer.deserialize_any(Whole)
            }
        }
    )*};
}

whole_number!(u32, u64, i64);

/// A point in time in an upstream's answer, whole seconds; some tell fractions.
pub(crate) struct Seconds<'a>(pub(crate) &'a mut Option<Timestamp>);

impl Slot for Seconds<'_> {
    #[expect(clippy::cast_possible_truncation, reason = "fractions are what is to be cut off; casts saturate")]
    fn fill<'de, A: MapAccess<'de>>(&mut self, map: &mut A) -> Result<Option<&'static str>, A::Error> {
        struct Number(i64);

        impl<'de> Deserialize<'de> for Number {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                f64::deserialize(deserializer).map(|seconds| Self(seconds as i64))
            }
        }

        if let Some(Number(seconds)) = map.next_value()? {
            // Upstreams that have no clock send 0.
            *self.0 = (seconds != 0).then(|| from_unix_seconds(seconds));
        }
        Ok(None)
    }
}

/// Makes a [`Value`] deserialisable.
struct Read<T>(T);

impl<'de, T: Value> Deserialize<'de> for Read<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::read(deserializer).map(Read)
    }
}

impl<T: Value> Slot for T {
    fn fill<'de, A: MapAccess<'de>>(&mut self, map: &mut A) -> Result<Option<&'static str>, A::Error> {
        Ok(match map.next_value::<Option<Read<T>>>()? {
            Some(Read(value)) => {
                *self = value;
                None
            }
            None => Some("null"),
        })
    }
}

impl<T: Value> Slot for Option<T> {
    fn fill<'de, A: MapAccess<'de>>(&mut self, map: &mut A) -> Result<Option<&'static str>, A::Error> {
        Ok(match map.next_value::<Option<Read<T>>>()? {
            Some(Read(value)) => {
                *self = Some(value);
                None
            }
            None => Some("null"),
        })
    }
}

impl<T: Value> Slot for Vec<T> {
    fn fill<'de, A: MapAccess<'de>>(&mut self, map: &mut A) -> Result<Option<&'static str>, A::Error> {
        Ok(match map.next_value::<Option<List<T>>>()? {
            Some(List(values)) if values.is_empty() => Some("[]"),
            Some(List(values)) => {
                *self = values;
                None
            }
            None => Some("null"),
        })
    }
}

impl<T: Value> Slot for BTreeMap<String, T> {
    fn fill<'de, A: MapAccess<'de>>(&mut self, map: &mut A) -> Result<Option<&'static str>, A::Error> {
        Ok(match map.next_value::<Option<BTreeMap<String, Read<T>>>>()? {
            Some(values) if values.is_empty() => Some("{}"),
            Some(values) => {
                *self = values.into_iter().map(|(name, Read(value))| (name, value)).collect();
                None
            }
            None => Some("null"),
        })
    }
}

/// A list of values.
pub(crate) struct List<T>(pub(crate) Vec<T>);

impl<'de, T: Value> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor<T>(PhantomData<T>);

        impl<'de, T: Value> Visitor<'de> for ListVisitor<T> {
            type Value = List<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut values = Vec::new();
                while let Some(Read(value)) = seq.next_element()? {
                    values.push(value);
                }
                Ok(List(values))
            }
        }

        deserializer.deserialize_seq(ListVisitor(PhantomData))
    }
}

/// A text, or a list of texts: `stop`.
pub(crate) struct OneOrMany<'a>(pub(crate) &'a mut Vec<String>);

impl Slot for OneOrMany<'_> {
    fn fill<'de, A: MapAccess<'de>>(&mut self, map: &mut A) -> Result<Option<&'static str>, A::Error> {
        struct Either(Vec<String>);

        impl<'de> Deserialize<'de> for Either {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct EitherVisitor;

                impl<'de> Visitor<'de> for EitherVisitor {
                    type Value = Either;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("a string or a list of strings")
                    }

                    fn visit_str<E>(self, text: &str) -> Result<Either, E> {
                        Ok(Either(vec![text.to_owned()]))
                    }

                    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Either, A::Error> {
                        Vec::deserialize(de::value::SeqAccessDeserializer::new(seq)).map(Either)
                    }
                }

                deserializer.deserialize_any(EitherVisitor)
            }
        }

        Ok(match map.next_value::<Option<Either>>()? {
            Some(Either(values)) if values.is_empty() => Some("[]"),
            Some(Either(values)) => {
                *self.0 = values;
                None
            }
            None => Some("null"),
        })
    }
}
