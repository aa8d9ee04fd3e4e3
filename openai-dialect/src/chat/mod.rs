//! Chat completions: request, response and streamed chunk, each read and written.

mod assemble;
mod choice_index;
mod chunk;
mod content;
mod content_part;
mod error;
mod json_schema;
mod logprobs;
mod message;
mod reasoning;
mod request;
mod response;
mod response_format;
mod split;
mod stream;
mod tool_call;
mod tool_call_index;
mod tools;
mod usage;

pub use assemble::ResponseAssembler;
pub use chunk::{MissingUsage, UpstreamChunk, read_chunk, write_chunk};
pub use request::{Request, Streaming, read_request, write_request};
pub use response::{UpstreamResponse, read_response, write_response};
pub use split::split_response;
pub use stream::{ChunkEvent, ChunkReader, ChunkWriter};
pub use tool_call_index::{NO_INDEX, ToolCallIndexer};

#[cfg(test)]
mod tests;
