//! Generates JSON documents that satisfy a JSON Schema.
//!
//! Supports the subset of OpenAI's structured outputs, plus the keywords that function parameters commonly use. A keyword
//! that is known to be unsupported is an error that names its path.
//!
//! `writer` walks the schema: `resolve` and `merge` first reduce `$ref` and `allOf` to one plain schema, `suggestions`
//! proposes a value from the user's text, and otherwise `containers`, `number` and `string` make one up.

mod containers;
mod format;
mod limits;
mod merge;
mod number;
mod optional_members;
mod pattern;
mod position;
mod resolve;
mod string;
mod suggestions;
mod validate;
mod visit_budget;
mod writer;

use serde_json::Value;

use crate::entities::Entities;
use crate::error::Error;
use crate::rng::Rng;
use position::SchemaPosition;
use writer::Writer;

pub(crate) use optional_members::OptionalMembers;
pub(crate) use visit_budget::VisitBudget;

/// Generates a document for `schema`. `field` is the path of the schema in the request, for error messages. `entities` are what the
/// user's text mentions, such as names and numbers; `optional` decides which members that are not required the document has; `budget`
/// bounds the work.
pub(crate) fn document(
    schema: &Value,
    field: &str,
    entities: &Entities,
    optional: OptionalMembers,
    rng: &mut Rng,
    budget: &VisitBudget<'_>,
) -> Result<Value, Error> {
    Writer::new(schema, field, entities, optional, rng, budget)?.write(schema, &SchemaPosition::root(field))
}
