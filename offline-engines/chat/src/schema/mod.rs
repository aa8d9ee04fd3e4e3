//! Generates JSON documents that satisfy a JSON Schema.
//!
//! Supports the subset of structured outputs, plus the keywords that function parameters commonly use. A keyword that
//! cannot be honoured is an error that names its path; no keyword is ignored.

mod containers;
mod fill;
mod format;
mod limits;
mod merge;
mod number;
mod pattern;
mod place;
mod resolve;
mod steps;
mod string;
mod suggestions;
mod validate;
mod writer;

use serde_json::Value;

use crate::entities::Entities;
use crate::error::Error;
use crate::rng::Rng;
use place::Place;
use writer::Writer;

pub(crate) use fill::Fill;
pub(crate) use steps::Steps;

/// Generates a document for `schema`. `field` is the path of the schema in the request, for error messages.
pub(crate) fn document(
    schema: &Value,
    field: &str,
    entities: &Entities,
    fill: Fill,
    rng: &mut Rng,
    steps: &Steps<'_>,
) -> Result<Value, Error> {
    Writer::new(schema, field, entities, fill, rng, steps)?.write(schema, &Place::root(field))
}
