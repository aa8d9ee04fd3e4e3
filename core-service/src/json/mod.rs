//! JSON of upstreams: lenient reading of responses, and requests with members that are already JSON text.

pub(crate) mod members;
mod names;
mod object;

pub(crate) use self::{names::is_equivalent, object::JsonObject};
