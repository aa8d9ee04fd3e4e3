//! One item of a conversation: an element of a response's input or output.

use serde_json::value::RawValue;

use crate::json::extra_members;

/// An input or output item: a JSON object with an `id` and a `type`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    id: String,
    kind: String,
    json: String,
}

impl Item {
    /// Reads an item that was written with [`Item::to_json`]. Returns `None` if the text is not a JSON object with the
    /// strings `id` and `type`.
    pub fn from_json(json: &str) -> Option<Self> {
        serde_json::from_str::<&RawValue>(json).ok()?;
        let members = extra_members(json)?;
        let string = |name: &str| {
            let (_, value) = members.iter().find(|(other, _)| other == name)?;
            serde_json::from_str::<String>(value).ok()
        };
        Some(Self { id: string("id")?, kind: string("type")?, json: json.to_owned() })
    }

    /// Returns an item whose JSON has this id and type.
    pub(super) fn new(id: String, kind: &str, json: String) -> Self {
        Self { id, kind: kind.to_owned(), json }
    }

    /// Returns the id, for example `msg_…`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the type: `message`, `reasoning`, `function_call`, `function_call_output`, `image_generation_call`, …
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Returns the JSON object.
    pub fn to_json(&self) -> &str {
        &self.json
    }
}
