//! Builds a response object and its events from the chunks of an upstream.

use triptych_proto::v1 as pb;

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
#[derive(Debug)]
pub struct ResponseWriter {
    id: String,
    output: Vec<Item>,
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
    /// Returns the writer of a response with this id and creation time in Unix seconds. `model` is the public name.
    pub fn new(request: &ResponseRequest, id: String, created_at: i64, model: String) -> Self {
        let _ = (request, created_at, model);
        Self { id, output: Vec::new() }
    }

    /// Marks a background response as waiting: `response.created` and `response.queued`.
    pub fn queued(&mut self) -> Vec<Event> {
        Vec::new()
    }

    /// Marks the response as in progress: `response.created`, unless `queued` has sent it, and `response.in_progress`.
    pub fn start(&mut self) -> Vec<Event> {
        Vec::new()
    }

    /// Adds a chunk of the upstream.
    pub fn chunk(&mut self, chunk: pb::StreamChatResponse) -> Vec<Event> {
        drop(chunk);
        Vec::new()
    }

    /// Adds a complete response of the upstream.
    pub fn completion(&mut self, response: pb::CreateChatResponse) -> Vec<Event> {
        drop(response);
        Vec::new()
    }

    /// Ends the items of the turn after its last chunk.
    pub fn end_turn(&mut self) -> Turn {
        Turn::default()
    }

    /// Reports that the image is being generated.
    pub fn image_in_progress(&mut self, call: &ImageCall) -> Vec<Event> {
        let _ = call;
        Vec::new()
    }

    /// Adds a preview of the image, in base64.
    pub fn image_partial(&mut self, call: &ImageCall, base64: &str) -> Vec<Event> {
        let _ = (call, base64);
        Vec::new()
    }

    /// Ends an image call with its image.
    pub fn image_completed(&mut self, call: &ImageCall, image: &GeneratedImage) -> Vec<Event> {
        let _ = (call, image);
        Vec::new()
    }

    /// Ends an image call without an image. The model learns of `message`, and the response goes on.
    pub fn image_failed(&mut self, call: &ImageCall, message: &str) -> Vec<Event> {
        let _ = (call, message);
        Vec::new()
    }

    /// Extends the chat request of the last turn with its messages and the results of its image calls. Returns false if the
    /// response is complete, and leaves the request unchanged then.
    pub fn next_turn(&self, chat: &mut pb::ChatRequest) -> bool {
        let _ = chat;
        false
    }

    /// Ends the response: `response.completed`, or `response.incomplete` if the upstream stopped at the token limit or a
    /// content filter. `now` in Unix seconds.
    pub fn finish(&mut self, now: i64) -> Vec<Event> {
        let _ = now;
        Vec::new()
    }

    /// Ends the response with an error: `response.failed`.
    pub fn fail(&mut self, code: &str, message: &str) -> Vec<Event> {
        let _ = (code, message);
        Vec::new()
    }

    /// Marks the response as cancelled. OpenAI has no event for it.
    pub fn cancel(&mut self) {}

    /// Returns the response object in its current state.
    pub fn response_json(&self) -> String {
        format!("{{\"id\":\"{}\"}}", self.id)
    }

    /// Returns the finished output items, in order of their position.
    pub fn output_items(&self) -> &[Item] {
        &self.output
    }
}
