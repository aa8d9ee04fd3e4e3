//! The reasoning of the model.

use super::output::{Output, Slot};
use crate::json::{
    extra::append_elements,
    write::{ObjectWriter, write_object},
};

/// A reasoning item that has not ended.
#[derive(Debug)]
pub(super) struct ReasoningItem {
    slot: Slot,
    form: Form,
    text: String,
    /// The elements of the upstream's `reasoning_details`, which become `encrypted_content`.
    details: String,
}

/// How the text is written.
#[derive(Debug, Clone, Copy)]
struct Form {
    /// The names of the events, in the order in which they occur.
    part_added: &'static str,
    delta: &'static str,
    text_done: &'static str,
    part_done: &'static str,
    /// The name of the part's position in events.
    index: &'static str,
    /// The type of the part.
    part: &'static str,
    is_summary: bool,
}

const CONTENT: Form = Form {
    part_added: "response.content_part.added",
    delta: "response.reasoning_text.delta",
    text_done: "response.reasoning_text.done",
    part_done: "response.content_part.done",
    index: "content_index",
    part: "reasoning_text",
    is_summary: false,
};

const SUMMARY: Form = Form {
    part_added: "response.reasoning_summary_part.added",
    delta: "response.reasoning_summary_text.delta",
    text_done: "response.reasoning_summary_text.done",
    part_done: "response.reasoning_summary_part.done",
    index: "summary_index",
    part: "summary_text",
    is_summary: true,
};

impl ReasoningItem {
    /// Begins an item. `as_summary`: the text is written as a summary instead of the content.
    pub(super) fn open(as_summary: bool, output: &mut Output) -> Self {
        let form = if as_summary { SUMMARY } else { CONTENT };
        let slot = output.open("rs", |out, id| write_item(out, id, "in_progress", form, "", ""));
        Self { slot, form, text: String::new(), details: String::new() }
    }

    /// Appends text.
    pub(super) fn append(&mut self, delta: &str, output: &mut Output) {
        if delta.is_empty() {
            return;
        }
        let form = self.form;
        if self.text.is_empty() {
            self.emit(form.part_added, output, |o| o.value_with("part", |out| write_part(out, form, "")));
        }
        self.text.push_str(delta);
        self.emit(form.delta, output, |o| o.scalar("delta", delta));
    }

    /// Appends elements of the upstream's `reasoning_details`, separated by commas.
    pub(super) fn append_details(&mut self, elements: &str) {
        append_elements(&mut self.details, elements);
    }

    /// Ends the item with this status.
    pub(super) fn close(self, status: &str, output: &mut Output) {
        let form = self.form;
        if !self.text.is_empty() {
            self.emit(form.text_done, output, |o| o.scalar("text", &self.text));
            self.emit(form.part_done, output, |o| o.value_with("part", |out| write_part(out, form, &self.text)));
        }
        output.close(&self.slot, "reasoning", |out| self.write(out, status));
    }

    /// Ends the item without events.
    pub(super) fn abandon(self, output: &mut Output) {
        output.store(&self.slot, "reasoning", |out| self.write(out, "incomplete"));
    }

    fn emit(&self, name: &'static str, output: &mut Output, members: impl FnOnce(&mut ObjectWriter<'_>)) {
        output.emitter.emit(name, |o| {
            self.slot.write(o);
            // An item has one part.
            o.scalar(self.form.index, &0);
            members(o);
        });
    }

    fn write(&self, out: &mut Vec<u8>, status: &str) {
        write_item(out, &self.slot.id, status, self.form, &self.text, &self.details);
    }
}

fn write_part(out: &mut Vec<u8>, form: Form, text: &str) {
    write_object(out, |o| {
        o.scalar("type", form.part);
        o.scalar("text", text);
    });
}

/// Writes the item. Without text, the content and the summary are empty.
fn write_item(out: &mut Vec<u8>, id: &str, status: &str, form: Form, text: &str, details: &str) {
    let write_parts = |out: &mut Vec<u8>, is_present: bool| {
        out.push(b'[');
        if is_present && !text.is_empty() {
            write_part(out, form, text);
        }
        out.push(b']');
    };
    write_object(out, |o| {
        o.scalar("id", id);
        o.scalar("type", "reasoning");
        o.value_with("summary", |out| write_parts(out, form.is_summary));
        if !form.is_summary {
            o.value_with("content", |out| write_parts(out, true));
        }
        if !details.is_empty() {
            o.scalar("encrypted_content", &format!("[{details}]"));
        }
        o.scalar("status", status);
    });
}
