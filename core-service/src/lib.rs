//! The Triptych core: the contract's services over three provider traits, the durable jobs and the media store.
//!
//! | module | holds |
//! | --- | --- |
//! | [`chat`], [`image`], [`video`] | the panels: provider trait, providers, gRPC door; video also the job machine |
//! | [`catalog`] | which public model name stands for which provider |
//! | [`media`] | finished files |
//! | [`keys`] | who calls |
//! | [`error`] | everything that can go wrong, and its one mapping to `Status` |
//! | [`config`] | the settings and their limits |
//! | [`server`] | the core as a server of its own |

mod backoff;
pub mod call;
pub mod catalog;
pub mod chat;
mod check;
pub mod config;
pub mod context;
pub mod database;
mod digest;
pub mod error;
pub mod idempotency;
pub mod image;
pub mod keys;
pub mod live;
pub mod media;
pub mod model;
pub mod server;
pub mod size;
pub mod upstream;
pub mod video;

mod assembly;

pub use assembly::{Core, OpenError, Services};
pub use server::serve;
