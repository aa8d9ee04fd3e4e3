//! Writes objects and arrays: the methods of [`Writer`] for containers.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::optional_members::OptionalMembers;
use super::position::SchemaPosition;
use super::resolve::list;
use super::writer::Writer;
use crate::error::Error;

/// Number of items of an array without bounds.
const DEFAULT_ITEMS: u64 = 2;
/// Largest accepted `minItems`.
const MAX_ITEMS: u64 = 2_000;

impl Writer<'_> {
    /// Writes an object: required members, the optional ones that [`OptionalMembers`] selects, and enough to reach `minProperties`.
    pub(super) fn object(&mut self, schema: &Value, position: &SchemaPosition) -> Result<Value, Error> {
        let required: Vec<&str> = list(schema, "required").iter().filter_map(Value::as_str).collect();
        let is_required: HashSet<&str> = required.iter().copied().collect();
        let empty = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
        let others = schema.get("additionalProperties").unwrap_or(&Value::Bool(true));
        let count =
            |keyword: &str| schema.get(keyword).and_then(Value::as_u64).and_then(|count| usize::try_from(count).ok());
        let max = count("maxProperties").unwrap_or(usize::MAX);
        let min = count("minProperties").unwrap_or(0);

        let mut members = Map::new();
        let mut optional_left = max.saturating_sub(required.len());
        let required_only = self.required_only(position);
        for (name, member) in properties {
            let is_required = is_required.contains(name.as_str());
            let is_selected = optional_left > 0
                && self.resolver.min_depth(member).is_some()
                && match self.optional {
                    OptionalMembers::All => !required_only,
                    OptionalMembers::Mentioned { .. } => self.suggestions.has_value(member, name),
                };
            if !is_required && !is_selected {
                continue;
            }
            match self.write(member, &position.member(name)) {
                Ok(value) => {
                    optional_left -= usize::from(!is_required);
                    members.insert(name.clone(), value);
                }
                Err(error) if is_required => return Err(error),
                // An optional member that cannot be written is omitted.
                Err(_) => {}
            }
        }
        for name in required {
            if members.contains_key(name) {
                continue;
            }
            if *others == Value::Bool(false) {
                return Err(position.error(format!(
                    "`required` names `{name}`, which `properties` and `additionalProperties` do not allow"
                )));
            }
            let value = self.write(others, &position.member(name))?;
            members.insert(name.to_owned(), value);
        }
        self.add_members(&mut members, properties, others, min, position)?;
        if members.len() > max {
            return Err(position.error("`maxProperties` must not be less than the number of required members"));
        }
        Ok(Value::Object(members))
    }

    /// Adds members until there are `min` of them. A map (no `properties`, a schema for the others) gets at least one.
    fn add_members(
        &mut self,
        members: &mut Map<String, Value>,
        properties: &Map<String, Value>,
        others: &Value,
        min: usize,
        position: &SchemaPosition,
    ) -> Result<(), Error> {
        for (name, member) in properties {
            if members.len() < min && !members.contains_key(name) {
                let value = self.write(member, &position.member(name))?;
                members.insert(name.clone(), value);
            }
        }
        let is_map = properties.is_empty()
            && others.is_object()
            && self.optional == OptionalMembers::All
            && !self.required_only(position);
        let wanted = min.max(usize::from(is_map && members.is_empty()));
        let mut number = 0;
        while members.len() < wanted {
            number += 1;
            if *others == Value::Bool(false) || self.values_left == 0 {
                return Err(
                    position.error("`minProperties` is greater than the number of members that the schema allows")
                );
            }
            let name = format!("key_{number}");
            if !members.contains_key(&name) && !properties.contains_key(&name) {
                let value = self.write(others, &position.member(&name))?;
                members.insert(name, value);
            }
        }
        Ok(())
    }

    /// Writes an array of a few items, or of as many as `minItems` requires.
    pub(super) fn array(&mut self, schema: &Value, position: &SchemaPosition) -> Result<Value, Error> {
        let count = |keyword: &str| schema.get(keyword).and_then(Value::as_u64);
        let min = count("minItems").unwrap_or(0);
        if min > MAX_ITEMS {
            return Err(position.error(format!("`minItems` must be at most {MAX_ITEMS}")));
        }
        let first = list(schema, "prefixItems");
        let rest = schema.get("items").unwrap_or(&Value::Bool(true));
        // Such items contain themselves, so the array can only end at its `prefixItems`.
        let infinite = self.resolver.min_depth(rest).is_none();
        let default = match self.optional {
            _ if self.required_only(position) => 0,
            OptionalMembers::All => DEFAULT_ITEMS.max(first.len() as u64),
            OptionalMembers::Mentioned { .. } => self.suggestions.item_count(rest, &position.item().name).max(1),
        };
        let max = count("maxItems").unwrap_or(u64::MAX).min(if infinite { first.len() as u64 } else { u64::MAX });
        let wanted = default.min(max).max(min);
        let unique = schema.get("uniqueItems") == Some(&Value::Bool(true));

        let outer_index = self.item_index;
        let mut items: Vec<Value> = Vec::new();
        // More tries than items: with `uniqueItems`, placeholder values may repeat although they depend on the index.
        for attempt in 0..wanted.saturating_mul(2).saturating_add(8) {
            if items.len() as u64 >= wanted {
                break;
            }
            self.item_index = usize::try_from(attempt).unwrap_or(0);
            let item = first.get(items.len()).unwrap_or(rest);
            match self.write(item, &position.item()) {
                Ok(value) if unique && items.contains(&value) => {}
                Ok(value) => items.push(value),
                Err(error) if (items.len() as u64) < min => {
                    self.item_index = outer_index;
                    return Err(error);
                }
                Err(_) => break,
            }
        }
        self.item_index = outer_index;
        if (items.len() as u64) < min {
            return Err(position.error("cannot generate as many different items as `minItems` requires"));
        }
        if items.len() as u64 > max {
            return Err(position.error("`minItems` must not exceed `maxItems`"));
        }
        Ok(Value::Array(items))
    }
}
