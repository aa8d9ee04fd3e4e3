//! Items, as far as a chat upstream can understand them.

use triptych_proto::v1::chat_message::Content;

/// An item of the input or of a previous response.
#[derive(Debug)]
pub(in crate::responses) enum InputItem {
    /// A message of any role.
    Message(Message),
    /// The reasoning that precedes a message or a call of the assistant.
    Reasoning(Reasoning),
    /// A call of a function or of a custom tool.
    Call(Call),
    /// The result of a call.
    CallOutput(CallOutput),
    /// An image that the hosted tool generated.
    Image(Image),
    /// A reference to a stored item.
    Reference(Reference),
}

#[derive(Debug)]
pub(in crate::responses) struct Message {
    /// `user`, `assistant`, `system` or `developer`.
    pub(in crate::responses) role: &'static str,
    pub(in crate::responses) content: Option<Content>,
    /// The refusal of an assistant.
    pub(in crate::responses) refusal: Option<String>,
    /// Members that the API does not know, passed on to the upstream.
    pub(in crate::responses) extra_json: String,
}

#[derive(Debug)]
pub(in crate::responses) struct Reasoning {
    /// The text, empty if the item has none.
    pub(in crate::responses) text: String,
    /// The `encrypted_content` as it was received.
    pub(in crate::responses) encrypted: Option<String>,
}

#[derive(Debug)]
pub(in crate::responses) struct Call {
    pub(in crate::responses) id: String,
    pub(in crate::responses) name: String,
    pub(in crate::responses) arguments: String,
}

#[derive(Debug)]
pub(in crate::responses) struct CallOutput {
    /// The path of the member with the id, for errors.
    pub(in crate::responses) path: String,
    pub(in crate::responses) call_id: String,
    pub(in crate::responses) content: Content,
}

#[derive(Debug)]
pub(in crate::responses) struct Image {
    /// The id of the item. It is also the id of the tool call in the conversation with the upstream.
    pub(in crate::responses) id: String,
    pub(in crate::responses) prompt: String,
    /// The image as a `data:` URL, if it was finished.
    pub(in crate::responses) url: Option<String>,
}

#[derive(Debug)]
pub(in crate::responses) struct Reference {
    /// The path of the member with the id, for errors.
    pub(in crate::responses) path: String,
    pub(in crate::responses) id: String,
}
