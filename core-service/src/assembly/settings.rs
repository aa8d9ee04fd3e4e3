//! Converts the configuration into the settings of the parts of a core.

use super::error::OpenError;
use crate::{
    config::{self, Settings},
    database::{self, Database},
    ledger::Payer,
    media::{
        ProviderLinks, address_policy::AddressPolicy, fetch::FetchSettings, input::InputSettings,
        sweeper::RetentionPolicy,
    },
    video::{jobs::JobSettings, store::JobLimits},
};

/// Returns the maker of the links by which providers fetch inputs of jobs, signed with a key from the database.
pub(super) async fn provider_links(settings: &Settings, database: &Database) -> Result<ProviderLinks, OpenError> {
    let key = database.secret("provider links").await.map_err(database::OpenError::Connect)?;
    let config::Media { fetch_private_addresses, public_base_url, .. } = &settings.media;
    let policy = if *fetch_private_addresses { AddressPolicy::OPEN } else { AddressPolicy::PUBLIC_ANY_PORT };
    // The links may have any port, as `public_base_url` has it. They are valid as long as a job can be in progress.
    Ok(ProviderLinks::new(key.as_bytes(), public_base_url.as_deref(), policy, settings.jobs.deadline))
}

/// Returns the settings of input pictures.
pub(super) fn inputs(settings: &config::Media) -> InputSettings {
    let config::Media { fetch_private_addresses, max_input_bytes, max_pixels, .. } = *settings;
    // Only ports 80 and 443: clients choose these URLs.
    let address_policy = if fetch_private_addresses { AddressPolicy::OPEN } else { AddressPolicy::PUBLIC };
    let fetch = FetchSettings { address_policy, ..FetchSettings::default() };
    InputSettings { max_bytes: max_input_bytes, max_pixels, fetch }
}

/// Returns the addresses to which webhooks may be sent. Receivers may have any port.
pub(super) fn address_policy(settings: &config::Webhooks) -> AddressPolicy {
    if settings.allow_private_addresses { AddressPolicy::OPEN } else { AddressPolicy::PUBLIC_ANY_PORT }
}

/// Returns how long stored files are kept.
pub(super) fn retention(settings: &config::Media) -> RetentionPolicy {
    let config::Media { retention, quota_bytes, .. } = *settings;
    RetentionPolicy {
        retention: (!retention.is_zero()).then_some(retention),
        quota_bytes: (quota_bytes > 0).then_some(quota_bytes),
    }
}

/// Returns the settings of video jobs.
pub(super) fn jobs(settings: &config::Jobs, media: &config::Media) -> JobSettings {
    let config::Jobs { concurrency, lease, deadline, retention, max_file_bytes, max_queued_per_owner, max_queued } =
        *settings;
    let retention = (!retention.is_zero()).then_some(retention);
    // The limits and the payer of a key are added for each call.
    let limits = JobLimits {
        per_owner: max_queued_per_owner,
        total: max_queued,
        in_flight: Vec::new(),
        payer: Payer::ANONYMOUS,
    };
    let input_memory_bytes = media.input_memory_bytes;
    JobSettings { concurrency, lease, deadline, retention, max_file_bytes, input_memory_bytes, limits }
}
