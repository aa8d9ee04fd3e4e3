//! The image providers.

pub(crate) mod assembly;
mod common;
pub mod dashscope;
pub mod doubao;
pub mod midjourney;
pub mod nano_banana;
pub mod offline;
pub mod openai;
