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
    extra::{append_member, remove_member},
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
    /// The results of the calls in `assistant` that this API knows.
    results: Vec<pb::ChatMessage>,
    call_ids: HashSet<String>,
    images: Vec<String>,
}

impl Conversation {
    /// Adds the instructions as the first message. The role is `system`, which every upstream understands.
    pub(super) fn push_instructions(&mut self, instructions: &str) {
        self.messages.push(message("system", Some(Content::Text(instructions.to_owned()))));
    }

    /// Adds an item. References must have been resolved; others are ignored.
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
        let is_separate = self.assistant.as_ref().is_some_and(|message| {
            message.tool_calls.is_empty() && (message.content.is_some() || message.refusal.is_some())
        });
        if is_separate {
            self.end_assistant();
        }
        let message = self.assistant_mut();
        message.content = match (message.content.take(), item.content) {
            // The upstream expects the results right after the message with the calls, so its texts are joined.
            (Some(Content::Text(text)), Some(Content::Text(more))) => Some(Content::Text(text + &more)),
            (before, more) => more.or(before),
        };
        if item.refusal.is_some() {
            message.refusal = item.refusal;
        }
        if message.extra_json.is_empty() {
            message.extra_json = item.extra_json;
        }
    }

    fn push_reasoning(&mut self, item: Reasoning) {
        // Reasoning begins a turn, unless the turn has calls, whose results must follow its message.
        if self.assistant.as_ref().is_some_and(|message| message.tool_calls.is_empty() && message.content.is_some()) {
            self.end_assistant();
        }
        let message = self.assistant_mut();
        if !item.text.is_empty() {
            let reasoning = message.reasoning_content.get_or_insert_default();
            if !reasoning.is_empty() {
                reasoning.push_str("\n\n");
            }
            reasoning.push_str(&item.text);
        }
        if let Some(encrypted) = item.encrypted {
            push_reasoning_details(&mut message.extra_json, &encrypted);
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
            self.messages.push(message);
            self.messages.append(&mut self.results);
        }
    }
}

fn message(role: &str, content: Option<Content>) -> pb::ChatMessage {
    pb::ChatMessage { role: role.to_owned(), content, ..pb::ChatMessage::default() }
}

/// Returns the message with the result of a tool call.
pub(super) fn result(call_id: String, content: Content) -> pb::ChatMessage {
    pb::ChatMessage { tool_call_id: Some(call_id), ..message("tool", Some(content)) }
}

/// Adds the `reasoning_details` of an upstream, which the API hands out as `encrypted_content`, to a message. Text of
/// another origin, such as that of OpenAI's server, is unreadable for every other upstream and ignored.
fn push_reasoning_details(extra_json: &mut String, encrypted: &str) {
    let is_array = serde_json::from_str::<Vec<&RawValue>>(encrypted)
        .is_ok_and(|details| !details.is_empty() && details.iter().all(|detail| detail.get().starts_with('{')));
    if !is_array {
        return;
    }
    let inner = encrypted.trim().strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or_default();
    let details = match remove_member(extra_json, "reasoning_details") {
        Some(before) => format!("{},{inner}]", before.strip_suffix(']').unwrap_or(&before)),
        None => format!("[{inner}]"),
    };
    append_member(extra_json, "reasoning_details", &details);
}
