//! Videos: durable jobs over the provider trait.
//!
//! | module | content |
//! | --- | --- |
//! | [`provider`] | the provider trait; [`providers`] are its implementations |
//! | [`operation`], [`inputs`] | what is done: generate, edit, extend, remix; the input files of a video |
//! | [`state`] | the job state machine: pure, no I/O, no clock |
//! | [`job`], [`store`] | a job and where it is stored |
//! | [`runner`] | claims jobs under leases and drives them to a final state |
//! | [`jobs`] | what callers do with jobs: create, read, watch, cancel, delete |
//! | [`grpc`] | the gRPC service |

pub mod callback;
pub mod charge;
mod files;
pub mod grpc;
pub mod guarded;
pub mod inputs;
pub mod job;
pub mod jobs;
pub mod key_rotation;
pub mod operation;
pub mod parameters;
pub mod provider;
pub mod providers;
mod references;
mod response;
pub mod runner;
pub mod state;
pub mod store;
pub mod task;
#[cfg(test)]
pub(crate) mod testing;
pub mod time;
mod validate;

pub use operation::Operation;
pub use provider::{
    Cancellation, Clip, ClipFile, LostSubmission, Progress, RenderRequest, Search, Slot, UpstreamTask, Variant,
    VideoModel, VideoProvider,
};
