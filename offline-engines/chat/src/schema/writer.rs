//! Walks a JSON Schema and writes a value for each part of it: the core of the document generator.

use serde_json::Value;

use super::limits::{MAX_DEPTH, MAX_VALUES, OPTIONAL_DEPTH, OPTIONAL_REPEATS};
use super::number::{self, NumberType};
use super::optional_members::OptionalMembers;
use super::position::SchemaPosition;
use super::resolve::{self, Resolver};
use super::suggestions::Suggestions;
use super::visit_budget::VisitBudget;
use super::{merge, string, validate};
use crate::entities::Entities;
use crate::error::Error;
use crate::rng::Rng;

/// The state of one document's generation.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    pub(super) resolver: Resolver<'a>,
    pub(super) suggestions: Suggestions<'a>,
    pub(super) optional: OptionalMembers,
    rng: &'a mut Rng,
    budget: &'a VisitBudget<'a>,
    /// Index of the array item being written; placeholder values differ by it.
    pub(super) item_index: usize,
    /// How many values may still be written.
    pub(super) values_left: u32,
    /// References followed between the root and the current position.
    open_refs: Vec<String>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(
        schema: &'a Value,
        field: &str,
        entities: &'a Entities,
        optional: OptionalMembers,
        rng: &'a mut Rng,
        budget: &'a VisitBudget<'a>,
    ) -> Result<Self, Error> {
        Ok(Self {
            resolver: Resolver::new(schema, field, budget)?,
            suggestions: Suggestions::new(entities, optional),
            optional,
            rng,
            budget,
            item_index: 0,
            values_left: MAX_VALUES,
            open_refs: Vec::new(),
        })
    }

    /// Writes a value for the schema at `position`.
    pub(super) fn write(&mut self, schema: &Value, position: &SchemaPosition) -> Result<Value, Error> {
        self.values_left = self
            .values_left
            .checked_sub(1)
            .ok_or_else(|| position.error(format!("the document would have more than {MAX_VALUES} values")))?;
        if position.depth > MAX_DEPTH {
            return Err(position.error(format!("nested deeper than {MAX_DEPTH} levels")));
        }
        let open = self.open_refs.len();
        let flat = self.resolver.flatten(schema, position, &mut self.open_refs);
        let written = flat.and_then(|flat| {
            self.budget.visit(&flat).map_err(|reason| position.error(reason))?;
            self.write_flat(&flat, position)
        });
        self.open_refs.truncate(open);
        written
    }

    /// Writes a value for a schema without `$ref` and `allOf` at its top level.
    fn write_flat(&mut self, schema: &Value, position: &SchemaPosition) -> Result<Value, Error> {
        match schema {
            Value::Bool(true) => return Ok(string::placeholder(&position.name, self.item_index, self.optional).into()),
            Value::Object(_) => {}
            Value::Bool(false) => return Err(position.error("the schema `false` allows no value")),
            Value::Null | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                return Err(position.error("expected a schema: an object, or `true`"));
            }
        }
        resolve::check_supported(schema, position)?;
        for keyword in ["anyOf", "oneOf"] {
            if let Some(options) = schema.get(keyword) {
                return self.alternative(schema, keyword, options, position);
            }
        }
        if let Some(fixed) = schema.get("const") {
            return Some(fixed.clone())
                .filter(|fixed| validate::is_valid(schema, fixed))
                .ok_or_else(|| position.error("`const` does not satisfy the rest of the schema"));
        }
        if let Some(members) = schema.get("enum") {
            return self.enum_member(schema, members, position);
        }
        if let Some(value) = self.suggestions.take(schema, &position.name) {
            return Ok(value);
        }
        self.typed(schema, position)
    }

    /// Writes the first alternative that can be satisfied. `oneOf` is treated like `anyOf`: whether the value also satisfies
    /// another alternative is not checked. Tries `null` last; beyond [`OPTIONAL_DEPTH`] starts with the
    /// alternative whose smallest document is the shallowest.
    fn alternative(
        &mut self,
        schema: &Value,
        keyword: &str,
        options: &Value,
        position: &SchemaPosition,
    ) -> Result<Value, Error> {
        let options = options
            .as_array()
            .filter(|options| !options.is_empty())
            .ok_or_else(|| position.error(format!("`{keyword}` must be a non-empty list of schemas")))?;
        let mut order: Vec<usize> =
            (0..options.len()).filter(|at| self.resolver.min_depth(&options[*at]).is_some()).collect();
        if self.required_only(position) {
            order.sort_by_key(|at| self.resolver.min_depth(&options[*at]));
        } else {
            let start = if self.optional == OptionalMembers::All { self.rng.below(order.len()) } else { 0 };
            order.rotate_left(start);
            order.sort_by_key(|at| options[*at].get("type").and_then(Value::as_str) == Some("null"));
        }
        let mut rest = schema.clone();
        if let Some(rest) = rest.as_object_mut() {
            // Definitions are resolved at the root, so copies do not need them.
            for name in [keyword, "$defs", "definitions"] {
                rest.shift_remove(name);
            }
        }
        let mut last_error = position.error(format!("no alternative of `{keyword}` can be satisfied"));
        for at in order {
            let merged = merge::intersect(&rest, &options[at]);
            match self.write(&merged, &position.subschema(&format!("{keyword}[{at}]"))) {
                Ok(value) => return Ok(value),
                Err(error) => last_error = error,
            }
        }
        Err(last_error)
    }

    /// Selects a member of `enum`: one that the text mentions, else the default, else any but null.
    fn enum_member(&mut self, schema: &Value, members: &Value, position: &SchemaPosition) -> Result<Value, Error> {
        let members = members.as_array().map_or(&[][..], Vec::as_slice);
        let fitting: Vec<&Value> = members.iter().filter(|member| validate::is_valid_member(schema, member)).collect();
        if fitting.is_empty() {
            return Err(position.error("no value of `enum` satisfies the rest of the schema"));
        }
        if let Some(member) = self.suggestions.mentioned(&fitting) {
            return Ok(member);
        }
        let default = schema.get("default").filter(|default| fitting.contains(default));
        let non_null: Vec<&Value> = fitting.iter().copied().filter(|member| !member.is_null()).collect();
        let pool = if non_null.is_empty() { &fitting } else { &non_null };
        let start = if self.optional == OptionalMembers::All { self.rng.below(pool.len()) } else { 0 };
        Ok(default.unwrap_or(pool[(start + self.item_index) % pool.len()]).clone())
    }

    /// Writes a value of the first type that can be satisfied.
    fn typed(&mut self, schema: &Value, position: &SchemaPosition) -> Result<Value, Error> {
        let types = resolve::types(schema);
        let order: Vec<&str> = if self.required_only(position) {
            ["null", "boolean", "integer", "number", "string", "array", "object"]
                .into_iter()
                .filter(|name| types.contains(name))
                .collect()
        } else {
            // Null last: a value is more useful to the client.
            let (nulls, rest): (Vec<&str>, Vec<&str>) = types.iter().copied().partition(|name| *name == "null");
            rest.into_iter().chain(nulls).collect()
        };
        let mut last_error = position.error("`type` must name at least one type");
        for name in order {
            let value = match name {
                "null" => Ok(Value::Null),
                "boolean" => Ok(Value::Bool(self.suggestions.boolean(&position.name))),
                "integer" => number::write(schema, position, self.item_index, NumberType::Integer),
                "number" => number::write(schema, position, self.item_index, NumberType::Number),
                "string" => string::write(schema, position, self.item_index, self.optional, self.rng),
                "array" => self.array(schema, position),
                "object" => self.object(schema, position),
                unknown => Err(position.error(format!("`type` `{unknown}` is not a JSON Schema type"))),
            };
            match value {
                Ok(value) => return Ok(value),
                Err(error) => last_error = error,
            }
        }
        Err(last_error)
    }

    /// Returns whether only required members may be written from here on: deep in the document, deep in one recursion, or
    /// when half of the values are used up.
    pub(super) fn required_only(&self, position: &SchemaPosition) -> bool {
        let repeats =
            self.open_refs.last().map_or(0, |last| self.open_refs.iter().filter(|open| *open == last).count());
        position.depth > OPTIONAL_DEPTH || repeats > OPTIONAL_REPEATS || self.values_left < MAX_VALUES / 2
    }
}
