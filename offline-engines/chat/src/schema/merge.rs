//! Joins two schemas into one that asks for both.

use serde_json::{Map, Value, json};

/// Marks a keyword both sides use in ways that cannot be said as one; the writer refuses it.
pub(crate) const CONFLICT: &str = "\u{0}conflict";

/// What satisfies the result satisfies `left` and `right`.
pub(crate) fn both(left: &Value, right: &Value) -> Value {
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => Value::Object(objects(left, right)),
        (Value::Bool(true), other) | (other, Value::Bool(true)) => other.clone(),
        _ => Value::Bool(false),
    }
}

fn objects(left: &Map<String, Value>, right: &Map<String, Value>) -> Map<String, Value> {
    let mut joined = left.clone();
    for (keyword, theirs) in right {
        let Some(ours) = joined.get(keyword).cloned() else {
            joined.insert(keyword.clone(), theirs.clone());
            continue;
        };
        if ours == *theirs {
            continue;
        }
        let value = match keyword.as_str() {
            "properties" => properties(&ours, theirs),
            "required" => union(&ours, theirs),
            "type" => shared_types(&ours, theirs),
            "enum" => Value::Array(items(&ours).iter().filter(|item| items(theirs).contains(item)).cloned().collect()),
            "minimum" | "exclusiveMinimum" | "minLength" | "minItems" | "minProperties" => {
                extreme(&ours, theirs, f64::gt)
            }
            "maximum" | "exclusiveMaximum" | "maxLength" | "maxItems" | "maxProperties" => {
                extreme(&ours, theirs, f64::lt)
            }
            "items" | "additionalProperties" => both(&ours, theirs),
            "uniqueItems" => Value::Bool(true),
            "const" => {
                // Two different constants: nothing is both.
                joined.insert("enum".to_owned(), Value::Array(Vec::new()));
                ours
            }
            "description" | "title" | "default" | "examples" | "$comment" | "$schema" | "$id" | "$defs"
            | "definitions" => theirs.clone(),
            // Two references are followed one after the other.
            "$ref" => {
                let more = Value::Object(Map::from_iter([(keyword.clone(), theirs.clone())]));
                let mut parts = joined.get("allOf").map(|parts| items(parts).to_vec()).unwrap_or_default();
                parts.push(more);
                joined.insert("allOf".to_owned(), Value::Array(parts));
                continue;
            }
            "allOf" => Value::Array(items(&ours).iter().chain(items(theirs)).cloned().collect()),
            "anyOf" => Value::Array(pairs(&ours, theirs)),
            _ => {
                joined.insert(CONFLICT.to_owned(), keyword.as_str().into());
                continue;
            }
        };
        joined.insert(keyword.clone(), value);
    }
    for side in [left, right] {
        if side.get("additionalProperties") == Some(&Value::Bool(false)) {
            let known = |name: &str| side.get("properties").is_some_and(|properties| properties.get(name).is_some());
            if let Some(Value::Object(properties)) = joined.get_mut("properties") {
                properties.retain(|name, _| known(name));
            }
        }
    }
    joined
}

/// Every alternative of one side with every alternative of the other. Beyond a fair number only the first are tried.
fn pairs(left: &Value, right: &Value) -> Vec<Value> {
    let all = items(left).iter().flat_map(|left| items(right).iter().map(move |right| both(left, right)));
    all.take(64).collect()
}

fn items(list: &Value) -> &[Value] {
    list.as_array().map_or(&[], Vec::as_slice)
}

fn properties(left: &Value, right: &Value) -> Value {
    let mut joined = left.as_object().cloned().unwrap_or_default();
    for (name, theirs) in right.as_object().into_iter().flatten() {
        let schema = match joined.get(name) {
            Some(ours) if ours != theirs => json!({ "allOf": [ours, theirs] }),
            Some(_) | None => theirs.clone(),
        };
        joined.insert(name.clone(), schema);
    }
    Value::Object(joined)
}

fn union(left: &Value, right: &Value) -> Value {
    let mut joined = items(left).to_vec();
    joined.extend(items(right).iter().filter(|item| !items(left).contains(item)).cloned());
    Value::Array(joined)
}

/// `integer` is a kind of `number`; all other types are strangers to each other.
fn shared_types(left: &Value, right: &Value) -> Value {
    let names = |types: &Value| match types {
        Value::String(name) => vec![name.clone()],
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            items(types).iter().filter_map(Value::as_str).map(str::to_owned).collect()
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

fn extreme(left: &Value, right: &Value, wins: fn(&f64, &f64) -> bool) -> Value {
    match (left.as_f64(), right.as_f64()) {
        (Some(ours), Some(theirs)) if wins(&ours, &theirs) => left.clone(),
        _ => right.clone(),
    }
}
