//! The image providers and their shared parts.

pub(crate) mod assembly;
mod context;
pub mod dashscope;
mod decode;
pub mod doubao;
mod event_stream;
mod fetch;
mod image_list;
mod json;
pub mod midjourney;
pub mod nano_banana;
pub mod offline;
pub mod openai;
mod request;
mod tasks;
#[cfg(test)]
mod testing;
