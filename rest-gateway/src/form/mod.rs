//! Request bodies in JSON or multipart form data, with the same names and meaning in both. The image and video
//! endpoints accept both encodings: OpenAI's SDKs send files as multipart.

mod body;
mod fields;
mod fold;
mod media_input;
mod value;

pub(crate) use self::{
    body::FormBody,
    fields::Fields,
    media_input::{MediaKind, parse_text_input, parse_url_input},
    value::Value,
};
