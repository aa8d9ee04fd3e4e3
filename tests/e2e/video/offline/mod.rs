//! The built-in engine: the whole vocabulary, and the faults that it injects.

mod faults;
mod missing_files;
mod vocabulary;
