//! A request of `POST /v1/responses`.

use std::{collections::HashMap, ops::Range};

use triptych_proto::v1 as pb;

use super::{
    conversation::Conversation,
    error::InvalidRequest,
    fields::{Fields, Node},
    input::{InputItem, Reference, listed_item, message_of_text, read_item},
    item::Item,
    settings::{Settings, read_settings},
};

/// A validated request.
#[derive(Debug, Clone)]
pub struct ResponseRequest {
    /// The body as it was received.
    text: String,
    /// Where `input` is in `text`. Items are read from the text each time, because images make them large.
    input: Option<Range<usize>>,
    model: String,
    stream: bool,
    pub(super) settings: Settings,
}

impl ResponseRequest {
    /// Parses and validates the body of a request.
    ///
    /// # Errors
    /// [`InvalidRequest`] for the first member that is invalid or not served.
    pub fn parse(json: &str) -> Result<Self, InvalidRequest> {
        let mut fields = Fields::of_document(json)?;
        let model = fields.optional("model", Node::string)?.unwrap_or_default();
        let stream = fields.optional("stream", Node::boolean)?.unwrap_or_default();
        let store = fields.optional("store", Node::boolean)?.unwrap_or(true);
        let background = fields.take("background");
        let is_background = background.as_ref().map_or(Ok(false), Node::boolean)?;
        if let Some(node) = background.filter(|_| is_background && !store) {
            let rule = "a response in the background must be stored; omit `store` or set it to true";
            return Err(InvalidRequest::at(node.path(), format_args!("true: {rule}")));
        }
        let previous = fields.optional("previous_response_id", Node::name)?;
        let input = fields.take("input");
        if input.is_none() && previous.is_none() {
            return Err(InvalidRequest {
                code: Some("missing_required_parameter"),
                ..InvalidRequest::at("input", "is required: a text, or an array of items")
            });
        }
        if let Some(input) = &input {
            check_input(input, previous.is_some())?;
        }
        let input = input.map(|node| {
            let start = node.raw().as_ptr().addr() - json.as_ptr().addr();
            start..start + node.raw().len()
        });
        let mut settings = read_settings(fields)?;
        settings.echo.store = store;
        settings.echo.background = is_background;
        settings.echo.previous_response_id = previous;
        settings.chat.model.clone_from(&model);
        Ok(Self { text: json.to_owned(), input, model, stream, settings })
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
        self.settings.echo.store
    }

    /// Returns whether the response is generated in the background. Then it is also stored.
    pub fn is_background(&self) -> bool {
        self.settings.echo.background
    }

    /// Returns the id of the response that this one continues.
    pub fn previous_response_id(&self) -> Option<&str> {
        self.settings.echo.previous_response_id.as_deref()
    }

    /// Returns the maximum number of calls of hosted tools. [`ResponseWriter`](super::ResponseWriter) applies it; the
    /// caller may also limit the number of turns.
    pub fn max_tool_calls(&self) -> Option<u64> {
        self.settings.max_tool_calls
    }

    /// Returns the ids of the items that the input refers to with `item_reference`, in order.
    pub fn references(&self) -> Vec<String> {
        let items = self.input_nodes().into_iter().filter_map(|node| read_item(&node).ok());
        let ids = items.filter_map(|item| if let InputItem::Reference(item) = item { Some(item.id) } else { None });
        ids.collect()
    }

    /// Returns the items of the input, each with an id and in the form in which OpenAI lists them.
    ///
    /// Items without an id get one derived from `response_id`. References are replaced by the item of `referenced` or
    /// `history` with that id, and left out if there is none; [`ResponseRequest::to_chat`] reports that error.
    pub fn input_items(&self, response_id: &str, history: &[Item], referenced: &[Item]) -> Vec<Item> {
        let known = by_id(history.iter().chain(referenced));
        let mut items = Vec::new();
        if let Some(text) = self.input_text() {
            items.push(listed_item(&message_of_text(text), response_id, 0));
        }
        for (position, node) in self.input_nodes().iter().enumerate() {
            match read_item(node) {
                Ok(InputItem::Reference(reference)) => {
                    items.extend(known.get(reference.id.as_str()).copied().cloned());
                }
                Ok(_) => items.push(listed_item(node.raw(), response_id, position)),
                // `parse` has read all items.
                Err(_) => {}
            }
        }
        items
    }

    /// Returns the chat request for the first turn.
    ///
    /// `history`: the items of the previous responses, input and output, oldest first. They precede the input.
    /// `referenced`: the items that [`ResponseRequest::references`] names, in any order. A reference to an item of
    /// `history` adds nothing, because that item is part of the conversation already.
    ///
    /// # Errors
    /// [`InvalidRequest`] for a reference to an unknown item, for the result of an unknown call, and for a stored item that
    /// cannot be read.
    pub fn to_chat(&self, history: &[Item], referenced: &[Item]) -> Result<pb::ChatRequest, InvalidRequest> {
        let messages = self.conversation(history, referenced)?.into_messages();
        Ok(pb::ChatRequest { messages, ..self.settings.chat.clone() })
    }

    /// Returns the images that an [`ImageCall`](super::ImageCall) with `edit` and without `input_images` applies to: the last
    /// generated image of the conversation, or the images of the user's last message with images, whichever is later. Each is
    /// an `https:` or `data:` URL. The arguments are those of [`ResponseRequest::to_chat`].
    ///
    /// # Errors
    /// As [`ResponseRequest::to_chat`].
    pub fn conversation_images(&self, history: &[Item], referenced: &[Item]) -> Result<Vec<String>, InvalidRequest> {
        self.conversation(history, referenced).map(Conversation::into_images)
    }

    fn conversation(&self, history: &[Item], referenced: &[Item]) -> Result<Conversation, InvalidRequest> {
        let mut conversation = Conversation::default();
        if let Some(instructions) = &self.settings.instructions {
            conversation.push_instructions(instructions);
        }
        for item in history {
            conversation.push(read_item(&Node::new("previous_response_id", item.to_json()))?)?;
        }
        if let Some(text) = self.input_text() {
            conversation.push(read_item(&Node::new("input", &message_of_text(text)))?)?;
        }
        let (history, referenced) = (by_id(history.iter()), by_id(referenced.iter()));
        for node in self.input_nodes() {
            let item = read_item(&node)?;
            if let InputItem::Reference(reference) = item {
                if !history.contains_key(reference.id.as_str()) {
                    conversation.push(resolve(&reference, &referenced)?)?;
                }
            } else {
                conversation.push(item)?;
            }
        }
        Ok(conversation)
    }

    /// Returns the JSON string of an input that is a text.
    fn input_text(&self) -> Option<&str> {
        self.input_json().filter(|json| json.starts_with('"'))
    }

    /// Returns the items of an input that is an array.
    fn input_nodes(&self) -> Vec<Node<'_>> {
        let json = self.input_json().filter(|json| json.starts_with('['));
        json.and_then(|json| Node::new("input", json).array().ok()).unwrap_or_default()
    }

    fn input_json(&self) -> Option<&str> {
        self.text.get(self.input.clone()?)
    }
}

fn by_id<'a>(items: impl Iterator<Item = &'a Item>) -> HashMap<&'a str, &'a Item> {
    items.map(|item| (item.id(), item)).collect()
}

/// Returns the item that a reference names.
fn resolve(reference: &Reference, referenced: &HashMap<&str, &Item>) -> Result<InputItem, InvalidRequest> {
    let Some(item) = referenced.get(reference.id.as_str()) else {
        let rule = "no stored item has this id; send the item itself, or store the response that it belongs to";
        return Err(InvalidRequest::at(&reference.path, format_args!("{:?}: {rule}", reference.id)));
    };
    read_item(&Node::new(&reference.path, item.to_json()))
}

/// Validates `input`. Without a response to continue, it must have at least one item.
fn check_input(input: &Node<'_>, continues: bool) -> Result<(), InvalidRequest> {
    if input.is_string() {
        input.string()?;
        return Ok(());
    }
    let items = input.array().map_err(|_| input.expected("a text or an array of items"))?;
    if items.is_empty() && !continues {
        return Err(input.expected("at least one item"));
    }
    for item in &items {
        read_item(item)?;
    }
    Ok(())
}
