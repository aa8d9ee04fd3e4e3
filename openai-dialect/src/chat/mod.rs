//! Chat completions: request, reply and chunk, each read and written.

mod apart;
mod calls;
mod chunk;
mod content;
mod logprobs;
mod message;
mod reply;
mod request;
mod stream;
mod together;
mod tools;
mod usage;

pub use apart::take_apart;
pub use calls::{CallNumbers, NO_INDEX};
pub use chunk::{Chunk, read_chunk, write_chunk};
pub use reply::{Reply, read_reply, write_reply};
pub use request::{Request, Streaming, read_request, write_request};
pub use stream::{ChunkEvent, ChunkReader, ChunkWriter};
pub use together::Together;

/// The members of a request that have a field; an `extra_json` must not repeat them with a value.
pub use request::MEMBERS as REQUEST_MEMBERS;

#[cfg(test)]
mod tests;
