//! Videos of the built-in engine: all parameters, the faults that it injects, and files that are missing in the media store.

mod faults;
mod inputs_and_parameters;
mod missing_files;
