//! The message of the assistant: texts and refusals.

use super::{
    super::logprobs::Logprobs,
    output::{Output, Slot},
};
use crate::json::write::{Write, write_array, write_object};

/// A message that has not ended.
#[derive(Debug)]
pub(super) struct MessageItem {
    slot: Slot,
    /// The parts; only the last one has not ended.
    parts: Vec<Part>,
}

/// The type of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PartKind {
    Text,
    Refusal,
}

#[derive(Debug)]
struct Part {
    kind: PartKind,
    text: String,
    logprobs: Logprobs,
    /// JSON objects.
    annotations: Vec<String>,
}

impl MessageItem {
    pub(super) fn open(output: &mut Output) -> Self {
        let slot = output.open("msg", |out, id| write_item(out, id, "in_progress", &[]));
        Self { slot, parts: Vec::new() }
    }

    /// Appends to the last part, or begins a part if the last one has another type.
    pub(super) fn append(&mut self, kind: PartKind, delta: &str, logprobs: &Logprobs, output: &mut Output) {
        if self.parts.last().is_none_or(|part| part.kind != kind) {
            self.end_part(output);
            let part = Part { kind, text: String::new(), logprobs: Logprobs::default(), annotations: Vec::new() };
            self.emit_part("response.content_part.added", self.parts.len(), &part, output);
            self.parts.push(part);
        }
        if delta.is_empty() && logprobs.is_empty() {
            return;
        }
        let content_index = self.parts.len() - 1;
        let part = &mut self.parts[content_index];
        part.text.push_str(delta);
        part.logprobs.append(logprobs);
        let name = match kind {
            PartKind::Text => "response.output_text.delta",
            PartKind::Refusal => "response.refusal.delta",
        };
        output.emitter.emit(name, |o| {
            self.slot.write(o);
            o.scalar("content_index", &content_index);
            o.scalar("delta", delta);
            if kind == PartKind::Text {
                logprobs.write_for_event(o);
            }
        });
    }

    /// Takes the annotations, which are JSON objects, for the last part, if it is a text.
    pub(super) fn annotate(&mut self, annotations: &mut Vec<String>, output: &mut Output) {
        let Some(content_index) = self.parts.len().checked_sub(1) else { return };
        let part = &mut self.parts[content_index];
        if part.kind != PartKind::Text {
            return;
        }
        for annotation in annotations.drain(..) {
            output.emitter.emit("response.output_text.annotation.added", |o| {
                self.slot.write(o);
                o.scalar("content_index", &content_index);
                o.scalar("annotation_index", &part.annotations.len());
                o.raw("annotation", &annotation);
            });
            part.annotations.push(annotation);
        }
    }

    /// Ends the message with this status.
    pub(super) fn close(mut self, status: &str, output: &mut Output) {
        self.end_part(output);
        output.close(&self.slot, "message", |out| write_item(out, &self.slot.id, status, &self.parts));
    }

    /// Ends the message without events.
    pub(super) fn abandon(self, output: &mut Output) {
        output.store(&self.slot, "message", |out| write_item(out, &self.slot.id, "incomplete", &self.parts));
    }

    /// Ends the last part, if there is one.
    fn end_part(&mut self, output: &mut Output) {
        let Some(part) = self.parts.last() else { return };
        let content_index = self.parts.len() - 1;
        let name = match part.kind {
            PartKind::Text => "response.output_text.done",
            PartKind::Refusal => "response.refusal.done",
        };
        output.emitter.emit(name, |o| {
            self.slot.write(o);
            o.scalar("content_index", &content_index);
            match part.kind {
                PartKind::Text => {
                    o.scalar("text", &part.text);
                    part.logprobs.write_for_event(o);
                }
                PartKind::Refusal => o.scalar("refusal", &part.text),
            }
        });
        self.emit_part("response.content_part.done", content_index, part, output);
    }

    fn emit_part(&self, name: &'static str, content_index: usize, part: &Part, output: &mut Output) {
        output.emitter.emit(name, |o| {
            self.slot.write(o);
            o.scalar("content_index", &content_index);
            o.value("part", part);
        });
    }
}

impl Write for Part {
    fn write(&self, out: &mut Vec<u8>) {
        write_object(out, |o| match self.kind {
            PartKind::Text => {
                o.scalar("type", "output_text");
                o.raw("annotations", &format!("[{}]", self.annotations.join(",")));
                self.logprobs.write_for_item(o);
                o.scalar("text", &self.text);
            }
            PartKind::Refusal => {
                o.scalar("type", "refusal");
                o.scalar("refusal", &self.text);
            }
        });
    }
}

fn write_item(out: &mut Vec<u8>, id: &str, status: &str, parts: &[Part]) {
    write_object(out, |o| {
        o.scalar("id", id);
        o.scalar("type", "message");
        o.scalar("status", status);
        o.value_with("content", |out| write_array(out, parts));
        o.scalar("role", "assistant");
    });
}
