//! A bound on the work for the schemas of one request. A small schema can expand to a huge one through its references.

use std::{cell::Cell, fmt};

use serde_json::Value;

/// The maximum number of schema values that are visited.
const MAX_VISITS: u64 = 2_000_000;

/// How many values of the schemas of one request may still be visited, and whether the client still waits.
pub(crate) struct VisitBudget<'a> {
    left: Cell<u64>,
    cancelled: &'a dyn Fn() -> bool,
}

impl<'a> VisitBudget<'a> {
    /// Creates the budget of a request. `cancelled` returns whether the client no longer waits; it is called often and must be cheap.
    pub(crate) fn new(cancelled: &'a dyn Fn() -> bool) -> Self {
        Self { left: Cell::new(MAX_VISITS), cancelled }
    }

    /// Counts the visit of each value in the schema.
    ///
    /// # Errors
    /// The reason why generation must stop.
    pub(super) fn visit(&self, schema: &Value) -> Result<(), &'static str> {
        if (self.cancelled)() {
            return Err("the request was cancelled");
        }
        let mut left = self.left.get();
        let is_within = take(schema, &mut left);
        self.left.set(left);
        if is_within { Ok(()) } else { Err("the schema is too complex") }
    }
}

impl fmt::Debug for VisitBudget<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VisitBudget").field("left", &self.left).finish_non_exhaustive()
    }
}

/// Takes one from `left` for each value; returns whether there were enough.
fn take(value: &Value, left: &mut u64) -> bool {
    let Some(rest) = left.checked_sub(1) else { return false };
    *left = rest;
    match value {
        Value::Array(items) => items.iter().all(|item| take(item, left)),
        Value::Object(members) => members.values().all(|member| take(member, left)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}
