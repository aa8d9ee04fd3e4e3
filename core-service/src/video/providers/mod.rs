//! The video providers.

pub(crate) mod assembly;
mod common;
pub mod kling;
pub mod minimax;
pub mod offline;
pub mod openai;
pub mod seedance;
pub mod vidu;
pub mod wan;
