//! Reading a request member by member, with the path of each value for errors.
//!
//! Values stay raw text until they are read as a type, so that numbers, schemas and unknown members are passed on
//! unchanged.

use std::{fmt::Display, ops::RangeInclusive};

use serde_json::value::RawValue;

use super::error::InvalidRequest;
use crate::json::{extra::append_member, extra_members, raw::exceeds_max_depth};

/// Maximum number of characters of a value that an error message repeats.
const MAX_SHOWN: usize = 60;

/// A JSON value and its path in the request.
#[derive(Debug, Clone)]
pub(super) struct Node<'a> {
    path: String,
    raw: &'a str,
}

/// The members of an object that have not been taken yet.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    path: String,
    members: Vec<(String, &'a str)>,
}

impl<'a> Node<'a> {
    /// Returns a value that is known to be valid JSON.
    pub(super) fn new(path: &str, raw: &'a str) -> Self {
        Self { path: path.to_owned(), raw }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Returns the JSON text.
    pub(super) fn raw(&self) -> &'a str {
        self.raw
    }

    pub(super) fn is_null(&self) -> bool {
        self.raw == "null"
    }

    pub(super) fn is_string(&self) -> bool {
        self.raw.starts_with('"')
    }

    /// Returns the error of a value that breaks a rule. The message has the path, the value and the rule.
    pub(super) fn expected(&self, rule: impl Display) -> InvalidRequest {
        let mut shown: String = self.raw.chars().take(MAX_SHOWN).collect();
        if shown.len() < self.raw.len() {
            shown.push('…');
        }
        let message = format!("{} {shown}: expected {rule}", self.path);
        InvalidRequest { param: Some(self.path.clone()), message, code: None }
    }

    /// Returns the error of a value that OpenAI serves and this API does not.
    pub(super) fn unsupported(&self, message: impl Display) -> InvalidRequest {
        InvalidRequest::unsupported(&self.path, message)
    }

    pub(super) fn string(&self) -> Result<String, InvalidRequest> {
        serde_json::from_str(self.raw).map_err(|_| self.expected("a string"))
    }

    /// Reads a string that must not be empty.
    pub(super) fn name(&self) -> Result<String, InvalidRequest> {
        let name = self.string()?;
        if name.is_empty() { Err(self.expected("a string that is not empty")) } else { Ok(name) }
    }

    /// Reads a string that must be one of `values`.
    pub(super) fn one_of(&self, values: &[&'static str]) -> Result<&'static str, InvalidRequest> {
        let text = self.string().unwrap_or_default();
        let found = values.iter().find(|value| **value == text);
        found.copied().ok_or_else(|| self.expected(format_args!("one of {}", values.join(", "))))
    }

    pub(super) fn boolean(&self) -> Result<bool, InvalidRequest> {
        serde_json::from_str(self.raw).map_err(|_| self.expected("true or false"))
    }

    /// Reads an integer. Numbers with a zero fraction, such as `3.0`, are integers to JSON Schema.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the number is a positive integer below 2^53"
    )]
    pub(super) fn integer(&self, range: RangeInclusive<u64>) -> Result<u64, InvalidRequest> {
        /// 2^53: doubles represent all integers below it exactly.
        const MAX_EXACT: f64 = 9_007_199_254_740_992.0;
        let from_float = || {
            let number = serde_json::from_str::<f64>(self.raw).ok()?;
            (number.fract() == 0.0 && (0.0..MAX_EXACT).contains(&number)).then_some(number as u64)
        };
        let number = serde_json::from_str(self.raw).ok().or_else(from_float);
        number.filter(|number| range.contains(number)).ok_or_else(|| match (range.start(), range.end()) {
            (start, &u64::MAX) => self.expected(format_args!("an integer of at least {start}")),
            (start, end) => self.expected(format_args!("an integer from {start} to {end}")),
        })
    }

    pub(super) fn number(&self, range: RangeInclusive<f64>) -> Result<f64, InvalidRequest> {
        let number = serde_json::from_str(self.raw).ok().filter(|number| range.contains(number));
        number.ok_or_else(|| self.expected(format_args!("a number from {} to {}", range.start(), range.end())))
    }

    pub(super) fn array(&self) -> Result<Vec<Self>, InvalidRequest> {
        let values = serde_json::from_str::<Vec<&RawValue>>(self.raw).map_err(|_| self.expected("an array"))?;
        let nodes = values.into_iter().enumerate();
        Ok(nodes.map(|(index, value)| Self { path: format!("{}[{index}]", self.path), raw: value.get() }).collect())
    }

    pub(super) fn object(&self) -> Result<Fields<'a>, InvalidRequest> {
        let members = extra_members(self.raw).ok_or_else(|| self.expected("an object"))?;
        Ok(Fields { path: self.path.clone(), members })
    }
}

impl<'a> Fields<'a> {
    /// Reads a document that is one JSON object.
    pub(super) fn of_document(text: &'a str) -> Result<Self, InvalidRequest> {
        let invalid = |message| InvalidRequest { param: None, message, code: None };
        if let Err(error) = serde_json::from_str::<&RawValue>(text) {
            return Err(invalid(format!("The body is not valid JSON: {error}")));
        }
        if exceeds_max_depth(text) {
            return Err(invalid("The body is nested deeper than 128 levels".to_owned()));
        }
        let members = extra_members(text)
            .ok_or_else(|| invalid("The body must be a JSON object, for example {\"input\": \"Hello\"}".to_owned()))?;
        Ok(Self { path: String::new(), members })
    }

    /// Returns the path of a member of this object.
    pub(super) fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// Takes a member, or `None` if it is absent or `null`. Of several members with this name the last one counts.
    pub(super) fn take(&mut self, name: &str) -> Option<Node<'a>> {
        let mut taken = None;
        self.members.retain(|(other, raw)| {
            if other == name {
                taken = Some(*raw);
            }
            other != name
        });
        taken.filter(|raw| *raw != "null").map(|raw| Node { path: self.path_of(name), raw })
    }

    /// Takes a member that must be present.
    pub(super) fn required(&mut self, name: &str) -> Result<Node<'a>, InvalidRequest> {
        self.take(name).ok_or_else(|| InvalidRequest {
            code: Some("missing_required_parameter"),
            ..InvalidRequest::at(&self.path_of(name), "is required")
        })
    }

    /// Takes a member and reads it with `read`.
    pub(super) fn optional<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&Node<'a>) -> Result<T, InvalidRequest>,
    ) -> Result<Option<T>, InvalidRequest> {
        self.take(name).map(|node| read(&node)).transpose()
    }

    /// Drops members whose value has no meaning for a chat upstream.
    pub(super) fn ignore(&mut self, names: &[&str]) {
        self.members.retain(|(name, _)| !names.contains(&name.as_str()));
    }

    /// Returns the members that have not been taken, those that are `null` included, in order, as values with a path.
    pub(super) fn rest_with_nulls(self) -> Vec<(String, Node<'a>)> {
        let nodes = self.members.iter().map(|(name, raw)| (name.clone(), Node { path: self.path_of(name), raw }));
        nodes.collect()
    }

    /// Returns the members that have not been taken as an `extra_json`, which passes them on to the upstream.
    pub(super) fn into_extra(self) -> String {
        let mut extra = String::new();
        for (name, value) in self.rest() {
            append_member(&mut extra, &name, value);
        }
        extra
    }

    /// Returns the members that have not been taken, in order, without those that are `null`.
    pub(super) fn rest(self) -> Vec<(String, &'a str)> {
        let mut members = self.members;
        members.retain(|(_, raw)| *raw != "null");
        members
    }
}
