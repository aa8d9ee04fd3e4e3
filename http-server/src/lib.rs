//! The connection layer of the REST, gRPC and admin ports: HTTP/1.1 and HTTP/2 on one listener, with limits, timeouts and graceful shutdown.
//!
//! | module | content |
//! | --- | --- |
//! | [`serve`], `connection` | the accept loop; one connection, from its first byte to its end |
//! | [`Application`], [`Refusal`] | the handler of requests; limits that refuse requests and connections |
//! | [`ConnectionThreads`], `load` | threads with a runtime of their own; the choice between them |
//! | `activity`, `socket`, `stream` | timeouts: request heads, idle connections, clients that stop reading |
//! | [`RequestBody`], `response_body` | bodies; unread request bodies are discarded within limits |
//! | [`MemoryBudget`], [`BlockingLimiter`] | bounds on the memory and on the blocking threads that all requests share |
//! | [`foreign_origin`] | requests of web pages of other origins |
//! | [`PeerAddress`], [`Encrypted`] | the address of a client, and whether it uses TLS, as extensions of its requests |
//! | `metrics` | connections and refusals, for each server |
//! | [`Drain`], `cancellation_watcher` | the stages of a shutdown; how connections watch for them |
//! | [`Listener`], [`BoundListener`] | sources of connections: TCP and Unix sockets, with TLS or without |
//! | [`Tls`], [`TlsFiles`] | TLS configuration of a listener, its files, their validity |

mod activity;
mod application;
mod blocking_limiter;
mod cancellation_watcher;
mod connection;
mod drain;
mod limits;
mod listener;
mod load;
mod memory_budget;
mod metrics;
mod origin;
mod peer;
mod request_body;
mod response_body;
mod server;
mod settings;
mod socket;
mod stream;
mod threads;
mod tls;

pub use application::{Application, Refusal};
pub use blocking_limiter::BlockingLimiter;
pub use drain::{Announcement, Drain};
pub use listener::{BoundListener, ListenAddress, Listener, OpenError};
pub use memory_budget::{MemoryBudget, Reservation};
pub use origin::foreign_origin;
pub use peer::{Encrypted, PeerAddress};
pub use request_body::RequestBody;
pub use server::serve;
pub use settings::ServerSettings;
pub use threads::{ConnectionThreads, ThreadCount};
pub use tls::{
    CertificateTime, Identity, LoadedTls, Tls, TlsError, TlsFile, TlsFiles, Validity, read_identity, read_roots,
};
