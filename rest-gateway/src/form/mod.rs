//! Request bodies in JSON or multipart form data, with the same names and meaning in both.

mod body;
mod fields;
mod fold;
mod image_input;
mod value;

pub(crate) use self::{body::FormBody, fields::Fields};
