//! The Responses API: executes requests over the chat and image services, stores responses, and generates those in the background.
//!
//! The translation between responses and chat is in the crate `openai-dialect`. Each call of a model goes through the service of its
//! modality, so that limits, budgets, routing and usage apply to it as to a call of a client.

mod background;
mod calls;
mod execution;
mod failure;
mod follow;
pub mod grpc;
mod history;
mod live;
mod pages;
mod prepare;
mod store;
mod sweeper;

pub(crate) use self::{
    background::{BackgroundHandle, BackgroundRunner},
    calls::ModelCalls,
    live::LiveResponses,
    store::{QueueLimits, ResponseStore},
    sweeper::{ResponseSweeper, ResponseSweeperHandle},
};
