//! Calls of functions, of custom tools and of the image tool.

use super::{
    super::tools::ToolKind,
    json_end::JsonEnd,
    output::{Output, Slot},
};
use crate::json::write::write_object;

/// A call of the model in the current turn.
#[derive(Debug)]
pub(super) struct CallItem {
    /// The upstream's index of the call.
    pub(super) upstream_index: u32,
    /// The id of the call, empty until the upstream or `begin` supplies it.
    pub(super) call_id: String,
    pub(super) name: String,
    pub(super) arguments: String,
    end: JsonEnd,
    /// The output item, once the name of the tool is known.
    item: Option<(Slot, ToolKind)>,
    closed: bool,
}

/// Arguments of a custom tool.
#[derive(serde::Deserialize)]
struct CustomArguments {
    input: String,
}

impl CallItem {
    pub(super) fn new(upstream_index: u32) -> Self {
        Self {
            upstream_index,
            call_id: String::new(),
            name: String::new(),
            arguments: String::new(),
            end: JsonEnd::default(),
            item: None,
            closed: false,
        }
    }

    /// Returns the output item, once the call has begun.
    pub(super) fn item(&self) -> Option<&(Slot, ToolKind)> {
        self.item.as_ref()
    }

    /// Returns whether the arguments are a complete JSON object.
    pub(super) fn is_complete(&self) -> bool {
        self.end.is_complete()
    }

    /// Adds the item to the output. Upstreams may omit the id of a call; then it is derived from the item's.
    pub(super) fn begin(&mut self, kind: ToolKind, output: &mut Output) {
        let (call_id, name) = (&self.call_id, &self.name);
        let slot = match kind {
            ToolKind::Function => output.open("fc", |out, id| {
                write_call(out, id, "in_progress", &call_id_of(call_id, id), name, ("arguments", ""));
            }),
            ToolKind::Custom => output.open("ctc", |out, id| {
                write_call(out, id, "in_progress", &call_id_of(call_id, id), name, ("input", ""));
            }),
            ToolKind::Image => output.open("ig", |out, id| {
                write_object(out, |o| {
                    o.scalar("id", id);
                    o.scalar("type", "image_generation_call");
                    o.scalar("status", "in_progress");
                    o.raw("result", "null");
                });
            }),
        };
        self.call_id = call_id_of(call_id, &slot.id);
        self.item = Some((slot, kind));
        let early = std::mem::take(&mut self.arguments);
        self.append(&early, output);
    }

    /// Appends to the arguments. Before `begin` they are only collected. After `close` they are dropped: the JSON of the arguments is
    /// complete by then, so that nothing but white space can follow.
    pub(super) fn append(&mut self, delta: &str, output: &mut Output) {
        if self.closed || delta.is_empty() {
            return;
        }
        self.arguments.push_str(delta);
        let Some((slot, kind)) = &self.item else { return };
        self.end.push(delta);
        if *kind == ToolKind::Function {
            output.emitter.emit("response.function_call_arguments.delta", |o| {
                slot.write(o);
                o.scalar("delta", delta);
            });
        }
    }

    /// Ends the call. The item of an image call goes on until the image is finished.
    pub(super) fn close(&mut self, status: &str, output: &mut Output) {
        if self.closed {
            return;
        }
        if self.arguments.is_empty() && status == "completed" {
            // Functions without parameters; clients parse the arguments.
            self.append("{}", output);
        }
        self.closed = true;
        let Some((slot, kind)) = &self.item else { return };
        match kind {
            ToolKind::Function => {
                output.emitter.emit("response.function_call_arguments.done", |o| {
                    slot.write(o);
                    o.scalar("name", &self.name);
                    o.scalar("arguments", &self.arguments);
                });
            }
            ToolKind::Custom => {
                let input = self.custom_input();
                // The arguments are JSON, so the input is known at its end only.
                output.emitter.emit("response.custom_tool_call_input.delta", |o| {
                    slot.write(o);
                    o.scalar("delta", &input);
                });
                output.emitter.emit("response.custom_tool_call_input.done", |o| {
                    slot.write(o);
                    o.scalar("input", &input);
                });
            }
            ToolKind::Image => return,
        }
        output.close(slot, kind_name(*kind), |out| self.write(out, slot, *kind, status));
    }

    /// Ends the call without events, for a response that failed or was cancelled.
    pub(super) fn abandon(&mut self, output: &mut Output) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        match &self.item {
            Some((slot, kind @ (ToolKind::Function | ToolKind::Custom))) => {
                output.store(slot, kind_name(*kind), |out| self.write(out, slot, *kind, "incomplete"));
            }
            Some((_, ToolKind::Image)) | None => {}
        }
    }

    fn write(&self, out: &mut Vec<u8>, slot: &Slot, kind: ToolKind, status: &str) {
        match kind {
            ToolKind::Custom => {
                write_call(out, &slot.id, status, &self.call_id, &self.name, ("input", &self.custom_input()));
            }
            ToolKind::Function | ToolKind::Image => {
                write_call(out, &slot.id, status, &self.call_id, &self.name, ("arguments", &self.arguments));
            }
        }
    }

    /// Returns the input of a custom tool. A model may ignore the schema; then the input is what it wrote.
    fn custom_input(&self) -> String {
        serde_json::from_str(&self.arguments).map_or_else(|_| self.arguments.clone(), |CustomArguments { input }| input)
    }
}

fn call_id_of(call_id: &str, item_id: &str) -> String {
    if !call_id.is_empty() {
        return call_id.to_owned();
    }
    let digits = item_id.split_once('_').map_or(item_id, |(_, digits)| digits);
    format!("call_{digits}")
}

fn kind_name(kind: ToolKind) -> &'static str {
    match kind {
        ToolKind::Function => "function_call",
        ToolKind::Custom => "custom_tool_call",
        ToolKind::Image => "image_generation_call",
    }
}

/// Writes an item; `payload` is the name and value of its arguments or input.
fn write_call(out: &mut Vec<u8>, id: &str, status: &str, call_id: &str, name: &str, payload: (&'static str, &str)) {
    let (payload_name, payload) = payload;
    let kind = if payload_name == "input" { "custom_tool_call" } else { "function_call" };
    write_object(out, |o| {
        o.scalar("id", id);
        o.scalar("type", kind);
        o.scalar("status", status);
        o.scalar(payload_name, payload);
        o.scalar("call_id", call_id);
        o.scalar("name", name);
    });
}
