//! Errors that upstreams report inside a response or a chunk, with HTTP status 200.

use serde::de::MapAccess;

use crate::json::{extra::extra_members, object::Member};

/// Reads the `error` member as raw text. `null` and empty values mean no error.
pub(super) fn read_error<'de, A: MapAccess<'de>>(
    member: Member<'_, 'de, A>,
    error: &mut Option<String>,
) -> Result<(), A::Error> {
    let raw = member.raw_value(|_| Ok(()))?;
    if !matches!(raw, "null" | "false" | "0" | "\"\"" | "{}" | "[]") {
        *error = Some(raw.to_owned());
    }
    Ok(())
}

/// Returns `extra` if it is an error object without the enclosing `error` member.
///
/// Known forms: the flat object of SGLang with `message`, `detail` of FastAPI, and `error_message` of some gateways. Vendor
/// extensions may have the same names, so call this only for a document without choices.
pub(super) fn unwrapped_error(extra: &str) -> Option<String> {
    let names = ["message", "error_message", "detail"];
    extra_members(extra)?.iter().any(|(name, _)| names.contains(&name.as_str())).then(|| extra.to_owned())
}
