//! One turn: the items that the chunks of one chat response become.
//!
//! One text item, a message or reasoning, is open at a time, and calls beside it. An item ends when the next one begins, as
//! in OpenAI's streams. A call ends then only if its arguments are complete: deltas of parallel calls may interleave.

use triptych_proto::v1 as pb;

use super::{
    super::{annotation::url_citations, logprobs::Logprobs, settings::Settings, tools::Tools},
    call::CallItem,
    message::{MessageItem, PartKind},
    output::Output,
    reasoning::ReasoningItem,
};
use crate::{
    chat::ToolCallIndexer,
    json::{extra::append_elements, extra_members},
};

/// How a response is written.
#[derive(Debug)]
pub(super) struct Format {
    pub(super) tools: Tools,
    logprobs: bool,
    encrypted_reasoning: bool,
    reasoning_summary: bool,
}

impl Format {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            tools: settings.tools.clone(),
            logprobs: settings.logprobs,
            encrypted_reasoning: settings.encrypted_reasoning,
            reasoning_summary: settings.reasoning_summary,
        }
    }
}

/// The state of a turn.
#[derive(Debug, Default)]
pub(super) struct TurnState {
    /// The message that has not ended. Not at the same time as `reasoning`.
    message: Option<MessageItem>,
    reasoning: Option<ReasoningItem>,
    /// The calls, in the order in which they began.
    pub(super) calls: Vec<CallItem>,
    indexer: ToolCallIndexer,
    /// Annotations that have arrived before the text they belong to.
    annotations: Vec<String>,
    /// Number of output items before the turn.
    first_item: usize,
    pub(super) finish_reason: Option<String>,
    pub(super) usage: Option<pb::Usage>,
    /// What the next turn repeats; empty without hosted tools, which are the only reason for one.
    pub(super) transcript: Transcript,
}

/// The texts of a turn.
#[derive(Debug, Default)]
pub(super) struct Transcript {
    pub(super) content: String,
    pub(super) reasoning: String,
    /// The elements of the upstream's `reasoning_details`.
    pub(super) details: String,
}

impl TurnState {
    /// Returns the state of the turn that begins now.
    pub(super) fn begin(output: &Output) -> Self {
        Self { first_item: output.len(), ..Self::default() }
    }

    /// Adds a chunk. Other choices than the first are ignored: the request asks for one.
    pub(super) fn push(&mut self, mut chunk: pb::StreamChatResponse, format: &Format, output: &mut Output) {
        self.indexer.assign(&mut chunk);
        if chunk.usage.is_some() {
            self.usage = chunk.usage;
        }
        for choice in chunk.choices.into_iter().filter(|choice| choice.index == 0) {
            let logprobs = choice.logprobs.filter(|_| format.logprobs);
            let logprobs = logprobs.map(|logprobs| Logprobs::of(&logprobs.content)).unwrap_or_default();
            self.push_delta(choice.delta.unwrap_or_default(), &logprobs, format, output);
            if let Some(reason) = choice.finish_reason.filter(|reason| !reason.is_empty()) {
                self.finish_reason = Some(reason);
            }
        }
    }

    /// Ends all items. `is_cut`: the upstream stopped before the model was finished.
    pub(super) fn end(&mut self, is_cut: bool, format: &Format, output: &mut Output) {
        if self.calls.iter().any(|call| call.item().is_none()) {
            self.end_text("completed", output);
        }
        for call in &mut self.calls {
            if call.item().is_none() {
                call.begin(format.tools.kind(&call.name), output);
            }
            let status = if is_cut && !call.is_complete() { "incomplete" } else { "completed" };
            call.close(status, output);
        }
        if output.len() == self.first_item {
            // Clients expect a message, even if the model wrote nothing.
            self.message_mut(output).append(PartKind::Text, "", &Logprobs::default(), output);
        }
        // A call that begins ends the text before it, so an open text is later than all calls.
        self.end_text(if is_cut { "incomplete" } else { "completed" }, output);
    }

    /// Ends all items without events.
    pub(super) fn abandon(&mut self, output: &mut Output) {
        for call in &mut self.calls {
            call.abandon(output);
        }
        if let Some(message) = self.message.take() {
            message.abandon(output);
        }
        if let Some(reasoning) = self.reasoning.take() {
            reasoning.abandon(output);
        }
    }

    fn push_delta(&mut self, delta: pb::ChatDelta, logprobs: &Logprobs, format: &Format, output: &mut Output) {
        let pb::ChatDelta { role: _, content, refusal, reasoning_content, tool_calls, extra_json } = delta;
        let has_image_tool = format.tools.image.is_some();
        if let Some(text) = reasoning_content.filter(|text| !text.is_empty()) {
            self.reasoning_mut(format, output).append(&text, output);
            if has_image_tool {
                self.transcript.reasoning.push_str(&text);
            }
        }
        if (format.encrypted_reasoning || has_image_tool)
            && let Some(details) = reasoning_details(&extra_json)
        {
            if format.encrypted_reasoning {
                self.reasoning_mut(format, output).append_details(&details);
            }
            append_elements(&mut self.transcript.details, &details);
        }
        let content = content.unwrap_or_default();
        if self.has_text(&content, logprobs) {
            self.message_mut(output).append(PartKind::Text, &content, logprobs, output);
            if has_image_tool {
                self.transcript.content.push_str(&content);
            }
        }
        self.annotations.extend(url_citations(&extra_json));
        if let Some(message) = &mut self.message {
            message.annotate(&mut self.annotations, output);
        }
        if let Some(refusal) = refusal.filter(|refusal| !refusal.is_empty()) {
            self.message_mut(output).append(PartKind::Refusal, &refusal, &Logprobs::default(), output);
        }
        for call in tool_calls {
            self.push_call(call, format, output);
        }
    }

    /// Returns whether a content begins or continues a message. Upstreams send empty contents beside other deltas, and white
    /// space between calls.
    fn has_text(&self, content: &str, logprobs: &Logprobs) -> bool {
        if self.message.is_some() {
            !content.is_empty() || !logprobs.is_empty()
        } else if self.calls.is_empty() {
            !content.is_empty()
        } else {
            !content.trim().is_empty()
        }
    }

    fn push_call(&mut self, delta: pb::ToolCallDelta, format: &Format, output: &mut Output) {
        let pb::ToolCallDelta { index, id, r#type: _, function, extra_json: _ } = delta;
        let pb::FunctionCallDelta { name, arguments, extra_json: _ } = function.unwrap_or_default();
        let position = self.calls.iter().position(|call| call.upstream_index == index).unwrap_or_else(|| {
            self.calls.push(CallItem::new(index));
            self.calls.len() - 1
        });
        let call = &mut self.calls[position];
        let is_new = call.item().is_none();
        if is_new {
            for (field, value) in [(&mut call.call_id, id), (&mut call.name, name)] {
                if field.is_empty() {
                    *field = value.unwrap_or_default();
                }
            }
        }
        if is_new && !self.calls[position].name.is_empty() {
            self.end_text("completed", output);
            self.end_complete_calls(output);
            let call = &mut self.calls[position];
            call.begin(format.tools.kind(&call.name), output);
        }
        self.calls[position].append(&arguments.unwrap_or_default(), output);
    }

    fn message_mut(&mut self, output: &mut Output) -> &mut MessageItem {
        if self.message.is_none() {
            self.end_text("completed", output);
            self.end_complete_calls(output);
        }
        self.message.get_or_insert_with(|| MessageItem::open(output))
    }

    fn reasoning_mut(&mut self, format: &Format, output: &mut Output) -> &mut ReasoningItem {
        if self.reasoning.is_none() {
            self.end_text("completed", output);
            self.end_complete_calls(output);
        }
        self.reasoning.get_or_insert_with(|| ReasoningItem::open(format.reasoning_summary, output))
    }

    /// Ends the message or the reasoning, if one is open.
    fn end_text(&mut self, status: &str, output: &mut Output) {
        if let Some(message) = self.message.take() {
            message.close(status, output);
        }
        if let Some(reasoning) = self.reasoning.take() {
            reasoning.close(status, output);
        }
    }

    fn end_complete_calls(&mut self, output: &mut Output) {
        for call in self.calls.iter_mut().filter(|call| call.is_complete()) {
            call.close("completed", output);
        }
    }
}

/// Returns the elements of `reasoning_details`, the form in which OpenRouter sends reasoning that must be sent back.
fn reasoning_details(extra_json: &str) -> Option<String> {
    if !extra_json.contains("reasoning_details") {
        return None;
    }
    let members = extra_members(extra_json)?;
    let (_, value) = members.iter().find(|(name, _)| name == "reasoning_details")?;
    let elements = value.strip_prefix('[')?.strip_suffix(']')?.trim();
    (!elements.is_empty()).then(|| elements.to_owned())
}
