//! Image generation.
//!
//! `validate` turns a message into [`ImageParameters`](parameters::ImageParameters), `providers` generate images from them,
//! `resize` converts the images to the requested size and format, and `grpc` serves the result.

pub mod fan_out;
pub mod grpc;
mod guarded;
pub mod native_size;
pub mod parameters;
pub mod provider;
pub mod providers;
mod resize;
mod response;
mod validate;

pub use provider::{Edits, ImageEvent, ImageProvider, Usage};
