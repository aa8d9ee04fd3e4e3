//! Mock chat engine: Triptych's built-in chat provider for offline use, tests and demos.
//!
//! It has no knowledge, and every prose reply says so and names `CHAT_BASE_URL`, the setting that connects a real model.
//! But it behaves like a real model in all aspects that a client can depend on: tokens are counted with a real tokenizer,
//! `max_tokens` and `stop` cut where they should, tools are called with arguments that satisfy their schema, and a JSON
//! Schema response format yields a document that validates.
//! Output is deterministic: it depends on the request and its seed, never on the clock.
//!
//! ```
//! use offline_chat::{Request, Turn, complete};
//!
//! let completion = complete(&Request { turns: vec![Turn::user("Hello!")], ..Request::default() })?;
//! assert!(completion.choices[0].pieces.concat().contains("CHAT_BASE_URL"));
//! # Ok::<(), offline_chat::Error>(())
//! ```
//!
//! Where to start reading: `engine` selects the kind of reply; `tools` and `schema` write JSON, `prose` writes text from
//! the templates in `phrases`; `conversation`, `intent` and `entities` extract everything that is used from the user's
//! messages.

mod code_examples;
mod completion;
mod conversation;
mod engine;
mod entities;
mod error;
mod fingerprint;
mod intent;
mod language;
mod phrases;
mod prompted_schema;
mod prose;
mod request;
mod rng;
mod schema;
mod tokens;
mod tools;
mod words;

pub use completion::{Choice, Completion, FinishReason, ToolCall};
pub use engine::{complete, complete_unless};
pub use error::Error;
pub use request::{Format, PastCall, Request, Role, Tool, ToolChoice, Turn};
pub use tokens::count_tokens;
