//! Which settings can change while the core runs.
//!
//! [`RELOADABLE`] lists the sections and settings that `Core::reload` applies to calls that start after it. `FIXED` lists
//! the others, which take effect at the next start. An entry of `FIXED` wins over a section of [`RELOADABLE`]. A test of the
//! executable checks that the two cover every setting of `config.default.toml`.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

use super::settings::Settings;

/// The sections and settings that `Core::reload` applies, except for the fixed settings within them.
pub const RELOADABLE: [&str; 10] = [
    "keys",
    "teams",
    "prices",
    "shipped_prices",
    "chat",
    "image",
    "video",
    "webhooks",
    "offline",
    "grpc.cors_allow_origins",
];

/// A setting that takes effect at the next start only. Displays its path, for example `grpc.listen`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FixedSetting {
    key: &'static str,
}

/// Compares one setting: whether it is equal in both.
type IsEqual = fn(&Settings, &Settings) -> bool;

/// Builds the table from the paths, so that a name and its comparison cannot diverge.
macro_rules! fixed {
    ($($section:ident $(.$name:ident)?),* $(,)?) => {
        [$((
            concat!(stringify!($section) $(, ".", stringify!($name))?),
            |old, new| old.$section$(.$name)? == new.$section$(.$name)?,
        )),*]
    };
}

/// The fixed settings with their comparisons, except for [`FIXED_SECRETS`].
const FIXED: [(&str, IsEqual); 46] = fixed![
    data_dir,
    database_connections,
    database_events,
    chat.on_disconnect,
    image.idempotency_ttl,
    jobs.concurrency,
    jobs.lease,
    jobs.deadline,
    jobs.retention,
    jobs.max_file_bytes,
    jobs.max_queued_per_owner,
    jobs.max_queued,
    responses.retention,
    responses.max_stored_bytes,
    responses.concurrency,
    responses.max_queued_per_owner,
    responses.max_queued,
    webhooks.allow_private_addresses,
    webhooks.max_in_flight,
    media.url,
    media.downloads,
    media.download_endpoint,
    media.fetch_private_addresses,
    media.max_input_bytes,
    media.max_pixels,
    media.input_memory_bytes,
    media.pixel_memory_bytes,
    media.response_memory_bytes,
    media.link_ttl,
    media.retention,
    media.quota_bytes,
    grpc.listen,
    grpc.max_message_bytes,
    grpc.body_memory_bytes,
    grpc.max_connections,
    grpc.max_connections_per_peer,
    grpc.max_requests,
    grpc.max_concurrent_calls,
    grpc.header_timeout,
    grpc.idle_timeout,
    grpc.body_timeout,
    grpc.write_timeout,
    grpc.max_connection_age,
    grpc.max_connection_age_grace,
    grpc.reflection,
    grpc.drain,
];

/// The fixed settings that are secrets: `SecretString` does not implement `PartialEq`.
const FIXED_SECRETS: [(&str, IsEqual); 3] = [
    ("database_url", |old, new| is_equal(old.database_url.as_ref(), new.database_url.as_ref())),
    ("database_events_url", |old, new| is_equal(old.database_events_url.as_ref(), new.database_events_url.as_ref())),
    ("media.signing_key", |old, new| is_equal(old.media.signing_key.as_ref(), new.media.signing_key.as_ref())),
];

fn is_equal(old: Option<&SecretString>, new: Option<&SecretString>) -> bool {
    old.map(SecretString::expose_secret) == new.map(SecretString::expose_secret)
}

impl FixedSetting {
    /// Returns all fixed settings.
    pub fn all() -> impl Iterator<Item = Self> {
        table().map(|(key, _)| Self { key })
    }

    /// Returns the path of the setting.
    pub fn key(self) -> &'static str {
        self.key
    }

    /// Returns the fixed settings that differ.
    pub(crate) fn changed(old: &Settings, new: &Settings) -> Vec<Self> {
        table().filter(|(_, is_equal)| !is_equal(old, new)).map(|(key, _)| Self { key }).collect()
    }
}

/// Returns all fixed settings with their comparisons.
fn table() -> impl Iterator<Item = (&'static str, IsEqual)> {
    FIXED.into_iter().chain(FIXED_SECRETS)
}

impl fmt::Display for FixedSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_fixed_settings_that_differ_are_reported() {
        let old = Settings::default();
        assert_eq!(FixedSetting::changed(&old, &old.clone()), []);
        let mut new = old.clone();
        new.chat.model = "another".to_owned();
        new.grpc.drain *= 2;
        new.database_url = Some("postgres://localhost/triptych".into());
        new.media.signing_key = Some("0123456789abcdef".into());
        let changed: Vec<_> = FixedSetting::changed(&old, &new).into_iter().map(FixedSetting::key).collect();
        assert_eq!(changed, ["grpc.drain", "database_url", "media.signing_key"]);
    }
}
