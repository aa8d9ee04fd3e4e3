//! Entries of the configured video models.

use super::{provider::VideoProvider, providers};
use crate::{config, media::MediaStore, models::Entry};

/// Returns the entries of the configured provider. Service types without a provider are refused by the validation of the
/// settings.
pub(crate) fn entries(settings: &config::Video, media_store: &MediaStore) -> Vec<Entry<dyn VideoProvider>> {
    use config::VideoServiceType::{Midjourney, Offline, Openai, Seedance, Veo, Wan};
    match settings.service_type {
        Offline => providers::offline::entries(media_store),
        Seedance | Veo | Wan | Midjourney | Openai => Vec::new(),
    }
}
