//! OpenAI's Responses API: requests translated into chat requests, and chat responses into responses and their events.
//!
//! A chat upstream knows nothing of responses. [`ResponseRequest`] reads a request and writes the chat request that an
//! upstream understands. [`ResponseWriter`] takes the chunks or the complete response of the upstream, and keeps the
//! response object and its events. Nothing here does I/O, reads a clock or draws a random number: the caller supplies the
//! id of a response and the time, and the ids of items are derived from the id of their response.
//!
//! The wire format is that of OpenAI's published description of its API (github.com/openai/openai-openapi).

mod annotation;
mod conversation;
mod echo;
mod error;
mod event;
mod fields;
mod id;
mod image_call;
mod input;
mod item;
mod logprobs;
mod metadata;
mod refused;
mod request;
mod settings;
mod text;
mod tools;
mod usage;
mod writer;

pub use error::InvalidRequest;
pub use event::Event;
pub use id::response_of_item;
pub use image_call::{GeneratedImage, ImageCall};
pub use item::Item;
pub use request::ResponseRequest;
pub use writer::{ResponseWriter, Turn};
