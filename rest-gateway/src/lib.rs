//! The OpenAI REST surface over the Triptych contract. It keeps no state of its own and never names an upstream.
//!
//! | module | holds |
//! | --- | --- |
//! | [`routes`] | the whole URL surface |
//! | [`server`] | connections: timeouts, limits, drain |
//! | [`core`] | the port to the core, in this process or over the network |
//! | [`context`], [`json`], [`error`], [`sse`] | what every handler reads and writes |
//! | `chat`, `image`, `video`, `models`, `media`, `health` | the handlers |

pub mod app;
mod body;
mod chat;
pub mod context;
pub mod core;
#[cfg(test)]
mod document_tests;
mod download;
pub mod error;
mod form;
mod health;
mod image;
pub mod json;
mod links;
mod media;
mod meters;
mod models;
mod offload;
mod path;
mod ranges;
pub mod request_id;
pub mod routes;
pub mod server;
pub mod settings;
pub mod sse;
#[cfg(test)]
mod testing;
mod video;

pub use links::LinkSigner;
pub use meters::prometheus;
pub use routes::router;
pub use server::serve;
pub use settings::Settings;
