//! Annotations of a text: the citations of URLs that upstreams with web search send.

use serde_json::value::RawValue;

use super::echo::compact;
use crate::json::{extra::append_member, extra_members};

/// Returns the citations of URLs in the `annotations` of a chat message or delta, as JSON objects in the form of the Responses API:
/// there, the members of `url_citation` are beside `type`.
///
/// Annotations of other types, which vendors define, have no form in the Responses API and are left out.
pub(super) fn url_citations(extra_json: &str) -> Vec<String> {
    // Fast path: most deltas have none.
    if !extra_json.contains("annotations") {
        return Vec::new();
    }
    let members = extra_members(extra_json).unwrap_or_default();
    let elements = find(&members, "annotations").and_then(|value| serde_json::from_str::<Vec<&RawValue>>(value).ok());
    elements.unwrap_or_default().iter().filter_map(|element| url_citation(element.get())).collect()
}

fn url_citation(annotation: &str) -> Option<String> {
    let annotation = extra_members(annotation)?;
    if find(&annotation, "type")? != "\"url_citation\"" {
        return None;
    }
    let members = extra_members(find(&annotation, "url_citation")?)?;
    let url = find(&members, "url").filter(|url| url.starts_with('"'))?;
    let is_index = |value: &&str| value.parse::<u64>().is_ok();
    let mut citation = r#"{"type":"url_citation"}"#.to_owned();
    append_member(&mut citation, "url", url);
    // Strict clients reject a citation without these members, which some upstreams omit.
    let title = find(&members, "title").filter(|title| title.starts_with('"'));
    append_member(&mut citation, "title", title.unwrap_or("\"\""));
    for name in ["start_index", "end_index"] {
        append_member(&mut citation, name, find(&members, name).filter(is_index).unwrap_or("0"));
    }
    for (name, value) in &members {
        if !["type", "url", "title", "start_index", "end_index"].contains(&name.as_str()) {
            append_member(&mut citation, name, value);
        }
    }
    compact(&mut citation);
    Some(citation)
}

/// Returns the value of a member. Of duplicates the last one counts.
fn find<'a>(members: &[(String, &'a str)], name: &str) -> Option<&'a str> {
    members.iter().rev().find(|(other, _)| other == name).map(|(_, value)| *value)
}
