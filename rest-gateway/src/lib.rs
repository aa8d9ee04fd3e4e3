//! The OpenAI REST API over the Triptych contract, the protobuf API of the core, which is the gRPC service that does
//! the work. The gateway is stateless and knows no upstream: it translates requests to calls of the core, and responses
//! back.
//!
//! | module | content |
//! | --- | --- |
//! | `gateway`, `routes`, `middleware` | the API as one service |
//! | `server` | the API as the application of the HTTP server |
//! | [`core_client`] | the core's services, in this process or over the network |
//! | `context`, `metadata` | what crosses from a request into calls, and from replies into responses |
//! | `authentication` | API keys are checked before a body is read |
//! | `body`, `json`, `form`, `members` | request bodies: bounded, JSON or multipart |
//! | `path`, `query`, `ranges`, `lists` | paths, query parameters, conditional and range requests, pages of lists |
//! | `origin`, `cors` | requests of web pages |
//! | `links`, `link_signer` | links to stored media |
//! | `access_log`, `metrics`, `observed_body` | what is recorded about each request |
//! | [`error`], `sse`, `download` | error responses, event streams, files |
//! | `chat`, `response`, `image`, `video`, `webhooks`, `usage`, `admin`, `models`, `media`, `health`, `openapi` | handlers |
//! | `pages` | the pages for browsers |

mod access_log;
mod admin;
mod app;
mod authentication;
mod body;
mod chat;
mod context;
pub mod core_client;
mod cors;
mod download;
pub mod error;
mod form;
mod gateway;
mod headers;
mod health;
mod ietf_rate_limits;
mod image;
mod json;
mod link_signer;
mod links;
mod lists;
mod media;
mod members;
mod metadata;
mod metrics;
mod middleware;
mod models;
mod observed_body;
mod offload;
mod openapi;
mod origin;
mod pages;
mod path;
mod query;
mod ranges;
mod request_id;
mod request_memory;
mod request_state;
mod response;
mod routes;
mod server;
mod settings;
mod sse;
mod target_state;
#[cfg(test)]
mod testing;
mod usage;
mod usd;
mod video;
mod webhooks;

pub use gateway::Gateway;
pub use link_signer::LinkSigner;
pub use routes::{ROUTES, Route};
pub use settings::{RuntimeSettings, Settings};
