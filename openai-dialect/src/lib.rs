//! OpenAI's JSON to and from the contract, loss-free in both directions.
//!
//! The gateway reads requests and writes replies; the core's OpenAI-compatible providers write requests and read
//! replies. Both halves stand here side by side, because what one drops the other can never bring back.
//!
//! Two laws hold everywhere:
//!
//! 1. A member goes to its field when the field can hold it; every other member, a vendor's own or an explicit `null`,
//!    goes to the `extra_json` of its level as raw text, and comes back from there byte for byte and in order.
//! 2. Requests are read strictly, because a caller can mend them; replies are read leniently, because nobody can.

pub mod chat;
pub mod events;
mod object;
mod value;
mod write;

pub use object::ReadError;
pub use write::extra_members;
