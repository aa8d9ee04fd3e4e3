//! The `[media]` settings: input pictures, stored files, and links to stored files.

use std::{path::Path, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

use super::{
    de::{base_url, secret},
    error::SettingError,
};
use crate::media_location::{DirectDownloads, MediaLocation, Service};

/// The highest value of [`Media::max_input_bytes`], in bytes.
///
/// Inputs of existing jobs are checked against this constant, not against the setting, so that an operator who lowers the setting
/// does not make queued jobs fail.
pub const MAX_INPUT_BYTES: u64 = 256 << 20;

/// The `[media]` settings.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Media {
    /// Where files are stored, as [`MediaLocation::parse`] accepts it. Empty: the directory `media` in the data directory.
    pub url: String,
    /// How clients download stored files.
    pub downloads: Downloads,
    /// The base URL of the object store for clients that are redirected to it. `None`: the one that the core uses.
    #[serde(deserialize_with = "base_url")]
    pub download_endpoint: Option<Url>,
    /// Whether picture URLs in requests may point into private networks.
    pub fetch_private_addresses: bool,
    /// The maximum size of an input picture, in bytes.
    pub max_input_bytes: u64,
    /// The maximum size of an input picture, in pixels.
    pub max_pixels: u64,
    /// The maximum memory for the input pictures of all requests in flight that are fetched from URLs or read from the media store,
    /// in bytes. A request that needs more is refused.
    pub input_memory_bytes: usize,
    /// The maximum memory for pixels, in bytes. Decoding and scaling share one budget of this size; the built-in engine has a
    /// second one. Work that exceeds its budget waits.
    pub pixel_memory_bytes: usize,
    /// The maximum memory for the pictures of all image responses, in bytes. A request reserves two bytes for each requested
    /// pixel, or five if the response contains the pictures instead of links. Requests that exceed the budget wait.
    pub response_memory_bytes: usize,
    /// The key with which the gateway signs links. `None`: links are not signed, and a media key alone grants access.
    #[serde(deserialize_with = "secret")]
    pub signing_key: Option<SecretString>,
    /// The base URL at which clients and providers reach the gateway. Copied from the gateway's setting `PUBLIC_BASE_URL`.
    #[serde(skip)]
    pub public_base_url: Option<String>,
    /// The minimum validity of a signed link.
    #[serde(with = "humantime_serde")]
    pub link_ttl: Duration,
    /// How long an unused file is kept. Zero: forever. Files of video jobs follow `jobs.retention` instead.
    #[serde(with = "humantime_serde")]
    pub retention: Duration,
    /// The maximum total size of all stored files, in bytes. Above it, the least recently used files are removed. 0: no limit.
    pub quota_bytes: u64,
}

/// How clients download stored files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Downloads {
    /// From this process, which reads them from the object store.
    #[default]
    Proxy,
    /// From the bucket: this process answers with a pre-signed URL.
    Redirect,
}

impl Default for Media {
    fn default() -> Self {
        Self {
            url: String::new(),
            downloads: Downloads::default(),
            download_endpoint: None,
            fetch_private_addresses: false,
            max_input_bytes: 20 << 20,
            max_pixels: 50_000_000,
            input_memory_bytes: 512 << 20,
            pixel_memory_bytes: 512 << 20,
            response_memory_bytes: 1 << 30,
            signing_key: None,
            public_base_url: None,
            link_ttl: Duration::from_hours(24),
            retention: Duration::ZERO,
            quota_bytes: 0,
        }
    }
}

/// The lowest value of [`Media::max_input_bytes`], in bytes: practically every picture is larger.
const MIN_INPUT_BYTES: u64 = 64;

/// The minimum length of the signing key, in bytes, against guessing.
const MIN_SIGNING_KEY_LENGTH: usize = 16;

/// The minimum retention: time for the client to download a file after it received the link.
const MIN_RETENTION: Duration = Duration::from_mins(1);

/// The minimum of each memory budget: enough for one of the largest pictures.
const MIN_MEMORY_BYTES: usize = 64 << 20;

/// The minimum quota: enough for all pictures of one response.
const MIN_QUOTA_BYTES: u64 = 64 << 20;

impl Media {
    /// Returns where files are stored.
    ///
    /// # Errors
    /// The URL is not accepted, or its object store cannot serve downloads as they are set.
    pub fn location(&self, data_dir: &Path) -> Result<MediaLocation, SettingError> {
        let mut location = if self.url.is_empty() {
            MediaLocation::Directory(data_dir.join("media"))
        } else {
            MediaLocation::parse(&self.url).map_err(|why| SettingError::new("media.url", why))?
        };
        let redirects = self.downloads == Downloads::Redirect;
        if self.download_endpoint.is_some() && !redirects {
            let rule = "has an effect with media.downloads = \"redirect\" only";
            return Err(SettingError::new("media.download_endpoint", rule));
        }
        match &mut location {
            MediaLocation::Directory(_) if redirects => {
                let rule = "\"redirect\" needs a bucket: set media.url, for example to s3://BUCKET, or use \"proxy\"";
                return Err(SettingError::new("media.downloads", rule));
            }
            MediaLocation::Bucket(bucket) if self.download_endpoint.is_some() && bucket.service != Service::S3 => {
                return Err(SettingError::new(
                    "media.download_endpoint",
                    "needs a bucket of S3: media.url = \"s3://BUCKET\"",
                ));
            }
            MediaLocation::Bucket(bucket) => {
                let endpoint = self.download_endpoint.clone();
                bucket.direct_downloads = redirects.then_some(DirectDownloads { endpoint });
            }
            MediaLocation::Directory(_) => {}
        }
        Ok(location)
    }

    pub(super) fn validate(&self) -> Result<(), SettingError> {
        let error = |key, message| Err(SettingError::new(key, message));
        self.location(Path::new(""))?;
        if !(MIN_INPUT_BYTES..=MAX_INPUT_BYTES).contains(&self.max_input_bytes) {
            return error("media.max_input_bytes", "must be 64 to 268435456 (256 MiB)");
        }
        if self.max_pixels == 0 {
            return error("media.max_pixels", "must be at least 1");
        }
        let budgets = [
            ("media.input_memory_bytes", self.input_memory_bytes),
            ("media.pixel_memory_bytes", self.pixel_memory_bytes),
            ("media.response_memory_bytes", self.response_memory_bytes),
        ];
        if let Some((key, _)) = budgets.iter().find(|(_, bytes)| *bytes < MIN_MEMORY_BYTES) {
            return error(key, "must be at least 67108864 (64 MiB)");
        }
        if u64::try_from(self.input_memory_bytes).is_ok_and(|bytes| bytes < self.max_input_bytes) {
            return error("media.input_memory_bytes", "must be at least media.max_input_bytes");
        }
        if self.signing_key.as_ref().is_some_and(|key| key.expose_secret().len() < MIN_SIGNING_KEY_LENGTH) {
            let rule = "must have at least 16 characters; `openssl rand -hex 32` generates a suitable one";
            return error("media.signing_key", rule);
        }
        if self.link_ttl < Duration::from_secs(1) {
            return error("media.link_ttl", "must be at least 1s");
        }
        if !self.retention.is_zero() && self.retention < MIN_RETENTION {
            return error("media.retention", "must be 0s (forever) or at least 1m");
        }
        if self.quota_bytes != 0 && self.quota_bytes < MIN_QUOTA_BYTES {
            return error("media.quota_bytes", "must be 0 (no limit) or at least 67108864 (64 MiB)");
        }
        Ok(())
    }
}
