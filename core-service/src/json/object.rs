//! Writing JSON objects with members that are already JSON text.

use std::collections::HashSet;

use serde_json::Value;

use super::names::{folded, is_equivalent};

/// A JSON object under construction.
///
/// Members keep their order and values are kept as text, so that numbers from a client's `extra_json` keep their spelling.
/// Names are unique, regardless of case: with a repeated member some servers read the first value and some the last, and some
/// ignore case.
#[derive(Debug, Default)]
pub(crate) struct JsonObject {
    members: Vec<(String, String)>,
    /// The folded names. A client can send very many.
    names: HashSet<String>,
}

impl JsonObject {
    /// Adds a member; has no effect if the name exists in any case.
    pub(crate) fn add(&mut self, name: &str, value: impl Into<Value>) {
        self.add_raw(name, value.into().to_string());
    }

    /// Adds a member whose value is JSON text; has no effect if the name exists in any case.
    pub(crate) fn add_raw(&mut self, name: &str, value: impl Into<String>) {
        if self.names.insert(folded(name)) {
            self.members.push((name.to_owned(), value.into()));
        }
    }

    /// Sets a member whose value is JSON text: replaces the one with that name, if any, and moves it to the end.
    pub(crate) fn set_raw(&mut self, name: &str, value: impl Into<String>) {
        if !self.names.insert(folded(name)) {
            self.members.retain(|(known, _)| !is_equivalent(known, name));
        }
        self.members.push((name.to_owned(), value.into()));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Returns the members: each as its name, unescaped, and its value as JSON text.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&str, &str)> {
        self.members.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl std::fmt::Display for JsonObject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (place, (name, value)) in self.members.iter().enumerate() {
            let separator = if place == 0 { "{" } else { "," };
            write!(f, "{separator}{}:{value}", Value::from(name.as_str()))?;
        }
        f.write_str(if self.members.is_empty() { "{}" } else { "}" })
    }
}
