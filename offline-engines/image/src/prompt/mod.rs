//! Finds the known words of a prompt.

mod parse;
mod terms;
mod words;

pub(crate) use parse::ParsedPrompt;
pub(crate) use terms::{Scene, Style, Subject, Time, Weather};
