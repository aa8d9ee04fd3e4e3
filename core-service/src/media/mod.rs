//! Media files: the store and the sweeper, and the files that come from elsewhere: pictures in requests, results of
//! providers.

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
