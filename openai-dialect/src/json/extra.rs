//! `extra_json`: the text of one JSON object with the members that have no field. The empty string means no members.

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::write::write_scalar;

/// Appends a member to an `extra_json`. `json` is the text of its value.
pub(crate) fn append_member(extra: &mut String, name: &str, json: &str) {
    // A comma replaces the closing brace.
    if extra.pop().is_some() {
        extra.push(',');
    } else {
        extra.push('{');
    }
    // Fast path: most names need no escapes.
    if name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\') {
        extra.push('"');
        extra.push_str(name);
        extra.push('"');
    } else {
        let mut escaped = Vec::with_capacity(name.len() + 8);
        write_scalar(&mut escaped, name);
        extra.push_str(&String::from_utf8_lossy(&escaped));
    }
    extra.push(':');
    extra.push_str(json);
    extra.push('}');
}

/// Appends the elements of a JSON array, separated by commas and without brackets, to others.
pub(crate) fn append_elements(elements: &mut String, more: &str) {
    if !elements.is_empty() && !more.is_empty() {
        elements.push(',');
    }
    elements.push_str(more);
}

/// Removes all members called `name` from an `extra_json` and returns the text of the last one's value.
pub fn remove_member(extra: &mut String, name: &str) -> Option<String> {
    let (mut remaining, mut removed) = (String::new(), None);
    for (other, value) in extra_members(extra)? {
        if other == name {
            removed = Some(value.to_owned());
        } else {
            append_member(&mut remaining, &other, value);
        }
    }
    *extra = remaining;
    removed
}

/// Returns whether an `extra_json` has a member called `name`.
pub(crate) fn has_member(extra: &str, name: &str) -> bool {
    // Fast path: most objects have no extra members, and none of the names contains escapes.
    !extra.is_empty()
        && extra.contains(name)
        && extra_members(extra).is_some_and(|members| members.iter().any(|(other, _)| other == name))
}

/// Returns the members of an `extra_json`, each as its name and the text of its value, in order and with duplicates.
///
/// Returns `None` if `text` is not a JSON object.
pub fn extra_members(text: &str) -> Option<Vec<(String, &str)>> {
    struct Members<'a>(Vec<(String, &'a str)>);

    impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct MembersVisitor;

            impl<'de> Visitor<'de> for MembersVisitor {
                type Value = Members<'de>;

                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("an object")
                }

                fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                    let mut members = Vec::new();
                    while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
                        members.push((name, value.get()));
                    }
                    Ok(Members(members))
                }
            }

            deserializer.deserialize_map(MembersVisitor)
        }
    }

    serde_json::from_str::<Members<'_>>(text).ok().map(|Members(members)| members)
}
