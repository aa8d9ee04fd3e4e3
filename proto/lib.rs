//! The Triptych contract: what is generated from `proto/triptych/v1`, and the form in which streamed answers travel
//! within a process.

pub mod chat_stream;
pub mod time;

/// Messages and services of `triptych.v1`; their documentation is the contract's own.
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

/// The encoded `FileDescriptorSet` of the contract, imports included: what server reflection serves.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
