//! JSON of upstreams: lenient reading of responses, and requests with members that are already JSON text.

pub(crate) mod members;
mod object;

pub(crate) use self::object::JsonObject;
