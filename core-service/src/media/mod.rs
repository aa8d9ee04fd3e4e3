//! Finished files: put, describe, read in ranges, remove, sweep; over an object store. And files from elsewhere:
//! pictures that come with requests, and what providers made.

mod client;
pub mod download;
pub mod fetch;
pub mod grpc;
pub mod guard;
pub mod input;
pub mod key;
pub mod picture;
pub mod store;
pub mod sweeper;
#[cfg(test)]
pub(crate) mod testing;

pub use download::{Downloaded, Downloads, Own};
pub use input::Inputs;
pub use key::{MediaKey, MediaType};
pub use picture::InputPicture;
pub use store::MediaStore;
