//! A JSON value that preserves the notation of numbers and the order and duplicates of members.

use std::fmt;

use openai_dialect::extra_members;
use proptest::prelude::*;
use serde_json::value::RawValue;

/// A JSON value. Strings are compared by value, all other scalars by notation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    /// The text of a number, a literal, or a string that is not valid Unicode.
    Raw(String),
    Text(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    pub(crate) fn parse(text: &str) -> Self {
        match text.trim().as_bytes()[0] {
            b'"' => serde_json::from_str(text).map_or_else(|_| Self::Raw(text.to_owned()), Self::Text),
            b'[' => {
                let items: Vec<&RawValue> = serde_json::from_str(text).unwrap();
                Self::Array(items.into_iter().map(|item| Self::parse(item.get())).collect())
            }
            b'{' => {
                let members = extra_members(text).unwrap_or_else(|| panic!("not an object: {text}"));
                Self::Object(members.into_iter().map(|(name, value)| (name, Self::parse(value))).collect())
            }
            _ => Self::Raw(text.to_owned()),
        }
    }

    pub(crate) fn null() -> Self {
        Self::Raw("null".to_owned())
    }

    pub(crate) fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    /// Sorts the members of every object for comparison, except inside vendor extensions and JSON Schemas, whose order must
    /// be preserved.
    pub(crate) fn sorted(self) -> Self {
        let is_ordered = |name: &str| name.starts_with("x_") || matches!(name, "parameters" | "schema");
        match self {
            Self::Object(members) => {
                let sorted = |(name, value): (String, Self)| {
                    let value = if is_ordered(&name) { value } else { value.sorted() };
                    (name, value)
                };
                let mut members: Vec<_> = members.into_iter().map(sorted).collect();
                members.sort_by(|(one, _), (other, _)| one.cmp(other));
                Self::Object(members)
            }
            Self::Array(items) => Self::Array(items.into_iter().map(Self::sorted).collect()),
            other @ (Self::Raw(_) | Self::Text(_)) => other,
        }
    }

    pub(crate) fn members(&mut self) -> &mut Vec<(String, Json)> {
        match self {
            Self::Object(members) => members,
            other @ (Self::Raw(_) | Self::Text(_) | Self::Array(_)) => panic!("not an object: {other}"),
        }
    }

    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut Json> {
        self.members().iter_mut().find_map(|(other, value)| (other == name).then_some(value))
    }

    pub(crate) fn items(&mut self) -> &mut Vec<Json> {
        match self {
            Self::Array(items) => items,
            other @ (Self::Raw(_) | Self::Text(_) | Self::Object(_)) => panic!("not an array: {other}"),
        }
    }

    /// Removes the members called `name` whose value satisfies `unwanted`.
    pub(crate) fn drop_where(&mut self, name: &str, unwanted: impl Fn(&Json) -> bool) {
        self.members().retain(|(other, value)| other != name || !unwanted(value));
    }

    /// Adds a member unless there is one of this name.
    pub(crate) fn or_insert(&mut self, name: &str, value: Json) {
        if self.get_mut(name).is_none() {
            self.members().push((name.to_owned(), value));
        }
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |text: &str| serde_json::to_string(text).unwrap();
        // With unusual spaces around the commas, which are not to be preserved.
        match self {
            Self::Raw(raw) => f.write_str(raw),
            Self::Text(text) => f.write_str(&quoted(text)),
            Self::Array(items) => {
                let items: Vec<_> = items.iter().map(ToString::to_string).collect();
                write!(f, "[{}]", items.join(", "))
            }
            Self::Object(members) => {
                let members: Vec<_> = members.iter().map(|(name, value)| format!("{}:{value}", quoted(name))).collect();
                write!(f, "{{{}}}", members.join(" ,"))
            }
        }
    }
}

/// Generates a string.
pub(crate) fn text() -> BoxedStrategy<Json> {
    any::<String>().prop_map(Json::Text).boxed()
}

/// Generates a number or a Boolean in the notation of serde_json, in which fields are written.
pub(crate) fn scalar<T: Arbitrary + serde::Serialize>() -> BoxedStrategy<Json>
where
    T::Strategy: 'static,
{
    any::<T>().prop_map(|value| Json::Raw(serde_json::to_string(&value).unwrap())).boxed()
}

/// Generates a finite number.
pub(crate) fn number() -> BoxedStrategy<Json> {
    let finite = proptest::num::f64::NORMAL | proptest::num::f64::ZERO | proptest::num::f64::SUBNORMAL;
    finite.prop_map(|value| Json::Raw(serde_json::to_string(&value).unwrap())).boxed()
}

/// Generates any value, including notations that a typed field cannot preserve.
pub(crate) fn anything() -> BoxedStrategy<Json> {
    const UNUSUAL: &[&str] =
        &["null", "true", "0.10", "-0", "1E400", "12345678901234567890123", "\"\\ud800\"", "\"\\u00e9\""];
    let leaf = prop_oneof![
        proptest::sample::select(UNUSUAL).prop_map(Json::parse),
        text(),
        scalar::<i64>(),
        Just(Json::Array(vec![])),
        Just(Json::Object(vec![])),
    ];
    // Up to 3 levels, about 12 values in all and 4 in an array or object.
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Json::Array),
            proptest::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|members| Json::Object(members.into_iter().collect())),
        ]
    })
    .boxed()
}

/// Generates vendor extensions.
pub(crate) fn vendor_members() -> BoxedStrategy<Vec<(String, Json)>> {
    let name = any::<String>().prop_map(|name| format!("x_{name}"));
    proptest::collection::btree_map(name, anything(), 0..3).prop_map(|members| members.into_iter().collect()).boxed()
}
