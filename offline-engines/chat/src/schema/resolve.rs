//! Resolves `$ref` and `allOf`, and computes the depth of the smallest document for each definition, so that the writer
//! can terminate on recursive definitions.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::limits::MAX_DEPTH;
use super::merge;
use super::position::SchemaPosition;
use super::visit_budget::VisitBudget;
use crate::error::Error;

/// Maximum number of different references in one schema.
const MAX_REFS: usize = 1_000;

/// Keywords that the generator cannot satisfy by construction.
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

/// Resolves the references of one root schema.
#[derive(Debug)]
pub(crate) struct Resolver<'a> {
    root: &'a Value,
    /// For each reference, the nesting levels of its smallest document; absent if no finite document is known.
    min_depths: BTreeMap<&'a str, u32>,
}

impl<'a> Resolver<'a> {
    /// Resolves all references of a schema. `field` is its path in the request, for error messages.
    ///
    /// # Errors
    /// Too many references, one that does not resolve, or a schema that no finite document satisfies.
    pub(crate) fn new(root: &'a Value, field: &str, budget: &VisitBudget<'_>) -> Result<Self, Error> {
        let mut refs = BTreeSet::new();
        collect_refs(root, 0, &mut refs);
        if refs.len() > MAX_REFS {
            return Err(Error::new(field, format!("at most {MAX_REFS} different references are supported")));
        }
        let mut targets = Vec::new();
        for reference in refs {
            let target = resolve_pointer(root, reference).ok_or_else(|| {
                Error::new(field, format!("`$ref` `{reference}` does not resolve; use `#` or `#/$defs/NAME`"))
            })?;
            targets.push((reference, target));
        }
        let mut resolver = Self { root, min_depths: BTreeMap::new() };
        // Each iteration determines one more level. Definitions still missing after `MAX_DEPTH` iterations are deeper than
        // a document may be.
        for _ in 0..MAX_DEPTH {
            for (_, target) in &targets {
                budget.visit(target).map_err(|reason| Error::new(field, reason))?;
            }
            let found: BTreeMap<_, _> = targets
                .iter()
                .filter_map(|(reference, target)| Some((*reference, resolver.min_depth(target)?)))
                .collect();
            if found == resolver.min_depths {
                break;
            }
            resolver.min_depths = found;
        }
        if resolver.min_depth(root).is_none() {
            return Err(Error::new(
                field,
                "no finite document satisfies the schema: a required part contains itself or allows no value",
            ));
        }
        Ok(resolver)
    }

    /// Returns the nesting levels of the smallest document, or `None` if there is no finite one.
    pub(crate) fn min_depth(&self, schema: &Value) -> Option<u32> {
        let Some(members) = schema.as_object() else { return (schema != &Value::Bool(false)).then_some(1) };
        let mut depth = match members.get("$ref").and_then(Value::as_str) {
            Some(reference) => *self.min_depths.get(reference)? + 1,
            None => 1,
        };
        for part in list(schema, "allOf") {
            depth = depth.max(self.min_depth(part)?);
        }
        for keyword in ["anyOf", "oneOf"] {
            if members.contains_key(keyword) {
                depth = depth.max(list(schema, keyword).iter().filter_map(|option| self.min_depth(option)).min()? + 1);
            }
        }
        if members.contains_key("const") || members.contains_key("enum") {
            return Some(depth);
        }
        let mut by_type: Option<u32> = None;
        for name in types(schema) {
            let of_type = match name {
                "object" => self.object_depth(schema),
                "array" => self.array_depth(schema),
                _ => Some(1),
            };
            by_type = [by_type, of_type].into_iter().flatten().min();
        }
        by_type.map(|by_type| depth.max(by_type))
    }

    fn object_depth(&self, schema: &Value) -> Option<u32> {
        let mut depth = 1;
        for name in list(schema, "required").iter().filter_map(Value::as_str) {
            if let Some(member) = schema.get("properties").and_then(|properties| properties.get(name)) {
                depth = depth.max(self.min_depth(member)? + 1);
            }
        }
        Some(depth)
    }

    fn array_depth(&self, schema: &Value) -> Option<u32> {
        let min_items = schema.get("minItems").and_then(Value::as_u64).unwrap_or(0);
        match schema.get("items") {
            Some(items) if min_items > list(schema, "prefixItems").len() as u64 => {
                self.min_depth(items).map(|depth| depth + 1)
            }
            Some(_) | None => Some(1),
        }
    }

    /// Returns the schema without `$ref` and `allOf`: follows the references and merges the combined schemas. Appends the
    /// followed references to `open`.
    pub(crate) fn flatten<'s>(
        &self,
        schema: &'s Value,
        position: &SchemaPosition,
        open: &mut Vec<String>,
    ) -> Result<Cow<'s, Value>, Error>
    where
        'a: 's,
    {
        let mut schema = schema;
        // A schema with nothing but a reference, the most frequent case, is followed without copying its target. The bound
        // ends circles of references, which the second loop then reports.
        while let Some(reference) = bare_reference(schema).filter(|_| open.len() < 2 * MAX_DEPTH) {
            schema = resolve_pointer(self.root, reference)
                .ok_or_else(|| position.error(format!("`$ref` `{reference}` does not resolve")))?;
            open.push(reference.to_owned());
        }
        let mut flat = Cow::Borrowed(schema);
        for _ in 0..MAX_DEPTH {
            let Some(members) = flat.as_object() else { return Ok(flat) };
            let reference = members.get("$ref").and_then(Value::as_str).map(str::to_owned);
            if reference.is_none() && !members.contains_key("allOf") {
                return Ok(flat);
            }
            let mut rest = members.clone();
            let mut parts = match rest.shift_remove("allOf") {
                Some(Value::Array(parts)) => parts,
                Some(_) => return Err(position.error("`allOf` must be a list of schemas")),
                None => Vec::new(),
            };
            if let Some(reference) = reference {
                rest.shift_remove("$ref");
                let target = resolve_pointer(self.root, &reference)
                    .ok_or_else(|| position.error(format!("`$ref` `{reference}` does not resolve")))?;
                parts.insert(0, target.clone());
                open.push(reference);
            }
            // Definitions are resolved at the root, so copies do not need them.
            rest.shift_remove("$defs");
            rest.shift_remove("definitions");
            let merged = parts.iter().fold(Value::Object(rest), |rest, part| merge::intersect(&rest, part));
            flat = Cow::Owned(merged);
        }
        Err(position.error("`$ref` forms an infinite loop"))
    }
}

/// Returns the types that a schema allows; without `type`, infers one from the other keywords.
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

/// Returns the target if the schema consists of a `$ref` and annotations only.
fn bare_reference(schema: &Value) -> Option<&str> {
    let members = schema.as_object()?;
    let is_annotation = |name: &str| ["$ref", "description", "title"].contains(&name);
    members.keys().all(|name| is_annotation(name)).then(|| members.get("$ref")?.as_str()).flatten()
}

/// Returns the array under a keyword, or an empty slice.
pub(crate) fn list<'s>(schema: &'s Value, keyword: &str) -> &'s [Value] {
    schema.get(keyword).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Checks that the schema has no unsupported keyword, and that merging `allOf` left no conflict.
pub(crate) fn check_supported(schema: &Value, position: &SchemaPosition) -> Result<(), Error> {
    if let Some(keyword) = schema.get(merge::CONFLICT) {
        return Err(position.error(format!(
            "the combined schemas have different `{}`, which is not supported",
            keyword.as_str().unwrap_or_default()
        )));
    }
    match UNSUPPORTED.iter().find(|keyword| schema.get(keyword).is_some()) {
        Some(keyword) => {
            Err(position.error(format!("the keyword `{keyword}` is not supported by the built-in engine")))
        }
        None => Ok(()),
    }
}

fn resolve_pointer<'v>(root: &'v Value, reference: &str) -> Option<&'v Value> {
    root.pointer(reference.strip_prefix('#')?)
}

/// Collects the references of a schema and its subschemas. One level of a document takes two of its schema: `properties`
/// and the member.
fn collect_refs<'v>(value: &'v Value, depth: usize, refs: &mut BTreeSet<&'v str>) {
    if depth > 2 * MAX_DEPTH {
        return;
    }
    match value {
        Value::Object(members) => {
            if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
                refs.insert(reference);
            }
            // These keywords hold data, which may look like a reference.
            let schemas =
                members.iter().filter(|(name, _)| !["const", "enum", "default", "examples"].contains(&name.as_str()));
            schemas.for_each(|(_, member)| collect_refs(member, depth + 1, refs));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_refs(item, depth + 1, refs)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
