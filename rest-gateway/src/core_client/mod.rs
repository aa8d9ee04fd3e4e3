//! The core as the gateway calls it: the generated service traits.
//!
//! In one process, the services of the core implement them and a call is a virtual call. Over the network, the generated
//! clients implement them. No other module can tell the difference.

mod remote;
mod services;

pub use self::{
    remote::ConnectOptions,
    services::{CoreServices, KeyCheck, ReplyStream},
};
