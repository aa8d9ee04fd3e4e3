//! Finds the words of a prompt that the engine can draw.

mod leftover;
mod parse;
mod plain_words;
mod terms;
mod words;

pub(crate) use parse::ParsedPrompt;
pub(crate) use terms::{Scene, Style, Subject, Time, Weather};
