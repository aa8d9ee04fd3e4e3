//! Finished files: put, describe, read in ranges, remove; over an object store. And the pictures that come with requests.

mod client;
pub mod download;
pub mod fetch;
pub mod guard;
pub mod input;
pub mod key;
pub mod picture;
pub mod service;
#[cfg(test)]
pub(crate) mod testing;
pub mod vault;

pub use download::{Downloaded, Downloads, Own};
pub use input::Inputs;
pub use key::{MediaKey, MediaType};
pub use picture::InputPicture;
pub use vault::Vault;
