//! The calls of the hosted image tool.

use super::{
    super::{
        fields::Node,
        image_call::{GeneratedImage, ImageCall},
        input::{InputItem, read_item},
        tools::{ImageTool, ToolKind},
    },
    call::CallItem,
    output::{Output, Slot},
};
use crate::json::write::{ObjectWriter, write_object};

const KIND: &str = "image_generation_call";
/// The error of a call that has no image when its response ends.
const UNFINISHED: &str = "The response ended before the image was finished.";

/// The image calls of a response.
#[derive(Debug)]
pub(super) struct Images {
    /// The maximum number of calls that are executed.
    limit: Option<u64>,
    /// Number of calls that were handed to the caller.
    executed: u64,
    /// The calls of the current turn.
    calls: Vec<ImageProgress>,
}

/// A call of the current turn.
#[derive(Debug)]
struct ImageProgress {
    slot: Slot,
    call_id: String,
    /// The prompt, for the item.
    prompt: String,
    edit: bool,
    /// Whether the events were sent that report the start of the generation.
    is_generating: bool,
    /// Number of previews so far.
    previews: u32,
    /// The text that tells the model the result, once the image is finished.
    result: Option<String>,
}

impl Images {
    pub(super) fn new(limit: Option<u64>) -> Self {
        Self { limit, executed: 0, calls: Vec::new() }
    }

    /// Starts the image calls of a turn that has ended, and returns those to execute. Calls beyond the limit and with
    /// unusable arguments fail.
    pub(super) fn start(&mut self, tool: &ImageTool, calls: &[CallItem], output: &mut Output) -> Vec<ImageCall> {
        self.calls.clear();
        let mut started = Vec::new();
        for call in calls {
            let Some((slot, ToolKind::Image)) = call.item() else { continue };
            let planned = if self.is_exhausted() {
                Err("The maximum number of tool calls of this response is reached.".to_owned())
            } else {
                tool.call(&call.arguments)
            };
            let (prompt, edit) = planned.as_ref().map(|call| (call.prompt.clone(), call.edit)).unwrap_or_default();
            let progress = ImageProgress {
                slot: slot.clone(),
                call_id: call.call_id.clone(),
                prompt,
                edit,
                is_generating: false,
                previews: 0,
                result: None,
            };
            self.calls.push(progress);
            match planned {
                Ok(planned) => {
                    self.executed += 1;
                    let input_images = if planned.edit { last_image(output) } else { Vec::new() };
                    let (item_id, call_id) = (slot.id.clone(), call.call_id.clone());
                    started.push(ImageCall { item_id, call_id, input_images, ..planned });
                }
                Err(message) => self.fail(&slot.id, &message, output),
            }
        }
        started
    }

    /// Returns whether no further call is executed.
    pub(super) fn is_exhausted(&self) -> bool {
        self.limit.is_some_and(|limit| self.executed >= limit)
    }

    /// Reports that an image is being generated; only once.
    pub(super) fn in_progress(&mut self, item_id: &str, output: &mut Output) {
        let Some(progress) = self.find(item_id) else { return };
        if std::mem::replace(&mut progress.is_generating, true) {
            return;
        }
        for name in ["response.image_generation_call.in_progress", "response.image_generation_call.generating"] {
            output.emitter.emit(name, |o| progress.slot.write(o));
        }
    }

    /// Adds a preview.
    pub(super) fn preview(&mut self, call: &ImageCall, base64: &str, output: &mut Output) {
        self.in_progress(&call.item_id, output);
        let Some(progress) = self.find(&call.item_id) else { return };
        output.emitter.emit("response.image_generation_call.partial_image", |o| {
            progress.slot.write(o);
            o.scalar("partial_image_index", &progress.previews);
            o.scalar("partial_image_b64", base64);
            o.optional("size", call.size.as_ref());
            o.optional("quality", call.quality.as_ref());
            o.optional("background", call.background.as_ref());
            o.optional("output_format", call.output_format.as_ref());
        });
        progress.previews += 1;
    }

    /// Ends a call with its image.
    pub(super) fn complete(&mut self, item_id: &str, image: &GeneratedImage, output: &mut Output) {
        self.in_progress(item_id, output);
        let Some(progress) = self.find(item_id) else { return };
        let size = image.size.as_ref().map(|size| format!(" Size: {size}.")).unwrap_or_default();
        progress.result = Some(format!("The image was generated and shown to the user.{size}"));
        output.emitter.emit("response.image_generation_call.completed", |o| progress.slot.write(o));
        let (id, prompt) = (&progress.slot.id, image.revised_prompt.as_ref().unwrap_or(&progress.prompt));
        let action = if progress.edit { "edit" } else { "generate" };
        output.close(&progress.slot, KIND, |out| {
            write_item(out, id, "completed", |o| {
                o.scalar("result", &image.base64);
                o.scalar("revised_prompt", prompt);
                o.scalar("action", action);
                o.optional("size", image.size.as_ref());
                o.optional("quality", image.quality.as_ref());
                o.optional("background", image.background.as_ref());
                o.optional("output_format", image.output_format.as_ref());
            });
        });
    }

    /// Ends a call without an image. The model learns of `message`.
    pub(super) fn fail(&mut self, item_id: &str, message: &str, output: &mut Output) {
        let Some(progress) = self.find(item_id) else { return };
        progress.result = Some(format!("The image could not be generated. {message}"));
        let (slot, prompt) = (&progress.slot, &progress.prompt);
        output.close(slot, KIND, |out| write_failed(out, &slot.id, prompt, message));
    }

    /// Ends all calls that the caller has not ended.
    pub(super) fn fail_unfinished(&mut self, output: &mut Output) {
        let unfinished = self.calls.iter().filter(|call| call.result.is_none()).map(|call| call.slot.id.clone());
        for item_id in unfinished.collect::<Vec<_>>() {
            self.fail(&item_id, UNFINISHED, output);
        }
    }

    /// Ends all calls without events.
    pub(super) fn abandon(&mut self, calls: &[CallItem], output: &mut Output) {
        for call in calls {
            let Some((slot, ToolKind::Image)) = call.item() else { continue };
            let progress = self.calls.iter().find(|progress| progress.slot.id == slot.id);
            if progress.is_none_or(|progress| progress.result.is_none()) {
                let prompt = progress.map_or("", |progress| &progress.prompt);
                output.store(slot, KIND, |out| write_failed(out, &slot.id, prompt, UNFINISHED));
            }
        }
        self.calls.clear();
    }

    /// Returns the ids of the calls and the results that are sent to the model.
    pub(super) fn results(&self) -> impl Iterator<Item = (&str, &str)> {
        self.calls.iter().map(|call| (call.call_id.as_str(), call.result.as_deref().unwrap_or_default()))
    }

    /// Returns a call that has not ended.
    fn find(&mut self, item_id: &str) -> Option<&mut ImageProgress> {
        self.calls.iter_mut().find(|progress| progress.slot.id == item_id && progress.result.is_none())
    }
}

/// Returns the last image of the output, as a `data:` URL.
fn last_image(output: &Output) -> Vec<String> {
    let images = output.items().filter(|item| item.kind() == KIND);
    let urls = images.filter_map(|item| match read_item(&Node::new("output", item.to_json())) {
        Ok(InputItem::Image(image)) => image.url,
        Ok(_) | Err(_) => None,
    });
    urls.last().into_iter().collect()
}

fn write_item(out: &mut Vec<u8>, id: &str, status: &str, members: impl FnOnce(&mut ObjectWriter<'_>)) {
    write_object(out, |o| {
        o.scalar("id", id);
        o.scalar("type", KIND);
        o.scalar("status", status);
        members(o);
    });
}

fn write_failed(out: &mut Vec<u8>, id: &str, prompt: &str, message: &str) {
    write_item(out, id, "failed", |o| {
        // OpenAI's description also allows `null`, which the AI SDK rejects together with the whole response.
        o.scalar("result", "");
        o.scalar("revised_prompt", prompt);
        o.object("error", |o| {
            o.scalar("type", "image_generation_error");
            o.scalar("message", message);
        });
    });
}
