//! Media files: generated pictures and videos, and the files that requests and providers bring in.
//!
//! | module | content |
//! | --- | --- |
//! | [`key`] | the names of stored files (media keys), and their types |
//! | [`store`], [`sweeper`] | stores and reads files; removes those that are no longer needed |
//! | [`input`], [`fetch`], [`picture`], `pixels` | pictures, videos and sounds in requests: fetched, checked, decoded |
//! | [`download`] | results of providers, from the links in their responses |
//! | [`clip`] | size, duration, sound and frames of stored videos |
//! | [`provider_links`] | links by which providers fetch inputs |
//! | [`address_policy`], `client` | protection against server-side request forgery |
//! | [`budget`] | limits of memory and threads |
//! | [`grpc`] | the gRPC service |

pub mod address_policy;
pub mod budget;
pub(crate) mod client;
pub mod clip;
pub mod download;
pub mod fetch;
pub mod grpc;
pub mod input;
pub mod key;
pub mod picture;
pub(crate) mod pixels;
pub mod provider_links;
pub mod store;
pub mod sweeper;
#[cfg(test)]
pub(crate) mod testing;

pub use budget::PictureBudget;
pub use download::{DownloadedPicture, Downloader, TrustedOrigin};
pub use input::InputResolver;
pub use key::{MediaKey, MediaType};
pub use picture::InputPicture;
pub use provider_links::ProviderLinks;
pub use store::MediaStore;
