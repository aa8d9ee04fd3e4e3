//! JSON Schemas of tools and response formats, which are passed on as text and not interpreted.

use serde::de::MapAccess;

use crate::json::{extra::append_member, object::Member};

/// Reads a JSON Schema as raw text: models follow the order of its members.
pub(super) fn read_json_schema<'de, A: MapAccess<'de>>(
    member: Member<'_, 'de, A>,
    field: &mut String,
    extra: &mut String,
) -> Result<(), A::Error> {
    let name = member.name().to_owned();
    let raw = member.raw_value(|_| Ok(()))?;
    if raw.starts_with('{') {
        raw.clone_into(field);
    } else {
        append_member(extra, &name, raw);
    }
    Ok(())
}
