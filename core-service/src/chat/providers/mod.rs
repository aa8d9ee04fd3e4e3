//! Who answers conversations.

pub mod offline;
pub mod openai;
