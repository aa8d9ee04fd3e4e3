//! Finished files: put, describe, read in ranges, remove; over an object store. And the pictures that come with requests.

pub mod key;
pub mod vault;

pub use key::{MediaKey, MediaType};
pub use vault::Vault;
