//! A request of `POST /v1/responses`.

use triptych_proto::v1 as pb;

use super::{error::InvalidRequest, item::Item};

/// A validated request.
#[derive(Debug, Clone)]
pub struct ResponseRequest {
    text: String,
    model: String,
    stream: bool,
    store: bool,
    background: bool,
    previous_response_id: Option<String>,
    max_tool_calls: Option<u64>,
}

impl ResponseRequest {
    /// Parses and validates the body of a request.
    ///
    /// # Errors
    /// [`InvalidRequest`] for the first member that is invalid or not served.
    pub fn parse(json: &str) -> Result<Self, InvalidRequest> {
        Ok(Self {
            text: json.to_owned(),
            model: String::new(),
            stream: false,
            store: true,
            background: false,
            previous_response_id: None,
            max_tool_calls: None,
        })
    }

    /// Returns the body as it was received. Parsing it again gives the same request.
    pub fn to_json(&self) -> &str {
        &self.text
    }

    /// Returns the public model name. Empty: the default chat model.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Returns whether the client wants a stream of events.
    pub fn is_streamed(&self) -> bool {
        self.stream
    }

    /// Returns whether the response is stored, which is the default.
    pub fn is_stored(&self) -> bool {
        self.store
    }

    /// Returns whether the response is generated in the background. Then it is also stored.
    pub fn is_background(&self) -> bool {
        self.background
    }

    /// Returns the id of the response that this one continues.
    pub fn previous_response_id(&self) -> Option<&str> {
        self.previous_response_id.as_deref()
    }

    /// Returns the maximum number of calls of hosted tools. The writer applies it; the caller may limit rounds further.
    pub fn max_tool_calls(&self) -> Option<u64> {
        self.max_tool_calls
    }

    /// Returns the ids of the items that the input refers to with `item_reference`, in order.
    pub fn references(&self) -> Vec<&str> {
        Vec::new()
    }

    /// Returns the items of the input, each with an id and in the form in which OpenAI lists them.
    ///
    /// Items without an id get one derived from `response_id`. References are replaced by the item of `referenced` or
    /// `history` with that id, and left out if there is none; [`ResponseRequest::to_chat`] reports that error.
    pub fn input_items(&self, response_id: &str, history: &[Item], referenced: &[Item]) -> Vec<Item> {
        let _ = (response_id, history, referenced);
        Vec::new()
    }

    /// Returns the chat request for the first turn.
    ///
    /// `history`: the items of the previous responses, input and output, oldest first. They precede the input.
    /// `referenced`: the items that [`ResponseRequest::references`] names, in any order. A reference to an item of
    /// `history` adds nothing, because that item is part of the conversation already.
    ///
    /// # Errors
    /// [`InvalidRequest`] for a reference to an unknown item, and for a stored item that cannot be read.
    pub fn to_chat(&self, history: &[Item], referenced: &[Item]) -> Result<pb::ChatRequest, InvalidRequest> {
        let _ = (history, referenced);
        Ok(pb::ChatRequest::default())
    }
}
