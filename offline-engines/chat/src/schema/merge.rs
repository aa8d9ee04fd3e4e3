//! Intersects two schemas: for `allOf`, and for a `$ref` or an alternative with further keywords beside it.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

/// The names of JSON types.
const TYPES: [&str; 7] = ["null", "boolean", "integer", "number", "string", "array", "object"];

/// Keyword of the result whose value names a keyword that could not be merged. `check_supported` reports it as an error.
/// Begins with NUL so that it differs from all real keywords.
pub(crate) const CONFLICT: &str = "\u{0}conflict";

/// Returns a schema that only values which satisfy both `left` and `right` satisfy.
pub(crate) fn intersect(left: &Value, right: &Value) -> Value {
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => Value::Object(objects(left, right)),
        (Value::Bool(true), other) | (other, Value::Bool(true)) => other.clone(),
        _ => Value::Bool(false),
    }
}

fn objects(left: &Map<String, Value>, right: &Map<String, Value>) -> Map<String, Value> {
    let mut merged = left.clone();
    for (keyword, theirs) in right {
        let Some(ours) = merged.get(keyword).cloned() else {
            merged.insert(keyword.clone(), theirs.clone());
            continue;
        };
        if ours == *theirs {
            continue;
        }
        let value = match keyword.as_str() {
            "properties" => properties(&ours, theirs),
            "required" => union(&ours, theirs),
            "type" => shared_types(&ours, theirs),
            "enum" => {
                let theirs: HashSet<_> = items(theirs).iter().collect();
                Value::Array(items(&ours).iter().filter(|item| theirs.contains(item)).cloned().collect())
            }
            "minimum" | "exclusiveMinimum" | "minLength" | "minItems" | "minProperties" => {
                stricter(&ours, theirs, f64::gt)
            }
            "maximum" | "exclusiveMaximum" | "maxLength" | "maxItems" | "maxProperties" => {
                stricter(&ours, theirs, f64::lt)
            }
            "items" | "additionalProperties" => intersect(&ours, theirs),
            "uniqueItems" => Value::Bool(true),
            "const" => {
                // Two different constants: no value equals both.
                merged.insert("enum".to_owned(), Value::Array(Vec::new()));
                ours
            }
            // Annotations; definitions are resolved at the root.
            "description" | "title" | "default" | "examples" | "$comment" | "$schema" | "$id" | "$defs"
            | "definitions" => theirs.clone(),
            // Keep both references; the resolver follows `allOf` after `$ref`.
            "$ref" => {
                let more = Value::Object(Map::from_iter([(keyword.clone(), theirs.clone())]));
                let mut parts = merged.get("allOf").map(|parts| items(parts).to_vec()).unwrap_or_default();
                parts.push(more);
                merged.insert("allOf".to_owned(), Value::Array(parts));
                continue;
            }
            "allOf" => Value::Array(items(&ours).iter().chain(items(theirs)).cloned().collect()),
            "anyOf" => Value::Array(pairs(&ours, theirs)),
            _ => {
                merged.insert(CONFLICT.to_owned(), keyword.as_str().into());
                continue;
            }
        };
        merged.insert(keyword.clone(), value);
    }
    // A side that allows no additional members also excludes members that only the other side declares.
    for side in [left, right] {
        if side.get("additionalProperties") == Some(&Value::Bool(false)) {
            let known = |name: &str| side.get("properties").is_some_and(|properties| properties.get(name).is_some());
            if let Some(Value::Object(properties)) = merged.get_mut("properties") {
                properties.retain(|name, _| known(name));
            }
        }
    }
    merged
}

/// Combines every alternative of one side with every alternative of the other. Up to 64 combinations: one that can be
/// satisfied is enough.
fn pairs(left: &Value, right: &Value) -> Vec<Value> {
    let all = items(left).iter().flat_map(|left| items(right).iter().map(move |right| intersect(left, right)));
    all.take(64).collect()
}

fn items(list: &Value) -> &[Value] {
    list.as_array().map_or(&[], Vec::as_slice)
}

fn properties(left: &Value, right: &Value) -> Value {
    let mut merged = left.as_object().cloned().unwrap_or_default();
    for (name, theirs) in right.as_object().into_iter().flatten() {
        let schema = match merged.get(name) {
            Some(ours) if ours != theirs => json!({ "allOf": [ours, theirs] }),
            Some(_) | None => theirs.clone(),
        };
        merged.insert(name.clone(), schema);
    }
    Value::Object(merged)
}

fn union(left: &Value, right: &Value) -> Value {
    let known: HashSet<_> = items(left).iter().collect();
    let added = items(right).iter().filter(|item| !known.contains(item));
    Value::Array(items(left).iter().chain(added).cloned().collect())
}

/// Returns the types allowed by both sides. `integer` is a subset of `number`; all other types are disjoint.
fn shared_types(left: &Value, right: &Value) -> Value {
    let names = |types: &Value| match types {
        Value::String(name) => vec![name.clone()],
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            let mut names = Vec::new();
            for name in items(types).iter().filter_map(Value::as_str).filter(|name| TYPES.contains(name)) {
                // At most seven different names, so that long lists take linear time.
                if !names.iter().any(|known| known == name) {
                    names.push(name.to_owned());
                }
            }
            names
        }
    };
    let (left, right) = (names(left), names(right));
    let allows = |types: &[String], name: &str| {
        types.iter().any(|other| other == name || (other == "number" && name == "integer"))
    };
    let mut shared: Vec<Value> = Vec::new();
    for name in left.iter().chain(&right) {
        let value = Value::from(name.as_str());
        if allows(&left, name) && allows(&right, name) && !shared.contains(&value) {
            shared.push(value);
        }
    }
    Value::Array(shared)
}

/// Returns the stricter of two bounds. `wins(left, right)` returns whether `left` is the stricter one.
fn stricter(left: &Value, right: &Value, wins: fn(&f64, &f64) -> bool) -> Value {
    match (left.as_f64(), right.as_f64()) {
        (Some(ours), Some(theirs)) if wins(&ours, &theirs) => left.clone(),
        _ => right.clone(),
    }
}
