//! Webhooks: signed HTTP requests that tell receivers how video jobs ended.
//!
//! The outbox of the job store (`job_events`) has a row for each change of a job's state, written in the transaction of the
//! change. If a job is deleted before the dispatcher has read the row of its final state, the row is kept in
//! `deleted_job_events`. The dispatcher turns the rows of final states into deliveries, one per event and endpoint, and sends
//! these until the receiver has accepted them or the schedule has ended. A delivery is claimed under a lease, so one whose
//! process was killed is sent again: at least once, always with the same id.
//!
//! | module | content |
//! | --- | --- |
//! | [`event`], [`endpoint`] | the message, and its receiver |
//! | [`delivery`] | the delivery of one message to one receiver, with the history of its attempts |
//! | [`signature`] | signatures of the Standard Webhooks specification |
//! | [`store`] | endpoints, deliveries and the position in the outbox |
//! | [`registry`] | the endpoints of the configuration and those of the store as one |
//! | [`sender`] | one HTTP request, to a public address unless the settings allow others |
//! | `schedule` | the delays between the attempts |
//! | [`attempts`] | one attempt of a delivery: the request and the record of its result |
//! | [`dispatcher`] | the background task |
//! | [`grpc`] | the gRPC service |

pub mod attempts;
pub mod delivery;
pub mod dispatcher;
pub mod endpoint;
pub mod event;
pub mod grpc;
pub mod registry;
mod schedule;
pub mod sender;
pub mod signature;
pub mod store;
#[cfg(test)]
pub(crate) mod testing;
