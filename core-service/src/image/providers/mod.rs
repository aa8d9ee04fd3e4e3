//! The image providers: each module implements [`ImageProvider`](super::ImageProvider) for the API of one vendor, and lists its
//! models for the catalog. `offline` is the built-in engine; `common` holds what several modules share.

pub(crate) mod assembly;
mod common;
pub mod dashscope;
pub mod doubao;
pub mod midjourney;
pub mod nano_banana;
pub mod offline;
pub mod openai;
