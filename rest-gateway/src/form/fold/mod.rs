//! Multipart fields folded into objects and lists by the brackets in their names.
//!
//! `a[b]` is a member, `a[]` and `a[0]` are elements, and both nest: `a[0][b][]`. OpenAI's SDKs spell objects and lists
//! like this. A repeated name is a list as well.
//!
//! The objects of a list `a[]` come in two orders. JavaScript sends rows: one object after the other. Python sends
//! columns: all values of the first member, then all of the second. If only some objects have a member, its column does not tell
//! which.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
};

use serde_json::value::RawValue;

use super::{
    fields::Field,
    value::{Value, to_json},
};
use crate::error::GatewayError;

/// Names with more pairs of brackets are not folded, which bounds the depth of recursion.
const MAX_DEPTH: usize = 16;

/// One pair of brackets in a name.
#[derive(Debug, PartialEq, Eq)]
enum Segment<'a> {
    /// `[b]`.
    Member(&'a str),
    /// `[0]`.
    Index(u64),
    /// `[]`.
    Append,
}

/// The values of the fields at or below one name.
#[derive(Debug, Default)]
struct Node {
    /// Values at exactly this name.
    values: Vec<Value<'static>>,
    /// Elements without an index.
    appended: Vec<Self>,
    /// The order of the values of `appended`.
    columns: Columns,
    /// Elements with an index. Gaps are closed.
    indexed: BTreeMap<u64, Self>,
    members: Vec<(String, Self)>,
    /// The positions in `members`, by name.
    member_index: HashMap<String, usize>,
}

/// Folds fields into one per name, in the order of their first appearance. Empty texts are absent fields.
///
/// # Errors
/// 400 if a name is used in contradictory ways, or if a file is in an object.
pub(super) fn fold(parts: Vec<(String, Value<'static>)>) -> Result<Vec<Field<'static>>, GatewayError> {
    let mut root = Node::default();
    for (name, value) in parts {
        if matches!(&value, Value::Text(text) if text.is_empty()) {
            continue;
        }
        let (name, path) = split(&name);
        root.member(name).insert(&path, value);
    }
    root.members.into_iter().map(|(name, node)| node.into_field(name)).collect()
}

/// Splits a name into the part before its brackets and their content. A name that is not of this form is left whole.
fn split(name: &str) -> (&str, Vec<Segment<'_>>) {
    let whole = (name, Vec::new());
    let Some((root, mut rest)) = name.find('[').map(|start| name.split_at(start)).filter(|(root, _)| !root.is_empty())
    else {
        return whole;
    };
    let mut path = Vec::new();
    while !rest.is_empty() {
        let Some((inner, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) else { return whole };
        if inner.contains('[') || path.len() == MAX_DEPTH {
            return whole;
        }
        let is_number = inner.bytes().all(|byte| byte.is_ascii_digit());
        path.push(match inner.parse() {
            _ if inner.is_empty() => Segment::Append,
            Ok(index) if is_number => Segment::Index(index),
            Ok(_) | Err(_) => Segment::Member(inner),
        });
        rest = after;
    }
    (root, path)
}

/// How the values of elements without an index are ordered: by rows or by columns.
#[derive(Debug, Default)]
struct Columns {
    /// Whether the values of one member come after those of another, so that the n-th value belongs to the n-th element.
    by_column: bool,
    /// The number of values for each path within an element.
    lengths: HashMap<String, usize>,
    /// Whether an element has a list in it (`a[][b][]`), whose values cannot be told from those of further elements.
    has_list: bool,
}

impl Columns {
    /// Counts a value, and returns how many came before it for its path.
    fn count(&mut self, path: &[Segment<'_>]) -> usize {
        self.has_list |= path.contains(&Segment::Append);
        let length = self.lengths.entry(format!("{path:?}")).or_default();
        *length += 1;
        *length - 1
    }

    /// Returns whether it is unknown to which element a value belongs.
    fn is_ambiguous(&self, elements: usize) -> bool {
        self.by_column && (self.has_list || self.lengths.values().any(|length| *length != elements))
    }
}

impl Node {
    fn member(&mut self, name: &str) -> &mut Self {
        let next = self.members.len();
        let place = *self.member_index.entry(name.to_owned()).or_insert(next);
        if place == next {
            self.members.push((name.to_owned(), Self::default()));
        }
        &mut self.members[place].1
    }

    fn insert(&mut self, path: &[Segment<'_>], value: Value<'static>) {
        let Some((first, rest)) = path.split_first() else { return self.values.push(value) };
        let child = match *first {
            Segment::Member(name) => self.member(name),
            Segment::Index(index) => self.indexed.entry(index).or_default(),
            Segment::Append => {
                let place = self.place_of_appended(rest);
                if place >= self.appended.len() {
                    self.appended.push(Self::default());
                }
                let place = place.min(self.appended.len() - 1);
                &mut self.appended[place]
            }
        };
        child.insert(rest, value);
    }

    /// Returns the place of the element that the next value with this path belongs to. `a[][b]` continues the last element
    /// until a member is repeated. If it is repeated at once, the order is by columns.
    fn place_of_appended(&mut self, path: &[Segment<'_>]) -> usize {
        if path.is_empty() {
            return self.appended.len();
        }
        let earlier = self.columns.count(path);
        if self.columns.by_column {
            return earlier;
        }
        let Some(last) = self.appended.last() else { return 0 };
        if !last.has(path) {
            return self.appended.len() - 1;
        }
        self.columns.by_column = self.appended.len() == 1 && self.columns.lengths.len() == 1;
        self.appended.len()
    }

    fn has(&self, path: &[Segment<'_>]) -> bool {
        let Some((first, rest)) = path.split_first() else { return !self.values.is_empty() };
        match *first {
            Segment::Member(name) => self.member_index.get(name).is_some_and(|&place| self.members[place].1.has(rest)),
            Segment::Index(index) => self.indexed.get(&index).is_some_and(|element| element.has(rest)),
            Segment::Append => false,
        }
    }

    fn is_list(&self) -> bool {
        !self.appended.is_empty() || !self.indexed.is_empty()
    }

    /// Returns the elements of a list. Repeated names without brackets come first. `name` is that of the field.
    ///
    /// # Errors
    /// 400 if it is unknown to which element a value belongs.
    fn into_elements(self, name: &str) -> Result<impl Iterator<Item = Self>, GatewayError> {
        if self.columns.is_ambiguous(self.appended.len()) {
            let message = format!(
                "{name}: the elements have different members, and `[]` does not tell which has which; number the elements, \
                 `{name}[0]`, or send the list as JSON text in one field `{name}`"
            );
            return Err(GatewayError::invalid(name, message));
        }
        let values = self.values.into_iter().map(|value| Self { values: vec![value], ..Self::default() });
        Ok(values.chain(self.appended).chain(self.indexed.into_values()))
    }

    fn into_field(self, name: String) -> Result<Field<'static>, GatewayError> {
        if self.members.is_empty() && !self.is_list() {
            return Ok(Field { name, values: self.values, is_list: false });
        }
        if !self.members.is_empty() {
            let value = self.into_json_value(&name)?;
            return Ok(Field { name, values: vec![value], is_list: false });
        }
        let mut values = Vec::new();
        for mut element in self.into_elements(&name)? {
            // An element that is a single value is not written as JSON, so that it can be a file.
            let is_plain = element.members.is_empty() && !element.is_list();
            match element.values.pop() {
                Some(value) if is_plain && element.values.is_empty() => values.push(value),
                Some(value) => {
                    element.values.push(value);
                    values.push(element.into_json_value(&name)?);
                }
                None => values.push(element.into_json_value(&name)?),
            }
        }
        Ok(Field { name, values, is_list: true })
    }

    fn into_json_value(self, name: &str) -> Result<Value<'static>, GatewayError> {
        let mut json = String::new();
        self.write(name, &mut json)?;
        let raw = RawValue::from_string(json).map_err(|_| GatewayError::internal())?;
        Ok(Value::Json(Cow::Owned(raw)))
    }

    /// Appends the node as JSON. The depth of the recursion is bounded by [`MAX_DEPTH`].
    fn write(self, name: &str, out: &mut String) -> Result<(), GatewayError> {
        if !self.members.is_empty() {
            if self.is_list() || !self.values.is_empty() {
                let message = format!("{name}: expected either an object or other values, not both");
                return Err(GatewayError::invalid(name, message));
            }
            for (index, (member, node)) in self.members.into_iter().enumerate() {
                out.push(if index == 0 { '{' } else { ',' });
                out.push_str(&to_json(&member));
                out.push(':');
                node.write(name, out)?;
            }
            out.push('}');
            return Ok(());
        }
        if !self.is_list() && self.values.len() == 1 {
            return self.values.iter().try_for_each(|value| value.write_json(name, out));
        }
        out.push('[');
        for (index, element) in self.into_elements(name)?.enumerate() {
            if index > 0 {
                out.push(',');
            }
            element.write(name, out)?;
        }
        out.push(']');
        Ok(())
    }
}

#[cfg(test)]
mod tests;
