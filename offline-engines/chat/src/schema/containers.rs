//! Objects and arrays.

use serde_json::{Map, Value};

use super::resolve::list;
use super::{Fill, Place, Writer};
use crate::Error;

/// Items of a list that may be as long as it likes.
const USUAL_ITEMS: u64 = 2;
/// Items beyond this are refused.
const MOST_ITEMS: u64 = 2_000;

impl Writer<'_> {
    pub(super) fn object(&mut self, schema: &Value, place: &Place) -> Result<Value, Error> {
        let required: Vec<&str> = list(schema, "required").iter().filter_map(Value::as_str).collect();
        let none = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
        let others = schema.get("additionalProperties").unwrap_or(&Value::Bool(true));
        let count =
            |keyword: &str| schema.get(keyword).and_then(Value::as_u64).and_then(|count| usize::try_from(count).ok());
        let most = count("maxProperties").unwrap_or(usize::MAX);
        let least = count("minProperties").unwrap_or(0);

        let mut members = Map::new();
        let mut optional_left = most.saturating_sub(required.len());
        let deep = self.deep(place);
        for (name, member) in properties {
            let needed = required.contains(&name.as_str());
            let welcome = optional_left > 0
                && self.resolver.height(member).is_some()
                && match self.fill {
                    Fill::Everything => !deep,
                    Fill::Evident { .. } => self.proposals.evident(member, name),
                };
            if !needed && !welcome {
                continue;
            }
            match self.write(member, &place.member(name)) {
                Ok(value) => {
                    optional_left -= usize::from(!needed);
                    members.insert(name.clone(), value);
                }
                Err(error) if needed => return Err(error),
                // An optional member nobody can write is better left out.
                Err(_) => {}
            }
        }
        for name in required {
            if members.contains_key(name) {
                continue;
            }
            if *others == Value::Bool(false) {
                return Err(place
                    .refuse(format!("requires `{name}`, which `properties` and `additionalProperties` do not allow")));
            }
            let value = self.write(others, &place.member(name))?;
            members.insert(name.to_owned(), value);
        }
        self.fill_up(&mut members, properties, others, least, place)?;
        if members.len() > most {
            return Err(place.refuse("`maxProperties` is below the number of required members"));
        }
        Ok(Value::Object(members))
    }

    /// Adds members until there are enough of them; and one to a map that would otherwise show nothing.
    fn fill_up(
        &mut self,
        members: &mut Map<String, Value>,
        properties: &Map<String, Value>,
        others: &Value,
        least: usize,
        place: &Place,
    ) -> Result<(), Error> {
        for (name, member) in properties {
            if members.len() < least && !members.contains_key(name) {
                let value = self.write(member, &place.member(name))?;
                members.insert(name.clone(), value);
            }
        }
        let is_map = properties.is_empty() && others.is_object() && self.fill == Fill::Everything && !self.deep(place);
        let wanted = least.max(usize::from(is_map && members.is_empty()));
        let mut number = 0;
        while members.len() < wanted {
            number += 1;
            if *others == Value::Bool(false) || self.values_left == 0 {
                return Err(place.refuse("`minProperties` asks for more members than the schema allows"));
            }
            let name = format!("key_{number}");
            if !members.contains_key(&name) && !properties.contains_key(&name) {
                let value = self.write(others, &place.member(&name))?;
                members.insert(name, value);
            }
        }
        Ok(())
    }

    pub(super) fn array(&mut self, schema: &Value, place: &Place) -> Result<Value, Error> {
        let count = |keyword: &str| schema.get(keyword).and_then(Value::as_u64);
        let least = count("minItems").unwrap_or(0);
        if least > MOST_ITEMS {
            return Err(place.refuse(format!("asks for more than {MOST_ITEMS} items")));
        }
        let first = list(schema, "prefixItems");
        let rest = schema.get("items").unwrap_or(&Value::Bool(true));
        let endless = self.resolver.height(rest).is_none();
        let usual = match self.fill {
            _ if self.deep(place) => 0,
            Fill::Everything => USUAL_ITEMS.max(first.len() as u64),
            Fill::Evident { .. } => self.proposals.items(rest, &place.item().name).max(1),
        };
        let most = count("maxItems").unwrap_or(u64::MAX).min(if endless { first.len() as u64 } else { u64::MAX });
        let wanted = usual.min(most).max(least);
        let unique = schema.get("uniqueItems") == Some(&Value::Bool(true));

        let outer = self.salt;
        let mut items: Vec<Value> = Vec::new();
        // Twice as many tries as items, and some: made-up values differ by number, but not every schema lets them.
        for attempt in 0..wanted.saturating_mul(2).saturating_add(8) {
            if items.len() as u64 >= wanted {
                break;
            }
            self.salt = usize::try_from(attempt).unwrap_or(0);
            let item = first.get(items.len()).unwrap_or(rest);
            match self.write(item, &place.item()) {
                Ok(value) if unique && items.contains(&value) => {}
                Ok(value) => items.push(value),
                Err(error) if (items.len() as u64) < least => {
                    self.salt = outer;
                    return Err(error);
                }
                Err(_) => break,
            }
        }
        self.salt = outer;
        if (items.len() as u64) < least {
            return Err(place.refuse("cannot be filled with as many different items as `minItems` asks for"));
        }
        if items.len() as u64 > most {
            return Err(place.refuse("`minItems` is above `maxItems`"));
        }
        Ok(Value::Array(items))
    }
}
