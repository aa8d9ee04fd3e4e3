//! End-to-end tests over REST and gRPC. Most tests run twice: with the gateway and the core connected by method calls, and by gRPC
//! over a socket. The provider behind the core is a fake HTTP upstream.

#![allow(clippy::unwrap_used, reason = "a failure of a helper is a failure of the test")]

mod access_log;
mod admin;
mod api_keys;
mod backpressure;
mod budgets;
mod chat;
mod errors;
mod fake_upstream;
mod grpc_web;
mod http2;
mod image;
mod limits;
mod log_capture;
mod media;
mod models;
mod pages;
mod postgres;
mod priority;
mod response;
mod rest_response;
mod test_server;
mod timeouts;
mod usage;
mod video;
