//! HTTP client for one upstream, the meaning of its errors, and the protection of a target, which is one model at an upstream:
//! circuit breaker, concurrency limit and retry policy. Knows nothing of chat, images or videos.
//!
//! The HTTP/1.1 client is written here instead of taken from a library, because a streamed token has to cost little. A
//! pooled client runs a task per connection, which costs a channel send and a wake-up per chunk; hyper's connection polled
//! by its reader was still half of the cost of a streamed token, because every body chunk is an allocation and passes
//! through a channel, and every idle connection keeps a buffer of 8 KiB or more. Reading all responses of a thread from
//! one buffer took another third off the CPU time per stream (`docs/PERFORMANCE.md`, `docs/DESIGN.md`). What is needed is
//! small: one request in flight per connection, response heads by `httparse`, three kinds of body framing. This also makes
//! cancellation simple: dropping a response closes its connection, which stops the upstream.
//!
//! Layers, each importing only those above it:
//!
//! | module | holds |
//! | --- | --- |
//! | `settings`, `deadline` | timeouts, credentials, set-up errors; the earlier of two time limits |
//! | `framing`, `head` | the HTTP/1.1 wire format (RFC 9112) |
//! | `connect`, `connection`, `body` | sockets, TLS and proxies; one connection; one response body on it |
//! | `diagnosis` | why a connection cannot be opened |
//! | `decompress` | gzip and deflate, for servers that ignore `accept-encoding: identity` |
//! | `pool`, `exchange` | idle connections; one request and its response |
//! | `failure` | which error a failed response means |
//! | `client` | the client |
//! | `breaker`, `concurrency_limit`, `retry`, `admission` | protection of a target; used by `chat::routing`, `image` and `video` |

mod admission;
mod body;
mod breaker;
mod client;
mod concurrency_limit;
mod connect;
mod connection;
mod deadline;
mod decompress;
mod diagnosis;
mod exchange;
mod failure;
mod framing;
mod head;
mod pool;
mod retry;
mod settings;

pub(crate) use openai_dialect::sse::{Event, EventReader};

pub(crate) use self::{
    admission::{AdmittedCall, UpstreamAdmission, acquire, rejection},
    body::ConnectionLost,
    client::{Upstream, context_headers},
    concurrency_limit::Permit,
    deadline::{until, within},
    exchange::UpstreamResponse,
    failure::{
        QuotaMeaning, parse_error_member, parse_error_member_with, parse_error_response, parse_error_response_with,
        retry_after,
    },
    retry::{RetryScope, delay},
};
pub use self::{
    breaker::{BreakerSettings, BreakerState, OpenCause},
    concurrency_limit::ConcurrencyLimit,
    retry::RetrySettings,
    settings::{Auth, SetupError, Timeouts},
};
