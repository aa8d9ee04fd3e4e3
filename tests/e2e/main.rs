//! The whole path, end to end: both doors, both hops between the halves, and an upstream that does as it is told.

#![allow(clippy::unwrap_used, reason = "whatever fails here fails the test, helpers included")]

mod chat;
mod disconnect;
mod errors;
mod fidelity;
mod grpc_web;
mod harness;
mod http2;
mod image;
mod keys;
mod limits;
mod media;
mod oddities;
mod policies;
mod pressure;
mod queue;
mod refusals;
mod routing;
mod targets;
mod upstream;
mod upstreams;
mod usage;
mod video;
mod whole;
