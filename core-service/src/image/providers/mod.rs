//! Who makes pictures.

pub mod nano_banana;
pub mod offline;
pub mod openai;
mod reading;
