//! Reasoning text, which upstreams send under different names: `reasoning_content`, `reasoning` and `reasoning_details`.
//!
//! All of them are read into the field `reasoning_content`. The other two also stay in `extra_json`, so that clients of
//! either name find the text.

use serde::de::MapAccess;

use crate::json::{
    extra::{append_member, remove_member},
    object::Member,
};

/// Reads `reasoning`, a string.
pub(super) fn read_reasoning<'de, A: MapAccess<'de>>(
    member: Member<'_, 'de, A>,
    reasoning_content: &mut Option<String>,
    extra: &mut String,
) -> Result<(), A::Error> {
    let raw = member.raw_value(|_| Ok(()))?;
    if reasoning_content.is_none() {
        *reasoning_content = serde_json::from_str(raw).unwrap_or_default();
    }
    append_member(extra, "reasoning", raw);
    Ok(())
}

/// Reads `reasoning_details`, OpenRouter's array of typed items, and concatenates the texts of its items.
pub(super) fn read_reasoning_details<'de, A: MapAccess<'de>>(
    member: Member<'_, 'de, A>,
    reasoning_content: &mut Option<String>,
    extra: &mut String,
) -> Result<(), A::Error> {
    #[derive(serde::Deserialize)]
    struct Item {
        #[serde(default)]
        text: Option<String>,
    }
    let raw = member.raw_value(|_| Ok(()))?;
    if reasoning_content.is_none()
        && let Ok(items) = serde_json::from_str::<Vec<Item>>(raw)
    {
        *reasoning_content = items.into_iter().filter_map(|item| item.text).reduce(|text, more| text + &more);
    }
    append_member(extra, "reasoning_details", raw);
    Ok(())
}

/// Removes `"reasoning_content": null` from `extra` if another member has set the field. Otherwise the member would be
/// written twice.
pub(super) fn remove_null_duplicate(reasoning_content: Option<&String>, extra: &mut String) {
    if reasoning_content.is_some() && extra.contains("\"reasoning_content\"") {
        remove_member(extra, "reasoning_content");
    }
}
