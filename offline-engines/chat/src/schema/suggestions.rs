//! Suggests values from the user's message for the members of a generated document.

use serde_json::Value;

use super::optional_members::OptionalMembers;
use super::resolve::{list, types};
use super::validate;
use crate::entities::Entities;
use crate::words::split_identifier;

/// Hands out the entities of a text. Names, numbers and quotes are used once each, in their order.
#[derive(Debug)]
pub(crate) struct Suggestions<'a> {
    entities: &'a Entities,
    /// `All` for a document in a required format, `Mentioned` for the arguments of a tool.
    optional: OptionalMembers,
    /// How many entities of each kind are already used.
    used_names: usize,
    used_numbers: usize,
    used_quotes: usize,
}

/// Member names whose values are places.
const PLACES: &[&str] = &[
    "city",
    "cities",
    "location",
    "place",
    "town",
    "destination",
    "origin",
    "country",
    "region",
    "area",
    "from",
    "to",
    "departure",
    "arrival",
    "source",
    "target",
    "address",
];
/// Member names whose values are names of people, companies, languages and topics.
const PEOPLE: &[&str] = &[
    "name",
    "person",
    "recipient",
    "author",
    "contact",
    "user",
    "attendee",
    "participant",
    "language",
    "company",
    "customer",
    "title",
    "team",
    "topic",
    "subject",
];
/// Member names whose values are free text.
const TEXTS: &[&str] = &[
    "query",
    "q",
    "text",
    "message",
    "content",
    "prompt",
    "question",
    "input",
    "search",
    "term",
    "keyword",
    "keywords",
    "body",
    "topic",
    "subject",
    "request",
    "instruction",
    "task",
];
/// Member names whose values are arithmetic expressions.
const EXPRESSIONS: &[&str] = &["expression", "expr", "formula", "calculation", "equation"];
/// Member names whose values are dates.
const DATES: &[&str] = &["date", "day", "when", "time"];
/// Words that are passed on as dates.
const DATE_WORDS: &[&str] = &[
    "today",
    "tomorrow",
    "yesterday",
    "tonight",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
    "今天",
    "明天",
    "昨天",
];

impl<'a> Suggestions<'a> {
    pub(crate) const fn new(entities: &'a Entities, optional: OptionalMembers) -> Self {
        let used_names = match optional {
            OptionalMembers::All => 0,
            OptionalMembers::Mentioned { skip } => skip,
        };
        Self { entities, optional, used_names, used_numbers: 0, used_quotes: 0 }
    }

    /// Returns the first value from the text that satisfies the schema, and marks it as used. Without one, returns the
    /// schema's default or first example.
    pub(crate) fn take(&mut self, schema: &Value, name: &str) -> Option<Value> {
        let found = self.find(schema, name);
        if let Some((value, kind)) = found {
            match kind {
                Kind::Name(at) => self.used_names = at + 1,
                Kind::Number => self.used_numbers += 1,
                Kind::Quote => self.used_quotes += 1,
                Kind::Other => {}
            }
            return Some(value);
        }
        let scalar = |value: &&Value| !value.is_object() && !value.is_array() && !value.is_null();
        let defaults = schema.get("default").into_iter().chain(list(schema, "examples"));
        defaults.filter(scalar).find(|value| fits(schema, value)).cloned()
    }

    /// Returns whether the text contains a value for this member.
    pub(crate) fn has_value(&self, schema: &Value, name: &str) -> bool {
        let members: Vec<&Value> = list(schema, "enum").iter().collect();
        if !members.is_empty() {
            return self.mentioned(&members).is_some();
        }
        let types = types(schema);
        if types.contains(&"boolean") {
            return self.entities.mentions(&split_identifier(name));
        }
        if types.contains(&"array") {
            return schema.get("items").is_some_and(|items| self.item_count(items, name) > 0);
        }
        self.find(schema, name).is_some()
    }

    /// Returns the number of values in the text that fit the items of an array.
    pub(crate) fn item_count(&self, item: &Value, name: &str) -> u64 {
        let is_name = item.get("enum").is_none()
            && types(item).contains(&"string")
            && (name_contains(name, PLACES) || name_contains(name, PEOPLE));
        if is_name {
            return self.entities.names.len().saturating_sub(self.used_names) as u64;
        }
        if types(item).iter().any(|name| ["number", "integer"].contains(name)) {
            return self.entities.numbers.len().saturating_sub(self.used_numbers) as u64;
        }
        list(item, "enum")
            .iter()
            .filter(|member| member.as_str().is_some_and(|word| self.entities.mentions(word)))
            .count() as u64
    }

    /// Returns the first of the given values that the text mentions.
    pub(crate) fn mentioned(&self, members: &[&Value]) -> Option<Value> {
        let is_mentioned = |member: &&&Value| match member {
            Value::String(word) => {
                self.entities.mentions(word) || (!word.is_ascii() && self.entities.text.contains(word.as_str()))
            }
            Value::Number(number) => self.entities.numbers.iter().any(|(found, _)| found == number),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => false,
        };
        members.iter().find(is_mentioned).map(|member| (*member).clone())
    }

    /// Returns the value of a boolean member: true in documents; in arguments true if the text mentions the member and
    /// contains no negation.
    pub(crate) fn boolean(&self, name: &str) -> bool {
        let negated = ["no", "not", "without", "don't", "never"].iter().any(|word| self.entities.mentions(word));
        match self.optional {
            OptionalMembers::All => true,
            OptionalMembers::Mentioned { .. } => self.entities.mentions(&split_identifier(name)) && !negated,
        }
    }

    /// Returns the first unused value from the text that satisfies the schema.
    fn find(&self, schema: &Value, name: &str) -> Option<(Value, Kind)> {
        let types = types(schema);
        let candidates = if types.contains(&"string") {
            self.texts(schema, name)
        } else if types.contains(&"integer") || types.contains(&"number") {
            // "5 days" for a member `days`.
            let before_unit = split_identifier(name)
                .split(' ')
                .find_map(|unit| self.entities.number_before(unit))
                .map(|value| (value, Kind::Other));
            let next = self
                .entities
                .numbers
                .get(self.used_numbers)
                .map(|(number, _)| (Value::Number(number.clone()), Kind::Number));
            before_unit.into_iter().chain(next).collect()
        } else {
            Vec::new()
        };
        candidates.into_iter().find(|(value, _)| fits(schema, value))
    }

    /// Returns the candidates for a string member, the most specific first.
    fn texts(&self, schema: &Value, name: &str) -> Vec<(Value, Kind)> {
        let entities = self.entities;
        let mut candidates: Vec<(Value, Kind)> = Vec::new();
        let mut add = |text: &str, kind: Kind| candidates.push((text.into(), kind));
        let format = schema.get("format").and_then(Value::as_str);
        if format.is_some() {
            entities.emails.iter().chain(&entities.dates).chain(&entities.urls).for_each(|text| add(text, Kind::Other));
            // Candidates of another kind do not match the format, so the caller's validation removes them.
            return if is_known_format(format) { candidates } else { Vec::new() };
        }
        if name_contains(name, EXPRESSIONS) {
            entities.expression.iter().for_each(|expression| add(expression, Kind::Other));
        }
        if name_contains(name, &["email", "recipient", "to", "contact"]) {
            entities.emails.iter().for_each(|text| add(text, Kind::Other));
        }
        if name_contains(name, &["url", "uri", "link", "website"]) {
            entities.urls.iter().for_each(|text| add(text, Kind::Other));
        }
        if name_contains(name, DATES) {
            entities.dates.iter().for_each(|text| add(text, Kind::Other));
            DATE_WORDS.iter().filter(|word| entities.mentions(word)).for_each(|word| add(word, Kind::Other));
        }
        if name_contains(name, PLACES) || name_contains(name, PEOPLE) {
            // "from Paris to London": the preposition before a name decides which member it belongs to.
            let preposition = if name_contains(name, &["origin", "from", "departure", "source"]) {
                Some("from")
            } else if name_contains(name, &["destination", "to", "arrival", "target", "language"]) {
                Some("to")
            } else {
                None
            };
            let has_preposition =
                |found: &&String| preposition.is_some_and(|word| entities.text.contains(&format!("{word} {found}")));
            entities.names.iter().find(has_preposition).into_iter().for_each(|found| add(found, Kind::Other));
            if let Some(found) = entities.names.get(self.used_names) {
                add(found, Kind::Name(self.used_names));
            }
        }
        if (self.optional != OptionalMembers::All || name_contains(name, PEOPLE) || name_contains(name, TEXTS))
            && let Some(text) = entities.quoted.get(self.used_quotes)
        {
            add(text, Kind::Quote);
        }
        if matches!(self.optional, OptionalMembers::Mentioned { .. })
            && (name_contains(name, TEXTS) || name_contains(name, EXPRESSIONS))
            && !entities.text.is_empty()
        {
            add(&entities.text, Kind::Other);
        }
        candidates
    }
}

/// Kind of a candidate: determines which counter advances when it is used.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// A name and its index.
    Name(usize),
    Number,
    Quote,
    Other,
}

/// Returns whether the value has a type that the schema names or implies, and satisfies the schema.
fn fits(schema: &Value, value: &Value) -> bool {
    let types = types(schema);
    let type_matches = match value {
        Value::String(_) => types.contains(&"string"),
        Value::Number(_) => types.contains(&"number") || types.contains(&"integer"),
        Value::Bool(_) => types.contains(&"boolean"),
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    };
    type_matches && validate::is_valid(schema, value)
}

fn is_known_format(format: Option<&str>) -> bool {
    format.is_some_and(|format| ["email", "date", "uri", "url", "idn-email"].contains(&format))
}

/// Returns whether a member name contains one of the words.
fn name_contains(name: &str, words: &[&str]) -> bool {
    split_identifier(name).split(' ').any(|part| words.contains(&part))
}
