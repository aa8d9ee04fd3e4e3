//! Lossless conversion between OpenAI's JSON and the protobuf messages of `triptych.v1`, in both directions.
//!
//! The gateway reads requests and writes responses; the OpenAI-compatible providers of the core write requests and read
//! responses. Both directions are in one crate because they must agree: a member that one of them drops is lost.
//!
//! [`responses`] translates OpenAI's Responses API into these messages, and has rules of its own. Elsewhere two rules hold:
//!
//! 1. A member is stored in its field if the field can represent the value. Every other member, for example a vendor
//!    extension or an explicit `null`, is stored in the `extra_json` of its level as raw text and written back byte for
//!    byte and in order.
//! 2. A known member with a value that its field cannot represent is stored in `extra_json` as well: in a request, because
//!    the upstream judges it, and in a response, because the client cannot correct the upstream. Only required members must
//!    have their type: `model`, `messages`, `role`, `stream` and `stream_options` of a request, `choices` and `message` of a
//!    response. Responses may also deviate from JSON: see [`sanitized`]. Documents are read strictly first, so that those
//!    without deviations are read once.

pub mod base64;
pub mod chat;
mod json;
pub mod responses;
pub mod sse;

pub use json::{ReadError, extra_members, remove_member, sanitized};
