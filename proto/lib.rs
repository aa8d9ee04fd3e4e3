//! The Triptych API: the code generated from `proto/triptych/v1`, its descriptor set, and the in-process form of chat
//! streams.

pub mod chat_stream;
pub mod codec;
pub mod error_info;
pub mod time;
pub mod usd;

/// Messages, clients and servers of the package `triptych.v1`; the documentation is copied from the `.proto` files.
#[allow(
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    clippy::wildcard_enum_match_arm,
    reason = "generated code"
)]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/triptych.v1.rs"));
}

/// The encoded `FileDescriptorSet` of `triptych.v1`, imports included, as served by gRPC server reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
