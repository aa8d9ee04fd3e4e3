//! Camera moves and how a prompt selects them.

mod parse;
#[cfg(test)]
mod tests;
mod types;
mod words;

pub use types::{Direction, Motion, Pace};
