//! The Triptych core: the services of the gRPC API (`proto/`) over three provider traits, durable video jobs, and the media store.
//!
//! | module | contents |
//! | --- | --- |
//! | [`chat`], [`image`], [`video`] | the services: provider trait, providers, gRPC service; video also the jobs |
//! | [`response`] | the Responses API over chat and images: stored responses, and those in the background |
//! | [`models`], [`catalog`] | the models of one modality and of all, and their gRPC service |
//! | [`media`] | stored files |
//! | [`keys`], [`context`], [`idempotency`] | the caller, the context and the identity of a call |
//! | [`limits`], [`rate_limits`] | the limits of callers, and their state in responses |
//! | [`prices`], [`ledger`], [`usd`] | the prices of models, and what callers spend and use |
//! | [`usage`] | the gRPC service for usage, budgets and estimates |
//! | [`admin`] | keys that are created while the core runs, and their gRPC service; the repair of the ledger |
//! | [`upstream`] | the HTTP client of all providers |
//! | [`database`], [`backup`] | the database, SQLite or PostgreSQL; copies of the data directory |
//! | `node`, [`node_count`] | the lease of this process, a node; the number of nodes that share the database |
//! | [`error`], [`status`] | the errors, and their mapping to gRPC statuses |
//! | [`config`], [`live`] | the settings, and values that change while the core runs |
//! | [`health`], `metrics`, `sampler` | the health of each service; metrics, and those that are read from the database |
//! | [`server`] | the gRPC server |

pub mod admin;
mod ark_errors;
mod backoff;
pub mod backup;
pub mod budget_period;
pub mod call;
pub mod catalog;
pub mod chat;
mod check;
pub mod config;
pub mod context;
mod dashscope_errors;
pub mod database;
pub mod dialect;
mod digest;
mod discovery;
pub mod error;
mod failpoint;
mod fault_injection;
mod google_errors;
pub mod health;
pub mod idempotency;
pub mod image;
mod json;
pub mod keys;
pub mod ledger;
pub mod limits;
pub mod live;
pub mod media;
pub mod media_location;
mod metrics;
mod midjourney_errors;
pub mod model_facts;
pub mod models;
pub mod name_pattern;
mod node;
pub mod node_count;
mod offload;
pub mod on_disconnect;
mod page_size;
pub mod prices;
pub mod priority;
pub mod probe;
pub mod rate_limits;
pub mod response;
mod sampler;
pub mod served_models;
pub mod server;
mod service_account;
pub mod size;
pub mod status;
mod storage_failure;
pub mod upstream;
pub mod usage;
pub mod usd;
pub mod video;
mod webhook_secret;
pub mod webhooks;
mod write_probe;

mod assembly;

pub use assembly::{Core, OpenError, Services, verify_ledger};
pub use server::serve;
