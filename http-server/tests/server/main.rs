//! The server over real sockets. The clock is paused, so that timeouts pass as soon as nothing else can happen.

#![expect(clippy::unwrap_used, reason = "a failure fails the test")]

mod bodies;
mod certificates;
mod drain;
mod http2;
#[cfg(unix)]
mod listeners;
mod recorded;
mod refusals;
mod test_server;
mod timeouts;
mod tls;
mod tls_files;
