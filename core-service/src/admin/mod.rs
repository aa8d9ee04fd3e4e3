//! Administration: API keys that are created while the core runs, and the repair of the ledger.
//!
//! The store keeps the keys, and applies each committed change to the table of keys that calls are checked against.

pub mod grpc;
mod registry;
mod store;

pub use self::{
    registry::KeyRegistry,
    store::{KeyStore, sql::SqlKeyStore},
};
