//! The chat request that continues a response after calls of hosted tools.

use triptych_proto::v1::{self as pb, chat_message::Content, tool_choice::Choice};

use super::{
    super::{
        conversation::result,
        image_call::TOOL_NAME,
        tools::{ToolKind, function_name},
    },
    image::Images,
    turn::TurnState,
};
use crate::json::extra::append_member;

/// Adds the message of the turn and the results of its image calls. Returns false, and adds nothing, if the turn has no
/// image call or also calls of functions, whose results only the client has.
pub(super) fn extend(chat: &mut pb::ChatRequest, turn: &TurnState, images: &Images) -> bool {
    let kinds = || turn.calls.iter().filter_map(|call| call.item().map(|(_, kind)| *kind));
    if kinds().next().is_none() || kinds().any(|kind| kind != ToolKind::Image) {
        return false;
    }
    chat.messages.push(assistant_message(turn));
    for (call_id, text) in images.results() {
        chat.messages.push(result(call_id.to_owned(), Content::Text(text.to_owned())));
    }
    if images.is_exhausted() {
        chat.tools.retain(|tool| function_name(tool) != TOOL_NAME);
    }
    relax_choice(chat);
    true
}

/// Replaces a choice that forces a call: it holds for the first turn. OpenAI rejects a choice without tools.
fn relax_choice(chat: &mut pb::ChatRequest) {
    if chat.tools.is_empty() {
        chat.tool_choice = None;
        chat.parallel_tool_calls = None;
    } else if let Some(pb::ToolChoice { choice: Some(choice) }) = &mut chat.tool_choice
        && !matches!(choice, Choice::Mode(mode) if mode == "none")
    {
        *choice = Choice::Mode("auto".to_owned());
    }
}

fn assistant_message(turn: &TurnState) -> pb::ChatMessage {
    let transcript = &turn.transcript;
    let some_text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let tool_calls = turn.calls.iter().map(|call| pb::ToolCall {
        id: call.call_id.clone(),
        r#type: "function".to_owned(),
        function: Some(pb::FunctionCall {
            name: call.name.clone(),
            arguments: call.arguments.clone(),
            extra_json: String::new(),
        }),
        extra_json: String::new(),
    });
    let mut extra_json = String::new();
    if !transcript.details.is_empty() {
        append_member(&mut extra_json, "reasoning_details", &format!("[{}]", transcript.details));
    }
    pb::ChatMessage {
        role: "assistant".to_owned(),
        content: some_text(&transcript.content).map(Content::Text),
        tool_calls: tool_calls.collect(),
        reasoning_content: some_text(&transcript.reasoning),
        extra_json,
        ..pb::ChatMessage::default()
    }
}
