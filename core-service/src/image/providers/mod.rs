//! Who makes pictures.

pub mod offline;
pub mod openai;
mod reading;
