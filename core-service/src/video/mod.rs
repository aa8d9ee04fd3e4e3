//! Videos. A provider takes minutes for one, so each request becomes a job that is stored, survives restarts, and is executed by a
//! runner. The generation of a video at a provider is called a render, its id there a task, its finished files a clip.
//!
//! | module | content |
//! | --- | --- |
//! | [`provider`] | the provider trait; [`providers`] are its implementations |
//! | [`guarded`], [`key_rotation`] | wrappers of a provider: circuit breaker and concurrency limit; several API keys |
//! | [`operation`], [`inputs`], [`parameters`] | generate, edit, extend, remix; the input files; all parameters of a job |
//! | [`state`] | the job state machine: pure, no I/O, no clock |
//! | [`job`], [`store`] | a job and where it is stored |
//! | [`charge`] | the price of a job, and the money that is reserved for it |
//! | [`runner`] | claims jobs under leases and drives them to a final state |
//! | `files`, `references` | the names of a job's files; why the sweeper of the media store keeps them |
//! | [`time`], [`task`] | timestamps and the clock of a store; the id of a render at its provider |
//! | [`jobs`] | the operations of callers on jobs: create, read, watch, cancel, delete; `hold_resolution`: of administrators |
//! | [`grpc`], `validate`, [`callback`] | the gRPC service; its request checks; that of `callback_url` |
//! | `response`, `history`, `repetition` | a job, its history, and the request that creates it again, as protobuf messages |

pub mod callback;
pub mod charge;
mod files;
pub mod grpc;
pub mod guarded;
mod history;
mod hold_resolution;
pub mod inputs;
pub mod job;
pub mod jobs;
pub mod key_rotation;
pub mod operation;
pub mod parameters;
pub mod provider;
pub mod providers;
mod references;
mod repetition;
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
pub(crate) use provider::PROVIDER_TIMEOUT;
pub use provider::{
    Cancellation, Clip, ClipFile, LostSubmission, Progress, RenderRequest, RenderUsage, Search, Slot, UpstreamTask,
    Variant, VideoModel, VideoProvider,
};
