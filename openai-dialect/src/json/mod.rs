//! Reading and writing JSON objects whose unknown members are preserved as raw text.
//!
//! A member of a JSON object is read into a field of a protobuf message, or kept in the `extra_json` of that message:
//! `object` decides which, `value` reads the values, `write` writes both.

pub(crate) mod error;
pub(crate) mod extra;
pub(crate) mod field;
pub(crate) mod mode;
pub(crate) mod object;
mod one_value;
pub(crate) mod raw;
pub(crate) mod sanitize;
pub(crate) mod value;
pub(crate) mod write;

pub use error::ReadError;
pub use extra::{extra_members, remove_member};
pub use sanitize::sanitized;
