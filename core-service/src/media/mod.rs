//! Finished files: put, describe, read in ranges, remove; over an object store. And the pictures that come with requests.

pub mod fetch;
pub mod guard;
pub mod input;
pub mod key;
pub mod picture;
pub mod service;
pub mod vault;

pub use input::Inputs;
pub use key::{MediaKey, MediaType};
pub use picture::InputPicture;
pub use vault::Vault;
