//! Multipart fields folded into objects and lists by the brackets in their names.
//!
//! `a[b]` is a member, `a[]` and `a[0]` are elements, and both nest: `a[0][b][]`. OpenAI's SDKs spell objects and lists
//! like this. A repeated name is a list as well.

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

/// Names with more brackets are not folded.
const MAX_DEPTH: usize = 16;

/// One pair of brackets in a name.
#[derive(Debug, PartialEq, Eq)]
enum Segment<'a> {
    Member(&'a str),
    Index(u64),
    Append,
}

/// The values of the fields at or below one name.
#[derive(Debug, Default)]
struct Node {
    /// Values at exactly this name.
    values: Vec<Value<'static>>,
    /// Elements without an index.
    appended: Vec<Self>,
    /// Elements with an index. Gaps are closed.
    indexed: BTreeMap<u64, Self>,
    members: Vec<(String, Self)>,
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
                // `a[][b]` continues the last element until a member is repeated.
                let continues = self.appended.last().is_some_and(|last| !rest.is_empty() && !last.has(rest));
                if !continues {
                    self.appended.push(Self::default());
                }
                let last = self.appended.len() - 1;
                &mut self.appended[last]
            }
        };
        child.insert(rest, value);
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

    /// Returns the elements of a list. Repeated names without brackets come first.
    fn into_elements(self) -> impl Iterator<Item = Self> {
        let values = self.values.into_iter().map(|value| Self { values: vec![value], ..Self::default() });
        values.chain(self.appended).chain(self.indexed.into_values())
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
        for mut element in self.into_elements() {
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
        for (index, element) in self.into_elements().enumerate() {
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
mod tests {
    use bytes::Bytes;
    use serde_json::json;

    use super::{super::fields::Fields, *};

    fn extra(fields: &[(&str, &str)]) -> Result<serde_json::Value, GatewayError> {
        let parts = fields.iter().map(|(name, text)| ((*name).to_owned(), Value::Text((*text).to_owned())));
        let extra = Fields::new(fold(parts.collect())?).into_extra_json()?;
        Ok(serde_json::from_str(&extra).unwrap())
    }

    #[test]
    fn brackets_fold_into_objects_and_lists() {
        for (fields, expected) in [
            (&[("a[b]", "1"), ("a[c][d]", "x")][..], json!({"a": {"b": 1, "c": {"d": "x"}}})),
            (&[("a[]", "1"), ("a[]", "x")], json!({"a": [1, "x"]})),
            (&[("a[]", "1")], json!({"a": [1]})),
            (&[("a", "1"), ("a", "2")], json!({"a": [1, 2]})),
            (&[("a[10]", "c"), ("a[2]", "b"), ("a[0]", "a")], json!({"a": ["a", "b", "c"]})),
            (&[("a[0][b]", "1"), ("a[0][c]", "2"), ("a[1][b]", "3")], json!({"a": [{"b": 1, "c": 2}, {"b": 3}]})),
            (&[("a[][b]", "1"), ("a[][c]", "2"), ("a[][b]", "3")], json!({"a": [{"b": 1, "c": 2}, {"b": 3}]})),
            (&[("a[][b][]", "1"), ("a[][b][]", "2")], json!({"a": [{"b": [1, 2]}]})),
            (&[("a[][]", "1")], json!({"a": [[1]]})),
            (&[("a[b]", "{\"c\": [1]}")], json!({"a": {"b": {"c": [1]}}})),
            (
                &[("a[007]", "x"), ("b[-1]", "y"), ("c[+1]", "z")],
                json!({"a": ["x"], "b": {"-1": "y"}, "c": {"+1": "z"}}),
            ),
            (
                &[("a[b", "1"), ("[b]", "2"), ("a]", "3"), ("a[b]c", "4")],
                json!({"a[b": 1, "[b]": 2, "a]": 3, "a[b]c": 4}),
            ),
        ] {
            assert_eq!(extra(fields).unwrap(), expected, "{fields:?}");
        }
        let deep = format!("a{}", "[b]".repeat(MAX_DEPTH + 1));
        assert_eq!(extra(&[(&deep, "1")]).unwrap(), json!({deep: 1}));
    }

    #[test]
    fn text_is_the_json_value_that_it_spells() {
        for (text, expected) in [
            ("5.5", json!(5.5)),
            ("-3", json!(-3)),
            ("1e3", json!(1e3)),
            ("True", json!(true)),
            ("FALSE", json!(false)),
            ("null", json!(null)),
            (r#"[{"type":"web_search"}]"#, json!([{"type": "web_search"}])),
            (r#" {"a": 1} "#, json!({"a": 1})),
            ("007", json!("007")),
            ("+5", json!("+5")),
            (".5", json!(".5")),
            ("5.", json!("5.")),
            ("NaN", json!("NaN")),
            ("Infinity", json!("Infinity")),
            ("0x10", json!("0x10")),
            ("1 2", json!("1 2")),
            ("{a", json!("{a")),
            ("[sic] a text", json!("[sic] a text")),
            ("\"quoted\"", json!("\"quoted\"")),
            ("text", json!("text")),
        ] {
            assert_eq!(extra(&[("a", text)]).unwrap(), json!({"a": expected}), "{text}");
        }
    }

    #[test]
    fn numbers_keep_their_spelling() {
        let parts = vec![("a".to_owned(), Value::Text("12345678901234567890123.10".to_owned()))];
        let extra = Fields::new(fold(parts).unwrap()).into_extra_json().unwrap();
        assert_eq!(extra, r#"{"a":12345678901234567890123.10}"#);
    }

    #[test]
    fn contradictory_names_and_files_in_objects_are_refused() {
        for fields in [[("a", "1"), ("a[b]", "2")], [("a[]", "1"), ("a[b]", "2")], [("a[c]", "1"), ("a[c][b]", "2")]] {
            assert_eq!(extra(&fields).unwrap_err().param(), Some("a"), "{fields:?}");
        }
        let file = Value::File(Bytes::from_static(b"\xff"));
        assert_eq!(fold(vec![("a[b]".to_owned(), file)]).unwrap_err().param(), Some("a"));
    }

    #[test]
    fn list_of_many_members_is_folded_in_linear_time() {
        let parts = (0..200_000).map(|index| (format!("a[m{index}]"), Value::Text("1".to_owned())));
        assert_eq!(fold(parts.collect()).unwrap().len(), 1);
    }
}
