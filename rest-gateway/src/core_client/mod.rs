//! The core as the gateway calls it: the service traits that are generated from the `.proto` files. The core is the
//! gRPC service that does the work, in this process or another.
//!
//! In one process, the services of the core implement them and a call is a virtual call. Over the network, the generated
//! clients implement them. No other module can tell the difference.

mod address;
mod connection;
mod connections;
mod deadline;
mod joined_writes;
mod remote;
mod response_body;
mod services;
mod tls;

pub use self::{
    address::ConnectError,
    remote::ConnectOptions,
    services::{CoreServices, KeyCheck, ReplyStream},
    tls::{CoreTls, CoreTlsFiles},
};
