//! The limits of downloads from providers.

use std::time::Duration;

use crate::{config, media::address_policy::AddressPolicy};

/// The limits of downloads from providers.
#[derive(Debug, Clone, Copy)]
pub struct DownloadSettings {
    /// The address policy for links outside the trusted origin.
    pub address_policy: AddressPolicy,
    /// The most bytes of a picture.
    pub max_picture_bytes: u64,
    /// The most pixels of a picture.
    pub max_pixels: u64,
    /// The time limit for opening a connection.
    pub connect_timeout: Duration,
    /// The time limit from sending a request to receiving the response headers.
    pub first_byte_timeout: Duration,
    /// The longest pause within a response body.
    pub idle_timeout: Duration,
    /// The delay between the two attempts to download a picture.
    pub retry_delay: Duration,
    /// The time limit for a whole picture, including redirects and the second attempt. Videos have only the limits above.
    pub picture_timeout: Duration,
}

impl Default for DownloadSettings {
    fn default() -> Self {
        Self {
            address_policy: AddressPolicy::PUBLIC_ANY_PORT,
            max_picture_bytes: 64 << 20,
            max_pixels: 100_000_000,
            connect_timeout: Duration::from_secs(10),
            first_byte_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(30),
            retry_delay: Duration::from_millis(500),
            picture_timeout: Duration::from_mins(2),
        }
    }
}

impl From<&config::Media> for DownloadSettings {
    /// `fetch_private_addresses` permits private addresses in the links of providers too.
    fn from(settings: &config::Media) -> Self {
        let address_policy =
            if settings.fetch_private_addresses { AddressPolicy::OPEN } else { AddressPolicy::PUBLIC_ANY_PORT };
        Self { address_policy, ..Self::default() }
    }
}
