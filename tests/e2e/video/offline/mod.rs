//! Videos of the built-in engine: all parameters, the faults that it injects, and files that are missing in the media store.

mod faults;
mod missing_files;
mod vocabulary;
