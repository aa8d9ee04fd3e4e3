//! Chat providers.

pub mod offline;
pub mod openai;
