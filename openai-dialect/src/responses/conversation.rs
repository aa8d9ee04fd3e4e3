//! Joins items into the messages of a chat request.
//!
//! A turn of the assistant is several items: reasoning, a message, calls. A chat upstream expects it as one message, followed
//! by the results of all its calls.

use std::collections::HashSet;

use serde_json::value::RawValue;
use triptych_proto::v1::{self as pb, chat_message::Content, content_part::Part};

use super::{
    error::InvalidRequest,
    image_call::TOOL_NAME,
    input::{Call, CallOutput, Image, InputItem, Message, Reasoning},
};
use crate::json::{
    extra::{append_elements, append_member},
    write::write_object,
};

/// The result of an image call, as the upstream sees it.
const IMAGE_RESULT: &str = "The image was generated and shown to the user.";
const NO_IMAGE_RESULT: &str = "The image could not be generated.";

/// Collects the messages of a conversation.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    messages: Vec<pb::ChatMessage>,
    /// The message of the assistant that further items may extend.
    assistant: Option<pb::ChatMessage>,
    /// The elements of the `reasoning_details` of `assistant`.
    details: String,
    /// The results of the image calls in `assistant`. Those of other calls come from the client.
    results: Vec<pb::ChatMessage>,
    /// The ids of all calls so far, of which a result must name one.
    call_ids: HashSet<String>,
    /// The images that an edit applies to: see [`into_images`](Self::into_images).
    images: Vec<String>,
}

impl Conversation {
    /// Adds the instructions as the first message. The role is `system`, which every upstream understands.
    pub(super) fn push_instructions(&mut self, instructions: &str) {
        self.messages.push(message("system", Some(Content::Text(instructions.to_owned()))));
    }

    /// Adds an item. References must have been replaced by the items that they name; a remaining one is ignored.
    ///
    /// # Errors
    /// [`InvalidRequest`] for a result whose call is not part of the conversation.
    pub(super) fn push(&mut self, item: InputItem) -> Result<(), InvalidRequest> {
        match item {
            InputItem::Message(message) if message.role == "assistant" => self.push_assistant(message),
            InputItem::Message(message) => self.push_message(message),
            InputItem::Reasoning(reasoning) => self.push_reasoning(reasoning),
            InputItem::Call(call) => self.push_call(call),
            InputItem::CallOutput(output) => self.push_output(output)?,
            InputItem::Image(image) => self.push_image(image),
            InputItem::Reference(_) => {}
        }
        Ok(())
    }

    /// Returns the messages.
    pub(super) fn into_messages(mut self) -> Vec<pb::ChatMessage> {
        self.end_assistant();
        self.messages
    }

    /// Returns the images that an edit applies to: the last one that was generated, or those of the last message of the user
    /// with images, whichever is later.
    pub(super) fn into_images(self) -> Vec<String> {
        self.images
    }

    fn push_message(&mut self, item: Message) {
        self.end_assistant();
        let Message { role, content, refusal: _, extra_json } = item;
        if let Some(Content::Parts(pb::ContentParts { parts })) = &content {
            let images = parts.iter().filter_map(|part| match &part.part {
                Some(Part::ImageUrl(image)) => Some(image.url.clone()),
                Some(_) | None => None,
            });
            let images: Vec<_> = images.collect();
            if role == "user" && !images.is_empty() {
                self.images = images;
            }
        }
        self.messages.push(pb::ChatMessage { extra_json, ..message(role, content) });
    }

    fn push_assistant(&mut self, item: Message) {
        self.end_finished_turn();
        let message = self.assistant_mut();
        message.content = match (message.content.take(), item.content) {
            (Some(before), Some(more)) => Some(joined(before, more)),
            (before, more) => before.or(more),
        };
        if let Some(refusal) = item.refusal {
            message.refusal.get_or_insert_default().push_str(&refusal);
        }
        if message.extra_json.is_empty() {
            message.extra_json = item.extra_json;
        }
    }

    /// Ends the message of the assistant if its turn is finished, so that further text begins another one: it has text and no
    /// calls, or the results of all its calls are known. Results of the client must follow the message directly, so that
    /// further text before them is joined to it.
    fn end_finished_turn(&mut self) {
        let is_finished = self.assistant.as_ref().is_some_and(|message| {
            let has_text = message.content.is_some() || message.refusal.is_some();
            let calls = message.tool_calls.len();
            if calls == 0 { has_text } else { calls == self.results.len() }
        });
        if is_finished {
            self.end_assistant();
        }
    }

    /// Adds reasoning to the message of its turn. An item that a chat upstream cannot read, because it is encrypted for another
    /// server, adds nothing.
    fn push_reasoning(&mut self, item: Reasoning) {
        let Reasoning { text, encrypted } = item;
        let details = encrypted.as_deref().and_then(reasoning_details);
        if text.is_empty() && details.is_none() {
            return;
        }
        self.end_finished_turn();
        let message = self.assistant_mut();
        if !text.is_empty() {
            let reasoning = message.reasoning_content.get_or_insert_default();
            if !reasoning.is_empty() {
                reasoning.push_str("\n\n");
            }
            reasoning.push_str(&text);
        }
        if let Some(details) = details {
            append_elements(&mut self.details, details);
        }
    }

    fn push_call(&mut self, Call { id, name, arguments }: Call) {
        self.call_ids.insert(id.clone());
        let function = pb::FunctionCall { name, arguments, extra_json: String::new() };
        let call =
            pb::ToolCall { id, r#type: "function".to_owned(), function: Some(function), extra_json: String::new() };
        self.assistant_mut().tool_calls.push(call);
    }

    fn push_output(&mut self, output: CallOutput) -> Result<(), InvalidRequest> {
        let CallOutput { path, call_id, content } = output;
        if !self.call_ids.contains(&call_id) {
            let rule = "no call with this id precedes the output; send the call as an item before it, or continue the \
                        response that made it with `previous_response_id`";
            return Err(InvalidRequest::at(&path, format_args!("{call_id:?}: {rule}")));
        }
        self.end_assistant();
        self.messages.push(result(call_id, content));
        Ok(())
    }

    fn push_image(&mut self, Image { id, prompt, url }: Image) {
        let text = if url.is_some() { IMAGE_RESULT } else { NO_IMAGE_RESULT };
        if let Some(url) = url {
            self.images = vec![url];
        }
        let mut arguments = Vec::new();
        write_object(&mut arguments, |o| o.scalar("prompt", &prompt));
        let arguments = String::from_utf8_lossy(&arguments).into_owned();
        self.push_call(Call { id: id.clone(), name: TOOL_NAME.to_owned(), arguments });
        self.results.push(result(id, Content::Text(text.to_owned())));
    }

    fn assistant_mut(&mut self) -> &mut pb::ChatMessage {
        self.assistant.get_or_insert_with(|| message("assistant", None))
    }

    fn end_assistant(&mut self) {
        if let Some(mut message) = self.assistant.take() {
            let is_empty = message.content.is_none() && message.refusal.is_none() && message.tool_calls.is_empty();
            if is_empty {
                // A message with reasoning alone, for example of a response that was cut: upstreams require a content.
                message.content = Some(Content::Text(String::new()));
            }
            if !self.details.is_empty() {
                let details = format!("[{}]", std::mem::take(&mut self.details));
                append_member(&mut message.extra_json, "reasoning_details", &details);
            }
            self.messages.push(message);
            self.messages.append(&mut self.results);
        }
    }
}

/// Returns both contents as one.
fn joined(before: Content, more: Content) -> Content {
    match (before, more) {
        (Content::Text(before), Content::Text(more)) => Content::Text(before + &more),
        (before, more) => {
            let mut parts = into_parts(before);
            parts.append(&mut into_parts(more));
            Content::Parts(pb::ContentParts { parts })
        }
    }
}

fn into_parts(content: Content) -> Vec<pb::ContentPart> {
    match content {
        Content::Text(text) => vec![pb::ContentPart { part: Some(Part::Text(text)), extra_json: String::new() }],
        Content::Parts(pb::ContentParts { parts }) => parts,
    }
}

fn message(role: &str, content: Option<Content>) -> pb::ChatMessage {
    pb::ChatMessage { role: role.to_owned(), content, ..pb::ChatMessage::default() }
}

/// Returns the message with the result of a tool call.
pub(super) fn result(call_id: String, content: Content) -> pb::ChatMessage {
    pb::ChatMessage { tool_call_id: Some(call_id), ..message("tool", Some(content)) }
}

/// Returns the elements of an upstream's `reasoning_details`, which the API hands out as `encrypted_content`. Returns `None`
/// for text of another origin, such as OpenAI's server.
fn reasoning_details(encrypted: &str) -> Option<&str> {
    let details = serde_json::from_str::<Vec<&RawValue>>(encrypted).ok()?;
    let is_ours = !details.is_empty() && details.iter().all(|detail| detail.get().starts_with('{'));
    encrypted.trim().strip_prefix('[')?.strip_suffix(']').filter(|_| is_ours)
}
