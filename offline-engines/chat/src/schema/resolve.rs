//! Finds what a schema really says: follows references, joins `allOf`, and knows how deep the smallest document is,
//! which is what makes recursive definitions end.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{DEEPEST, Place, merge};
use crate::Error;

/// More definitions than this in one schema are refused.
const MOST_REFS: usize = 1_000;

/// Keywords whose meaning cannot be guaranteed by construction.
const UNSUPPORTED: &[&str] = &[
    "not",
    "if",
    "contains",
    "dependentRequired",
    "dependentSchemas",
    "dependencies",
    "propertyNames",
    "$dynamicRef",
    "$recursiveRef",
];

#[derive(Debug)]
pub(crate) struct Resolver<'a> {
    root: &'a Value,
    /// Per reference the levels of its smallest document; absent while no finite one is known.
    heights: BTreeMap<&'a str, u32>,
}

impl<'a> Resolver<'a> {
    pub(crate) fn new(root: &'a Value, field: &str) -> Result<Self, Error> {
        let mut refs = BTreeSet::new();
        collect(root, 0, &mut refs);
        if refs.len() > MOST_REFS {
            return Err(Error::new(field, format!("holds more than {MOST_REFS} different references")));
        }
        let mut targets = Vec::new();
        for reference in refs {
            let target = point(root, reference).ok_or_else(|| {
                Error::new(field, format!("`$ref` `{reference}` points at nothing; `#` and `#/$defs/NAME` can be used"))
            })?;
            targets.push((reference, target));
        }
        let mut resolver = Self { root, heights: BTreeMap::new() };
        // Each round settles one more level; what has not settled by then is deeper than may be written.
        for _ in 0..DEEPEST {
            let found: BTreeMap<_, _> =
                targets.iter().filter_map(|(reference, target)| Some((*reference, resolver.height(target)?))).collect();
            if found == resolver.heights {
                break;
            }
            resolver.heights = found;
        }
        if resolver.height(root).is_none() {
            return Err(Error::new(
                field,
                "describes no finite document: a required part contains itself or allows nothing",
            ));
        }
        Ok(resolver)
    }

    /// Levels of the smallest document, as far as structure tells; none when there is no finite one.
    pub(crate) fn height(&self, schema: &Value) -> Option<u32> {
        let Some(members) = schema.as_object() else { return (schema != &Value::Bool(false)).then_some(1) };
        let mut height = match members.get("$ref").and_then(Value::as_str) {
            Some(reference) => *self.heights.get(reference)? + 1,
            None => 1,
        };
        for part in list(schema, "allOf") {
            height = height.max(self.height(part)?);
        }
        for keyword in ["anyOf", "oneOf"] {
            if members.contains_key(keyword) {
                height = height.max(list(schema, keyword).iter().filter_map(|option| self.height(option)).min()? + 1);
            }
        }
        if members.contains_key("const") || members.contains_key("enum") {
            return Some(height);
        }
        let mut own: Option<u32> = None;
        for name in types(schema) {
            let of_type = match name {
                "object" => self.object_height(schema),
                "array" => self.array_height(schema),
                _ => Some(1),
            };
            own = [own, of_type].into_iter().flatten().min();
        }
        own.map(|own| height.max(own))
    }

    fn object_height(&self, schema: &Value) -> Option<u32> {
        let mut height = 1;
        for name in list(schema, "required").iter().filter_map(Value::as_str) {
            if let Some(member) = schema.get("properties").and_then(|properties| properties.get(name)) {
                height = height.max(self.height(member)? + 1);
            }
        }
        Some(height)
    }

    fn array_height(&self, schema: &Value) -> Option<u32> {
        let least = schema.get("minItems").and_then(Value::as_u64).unwrap_or(0);
        match schema.get("items") {
            Some(items) if least > list(schema, "prefixItems").len() as u64 => {
                self.height(items).map(|height| height + 1)
            }
            Some(_) | None => Some(1),
        }
    }

    /// Follows `$ref` and joins `allOf` until neither is left, noting the references passed.
    pub(crate) fn flatten<'s>(
        &self,
        schema: &'s Value,
        place: &Place,
        open: &mut Vec<String>,
    ) -> Result<Cow<'s, Value>, Error>
    where
        'a: 's,
    {
        let mut schema = schema;
        // A bare reference, by far the most frequent kind, is followed without copying what it points at.
        while let Some(reference) = bare_reference(schema).filter(|_| open.len() < 2 * DEEPEST) {
            schema = point(self.root, reference)
                .ok_or_else(|| place.refuse(format!("`$ref` `{reference}` points at nothing")))?;
            open.push(reference.to_owned());
        }
        let mut flat = Cow::Borrowed(schema);
        for _ in 0..DEEPEST {
            let Some(members) = flat.as_object() else { return Ok(flat) };
            let reference = members.get("$ref").and_then(Value::as_str).map(str::to_owned);
            if reference.is_none() && !members.contains_key("allOf") {
                return Ok(flat);
            }
            let mut rest = members.clone();
            let mut parts = match rest.shift_remove("allOf") {
                Some(Value::Array(parts)) => parts,
                Some(_) => return Err(place.refuse("`allOf` must be a list of schemas")),
                None => Vec::new(),
            };
            if let Some(reference) = reference {
                rest.shift_remove("$ref");
                let target = point(self.root, &reference)
                    .ok_or_else(|| place.refuse(format!("`$ref` `{reference}` points at nothing")))?;
                parts.insert(0, target.clone());
                open.push(reference);
            }
            // Definitions are looked up at the root, so copies need not carry them along.
            rest.shift_remove("$defs");
            rest.shift_remove("definitions");
            let joined = parts.iter().fold(Value::Object(rest), |rest, part| merge::both(&rest, part));
            flat = Cow::Owned(joined);
        }
        Err(place.refuse("refers to itself without end"))
    }
}

/// The types a schema allows, as written; guessed from its keywords where it does not say.
pub(crate) fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(name)) => return vec![name],
        Some(Value::Array(names)) => return names.iter().filter_map(Value::as_str).collect(),
        Some(_) | None => {}
    }
    let any = |keywords: &[&str]| keywords.iter().any(|keyword| schema.get(keyword).is_some());
    if any(&["properties", "required", "additionalProperties", "minProperties"]) {
        vec!["object"]
    } else if any(&["items", "prefixItems", "minItems"]) {
        vec!["array"]
    } else if any(&["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"]) {
        vec!["number"]
    } else {
        vec!["string"]
    }
}

fn bare_reference(schema: &Value) -> Option<&str> {
    let members = schema.as_object()?;
    let silent = |name: &str| ["$ref", "description", "title"].contains(&name);
    members.keys().all(|name| silent(name)).then(|| members.get("$ref")?.as_str()).flatten()
}

pub(crate) fn list<'s>(schema: &'s Value, keyword: &str) -> &'s [Value] {
    schema.get(keyword).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

pub(crate) fn refuse_unsupported(schema: &Value, place: &Place) -> Result<(), Error> {
    if let Some(keyword) = schema.get(merge::CONFLICT) {
        return Err(
            place.refuse(format!("combined schemas ask for different `{}`", keyword.as_str().unwrap_or_default()))
        );
    }
    match UNSUPPORTED.iter().find(|keyword| schema.get(keyword).is_some()) {
        Some(keyword) => Err(place.refuse(format!("the keyword `{keyword}` is not supported by the offline engine"))),
        None => Ok(()),
    }
}

fn point<'v>(root: &'v Value, reference: &str) -> Option<&'v Value> {
    root.pointer(reference.strip_prefix('#')?)
}

fn collect<'v>(value: &'v Value, depth: usize, refs: &mut BTreeSet<&'v str>) {
    if depth > 2 * DEEPEST {
        return;
    }
    match value {
        Value::Object(members) => {
            if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
                refs.insert(reference);
            }
            // A default or an enum may hold data that looks like a reference.
            let schemas =
                members.iter().filter(|(name, _)| !["const", "enum", "default", "examples"].contains(&name.as_str()));
            schemas.for_each(|(_, member)| collect(member, depth + 1, refs));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, depth + 1, refs)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
