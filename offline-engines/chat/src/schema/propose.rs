//! Values from the user's words, offered to the members they seem meant for.

use serde_json::Value;

use super::resolve::{list, types};
use super::{Fill, accept};
use crate::facts::Facts;

/// Hands out the facts of a text, each once as far as they reach.
#[derive(Debug)]
pub(crate) struct Proposals<'a> {
    facts: &'a Facts,
    fill: Fill,
    names: usize,
    numbers: usize,
    quotes: usize,
}

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
const SUMS: &[&str] = &["expression", "expr", "formula", "calculation", "equation"];
const DAYS: &[&str] = &["date", "day", "when", "time"];
const DAY_WORDS: &[&str] = &[
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

impl<'a> Proposals<'a> {
    pub(crate) const fn new(facts: &'a Facts, fill: Fill) -> Self {
        let names = match fill {
            Fill::Everything => 0,
            Fill::Evident { skip } => skip,
        };
        Self { facts, fill, names, numbers: 0, quotes: 0 }
    }

    /// The first value from the text, or else the schema's own default, that satisfies the schema. Takes it.
    pub(crate) fn best(&mut self, schema: &Value, name: &str) -> Option<Value> {
        let found = self.find(schema, name);
        if let Some((value, kind)) = found {
            match kind {
                Kind::Name(at) => self.names = at + 1,
                Kind::Number => self.numbers += 1,
                Kind::Quote => self.quotes += 1,
                Kind::Other => {}
            }
            return Some(value);
        }
        let scalar = |value: &&Value| !value.is_object() && !value.is_array() && !value.is_null();
        let own = schema.get("default").into_iter().chain(list(schema, "examples"));
        own.filter(scalar).find(|value| fits(schema, value)).cloned()
    }

    /// Whether the text itself has a value for this member. Takes nothing.
    pub(crate) fn evident(&self, schema: &Value, name: &str) -> bool {
        let members: Vec<&Value> = list(schema, "enum").iter().collect();
        if !members.is_empty() {
            return self.mentioned(&members).is_some();
        }
        let types = types(schema);
        if types.contains(&"boolean") {
            return self.facts.mentions(&spaced(name));
        }
        if types.contains(&"array") {
            return schema.get("items").is_some_and(|items| self.items(items, name) > 0);
        }
        self.find(schema, name).is_some()
    }

    /// How many items of such a kind the text lists.
    pub(crate) fn items(&self, item: &Value, name: &str) -> u64 {
        let named = item.get("enum").is_none()
            && types(item).contains(&"string")
            && (speaks_of(name, PLACES) || speaks_of(name, PEOPLE));
        if named {
            return self.facts.names.len().saturating_sub(self.names) as u64;
        }
        if types(item).iter().any(|name| ["number", "integer"].contains(name)) {
            return self.facts.numbers.len().saturating_sub(self.numbers) as u64;
        }
        list(item, "enum").iter().filter(|member| member.as_str().is_some_and(|word| self.facts.mentions(word))).count()
            as u64
    }

    /// The first of the given values the text names.
    pub(crate) fn mentioned(&self, members: &[&Value]) -> Option<Value> {
        let named = |member: &&&Value| match member {
            Value::String(word) => {
                self.facts.mentions(word) || (!word.is_ascii() && self.facts.text.contains(word.as_str()))
            }
            Value::Number(number) => self.facts.numbers.iter().any(|(found, _)| found == number),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => false,
        };
        members.iter().find(named).map(|member| (*member).clone())
    }

    /// Yes when the text speaks of it without a word of denial; documents say yes to everything.
    pub(crate) fn affirms(&self, name: &str) -> bool {
        let denied = ["no", "not", "without", "don't", "never"].iter().any(|word| self.facts.mentions(word));
        match self.fill {
            Fill::Everything => true,
            Fill::Evident { .. } => self.facts.mentions(&spaced(name)) && !denied,
        }
    }

    fn find(&self, schema: &Value, name: &str) -> Option<(Value, Kind)> {
        let types = types(schema);
        let offers = if types.contains(&"string") {
            self.texts(schema, name)
        } else if types.contains(&"integer") || types.contains(&"number") {
            let counted =
                spaced(name).split(' ').find_map(|unit| self.facts.counted(unit)).map(|value| (value, Kind::Other));
            let next =
                self.facts.numbers.get(self.numbers).map(|(number, _)| (Value::Number(number.clone()), Kind::Number));
            counted.into_iter().chain(next).collect()
        } else {
            Vec::new()
        };
        offers.into_iter().find(|(value, _)| fits(schema, value))
    }

    fn texts(&self, schema: &Value, name: &str) -> Vec<(Value, Kind)> {
        let facts = self.facts;
        let mut offers: Vec<(Value, Kind)> = Vec::new();
        let mut offer = |text: &str, kind: Kind| offers.push((text.into(), kind));
        let format = schema.get("format").and_then(Value::as_str);
        if format.is_some() {
            facts.emails.iter().chain(&facts.dates).chain(&facts.urls).for_each(|text| offer(text, Kind::Other));
            // What satisfies the format satisfies it by its looks, so the wrong kind is weeded out by the check.
            return if known_format(format) { offers } else { Vec::new() };
        }
        if speaks_of(name, SUMS) {
            facts.sum.iter().for_each(|sum| offer(sum, Kind::Other));
        }
        if speaks_of(name, &["email", "recipient", "to", "contact"]) {
            facts.emails.iter().for_each(|text| offer(text, Kind::Other));
        }
        if speaks_of(name, &["url", "uri", "link", "website"]) {
            facts.urls.iter().for_each(|text| offer(text, Kind::Other));
        }
        if speaks_of(name, DAYS) {
            facts.dates.iter().for_each(|text| offer(text, Kind::Other));
            DAY_WORDS.iter().filter(|word| facts.mentions(word)).for_each(|word| offer(word, Kind::Other));
        }
        if speaks_of(name, PLACES) || speaks_of(name, PEOPLE) {
            // "from Paris to London": the little word before a name tells whose it is.
            let marker = if speaks_of(name, &["origin", "from", "departure", "source"]) {
                Some("from")
            } else if speaks_of(name, &["destination", "to", "arrival", "target", "language"]) {
                Some("to")
            } else {
                None
            };
            let introduced =
                |found: &&String| marker.is_some_and(|word| facts.text.contains(&format!("{word} {found}")));
            facts.names.iter().find(introduced).into_iter().for_each(|found| offer(found, Kind::Other));
            if let Some(found) = facts.names.get(self.names) {
                offer(found, Kind::Name(self.names));
            }
        }
        if (self.fill != Fill::Everything || speaks_of(name, PEOPLE) || speaks_of(name, TEXTS))
            && let Some(text) = facts.quoted.get(self.quotes)
        {
            offer(text, Kind::Quote);
        }
        if matches!(self.fill, Fill::Evident { .. })
            && (speaks_of(name, TEXTS) || speaks_of(name, SUMS))
            && !facts.text.is_empty()
        {
            offer(&facts.text, Kind::Other);
        }
        offers
    }
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Name(usize),
    Number,
    Quote,
    Other,
}

fn fits(schema: &Value, value: &Value) -> bool {
    let named = types(schema);
    let right_kind = match value {
        Value::String(_) => named.contains(&"string"),
        Value::Number(_) => named.contains(&"number") || named.contains(&"integer"),
        Value::Bool(_) => named.contains(&"boolean"),
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    };
    right_kind && accept::accepts(schema, value)
}

fn known_format(format: Option<&str>) -> bool {
    format.is_some_and(|format| ["email", "date", "uri", "url", "idn-email"].contains(&format))
}

fn speaks_of(name: &str, words: &[&str]) -> bool {
    spaced(name).split(' ').any(|part| words.contains(&part))
}

/// `cityName`, `city_name` and `city-name` as "city name".
pub(crate) fn spaced(name: &str) -> String {
    let mut spaced = String::with_capacity(name.len() + 4);
    let mut was_lower = false;
    for c in name.chars() {
        if c.is_uppercase() && was_lower {
            spaced.push(' ');
        }
        was_lower = c.is_lowercase() || c.is_ascii_digit();
        if c.is_alphanumeric() { spaced.extend(c.to_lowercase()) } else { spaced.push(' ') }
    }
    spaced.trim().to_owned()
}
