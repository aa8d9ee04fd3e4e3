//! The chat providers.

pub(crate) mod assembly;
pub mod offline;
pub mod openai;
