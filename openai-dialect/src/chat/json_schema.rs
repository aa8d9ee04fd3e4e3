//! JSON Schemas of tools and response formats.

use serde::de::MapAccess;

use crate::json::{extra::append_member, object::Member};

/// Reads a JSON Schema as raw text: models follow the order of its members.
pub(super) fn read_json_schema<'de, A: MapAccess<'de>>(
    member: Member<'_, 'de, A>,
    field: &mut String,
    extra: &mut String,
) -> Result<(), A::Error> {
    let name = member.name().to_owned();
    let raw = member.raw_value(|raw| match raw.as_bytes().first() {
        Some(b'n' | b'{') => Ok(()),
        _ => Err("expected a JSON Schema object"),
    })?;
    match raw {
        "null" => append_member(extra, &name, raw),
        schema => schema.clone_into(field),
    }
    Ok(())
}
