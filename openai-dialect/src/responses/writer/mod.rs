//! Builds a response object and its events from the chunks of an upstream.

mod call;
mod complete;
mod document;
mod image;
mod json_end;
mod message;
mod next_turn;
mod output;
mod reasoning;
mod turn;

use triptych_proto::v1 as pb;

use self::{
    document::{Document, Status},
    image::Images,
    output::Output,
    turn::{Format, TurnState},
};
use super::{
    event::Event,
    image_call::{GeneratedImage, ImageCall},
    item::Item,
    request::ResponseRequest,
};

/// Builds a response; also used for requests without streaming, whose events are discarded.
///
/// The order of calls: `queued` (background only), `start`, then for each turn `chunk`… or `completion`, `end_turn`, the
/// methods for each of its image calls, and `next_turn`; at last `finish`. `fail` and `cancel` may take the place of any.
/// After the response has ended, all methods that return events return none.
#[derive(Debug)]
pub struct ResponseWriter {
    document: Document,
    output: Output,
    format: Format,
    turn: TurnState,
    images: Images,
    is_created: bool,
    /// Whether the current turn has ended.
    is_turn_ended: bool,
    /// Whether a turn did not report its usage.
    lacks_usage: bool,
}

/// The end of a turn, the response to one chat request.
#[derive(Debug, Default)]
pub struct Turn {
    /// The events that end the items of the turn.
    pub events: Vec<Event>,
    /// The images that the model asked for, in order. Each must be ended with [`ResponseWriter::image_completed`] or
    /// [`ResponseWriter::image_failed`].
    pub image_calls: Vec<ImageCall>,
}

impl ResponseWriter {
    /// Returns the writer of a response with this id and creation time in Unix seconds. `model` is the public name; if it is
    /// empty, the name that the upstream's response carries takes its place.
    pub fn new(request: &ResponseRequest, id: String, created_at: i64, model: String) -> Self {
        let settings = &request.settings;
        let output = Output::new(id.clone());
        Self {
            document: Document::new(id, created_at, model, settings.echo.clone()),
            format: Format::new(settings),
            turn: TurnState::begin(&output),
            images: Images::new(settings.max_tool_calls),
            output,
            is_created: false,
            is_turn_ended: false,
            lacks_usage: false,
        }
    }

    /// Marks a background response as waiting: `response.created` and `response.queued`.
    pub fn queued(&mut self) -> Vec<Event> {
        self.document.status = Status::Queued;
        self.create();
        self.emit_response("response.queued");
        self.output.emitter.take()
    }

    /// Marks the response as in progress: `response.created`, unless `queued` has sent it, and `response.in_progress`.
    pub fn start(&mut self) -> Vec<Event> {
        if self.document.status.is_final() {
            return Vec::new();
        }
        self.document.status = Status::InProgress;
        self.create();
        self.emit_response("response.in_progress");
        self.output.emitter.take()
    }

    /// Adds a chunk of the upstream.
    pub fn chunk(&mut self, chunk: pb::StreamChatResponse) -> Vec<Event> {
        if self.document.status.is_final() {
            return Vec::new();
        }
        if std::mem::take(&mut self.is_turn_ended) {
            self.turn = TurnState::begin(&self.output);
        }
        if self.document.model.is_empty() {
            self.document.model.clone_from(&chunk.model);
        }
        if let Some(tier) = &chunk.service_tier {
            self.document.echo.set_service_tier(tier);
        }
        self.turn.push(chunk, &self.format, &mut self.output);
        self.output.emitter.take()
    }

    /// Adds a complete response of the upstream.
    pub fn completion(&mut self, response: pb::CreateChatResponse) -> Vec<Event> {
        self.chunk(complete::to_chunk(response))
    }

    /// Ends the items of the turn after its last chunk.
    pub fn end_turn(&mut self) -> Turn {
        if self.document.status.is_final() || self.is_turn_ended {
            return Turn::default();
        }
        self.is_turn_ended = true;
        self.document.incomplete_reason = match self.turn.finish_reason.as_deref() {
            Some("length") => Some("max_output_tokens"),
            Some("content_filter") => Some("content_filter"),
            Some(_) | None => None,
        };
        self.turn.end(self.document.incomplete_reason.is_some(), &self.format, &mut self.output);
        match &self.turn.usage {
            Some(usage) if !self.lacks_usage => self.document.usage.get_or_insert_default().add(usage),
            Some(_) | None => {
                // The sum of some turns is not the usage of the response.
                self.lacks_usage = true;
                self.document.usage = None;
            }
        }
        let image_calls = match &self.format.tools.image {
            Some(tool) => self.images.start(tool, &self.turn.calls, &mut self.output),
            None => Vec::new(),
        };
        Turn { events: self.output.emitter.take(), image_calls }
    }

    /// Reports that the image is being generated.
    pub fn image_in_progress(&mut self, call: &ImageCall) -> Vec<Event> {
        self.images.in_progress(&call.item_id, &mut self.output);
        self.output.emitter.take()
    }

    /// Adds a preview of the image, in base64.
    pub fn image_partial(&mut self, call: &ImageCall, base64: &str) -> Vec<Event> {
        self.images.preview(call, base64, &mut self.output);
        self.output.emitter.take()
    }

    /// Ends an image call with its image.
    pub fn image_completed(&mut self, call: &ImageCall, image: &GeneratedImage) -> Vec<Event> {
        self.images.complete(&call.item_id, image, &mut self.output);
        self.output.emitter.take()
    }

    /// Ends an image call without an image. The model learns of `message`, and the response goes on.
    pub fn image_failed(&mut self, call: &ImageCall, message: &str) -> Vec<Event> {
        self.images.fail(&call.item_id, message, &mut self.output);
        self.output.emitter.take()
    }

    /// Extends the chat request of the last turn with its messages and the results of its image calls. Returns false if the
    /// response is complete, and leaves the request unchanged then.
    ///
    /// A response is complete if the model called no image tool, if it also called functions, whose results the client must
    /// supply, or if the upstream cut it.
    pub fn next_turn(&self, chat: &mut pb::ChatRequest) -> bool {
        let goes_on = self.is_turn_ended && self.document.incomplete_reason.is_none();
        goes_on && next_turn::extend(chat, &self.turn, &self.images)
    }

    /// Ends the response: `response.completed`, or `response.incomplete` if the upstream stopped at the token limit or a
    /// content filter. `now` in Unix seconds. Image calls that have not ended fail.
    pub fn finish(&mut self, now: i64) -> Vec<Event> {
        if self.document.status.is_final() {
            return Vec::new();
        }
        let mut events = self.end_turn().events;
        self.images.fail_unfinished(&mut self.output);
        if self.document.incomplete_reason.is_some() {
            self.document.status = Status::Incomplete;
            self.emit_response("response.incomplete");
        } else {
            self.document.status = Status::Completed;
            self.document.completed_at = Some(now);
            self.emit_response("response.completed");
        }
        events.append(&mut self.output.emitter.take());
        events
    }

    /// Ends the response with an error: `response.failed`. Items that have not ended are part of the output, as incomplete.
    ///
    /// A `code` that OpenAI's description does not list is written as `server_error` and precedes the message.
    pub fn fail(&mut self, code: &str, message: &str) -> Vec<Event> {
        if self.document.status.is_final() {
            return Vec::new();
        }
        self.create();
        self.abandon();
        self.document.set_error(code, message);
        self.document.status = Status::Failed;
        self.emit_response("response.failed");
        self.output.emitter.take()
    }

    /// Marks the response as cancelled. OpenAI has no event for it. Items that have not ended are part of the output, as
    /// incomplete.
    pub fn cancel(&mut self) {
        if !self.document.status.is_final() {
            self.abandon();
            self.document.status = Status::Cancelled;
        }
    }

    /// Returns the response object in its current state. Items that have not ended are not part of it.
    pub fn response_json(&self) -> String {
        let mut json = Vec::with_capacity(1024);
        self.document.write(&mut json, self.output.items());
        super::event::json_text(json)
    }

    /// Returns the output items that have ended, in order of their position.
    pub fn output_items(&self) -> impl Iterator<Item = &Item> {
        self.output.items()
    }

    /// Emits `response.created`, the first event of every stream.
    fn create(&mut self) {
        if !std::mem::replace(&mut self.is_created, true) {
            self.emit_response("response.created");
        }
    }

    fn abandon(&mut self) {
        self.turn.abandon(&mut self.output);
        self.images.abandon(&self.turn.calls, &mut self.output);
    }

    /// Emits an event with the response object.
    fn emit_response(&mut self, name: &'static str) {
        let mut json = Vec::with_capacity(1024);
        self.document.write(&mut json, self.output.items());
        let json = super::event::json_text(json);
        self.output.emitter.emit(name, |o| o.raw("response", &json));
    }
}
