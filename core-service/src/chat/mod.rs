//! Chat: the provider trait, the providers, routing over several upstreams, the gRPC service, and calls that continue after
//! the client disconnects.

pub mod detached;
pub mod files;
pub mod grpc;
mod normalize;
pub mod provider;
pub mod providers;
mod response;
pub mod routing;
mod tokens;
mod validate;

pub use provider::{ChatCall, ChatProvider};
