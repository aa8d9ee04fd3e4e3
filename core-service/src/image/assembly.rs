//! From settings to the models of the image panel: every provider that is connected, the chosen one first.

use super::{ImageProvider, providers::offline::OfflineImage};
use crate::{
    catalog::Entry,
    config::{self, ImageServiceType},
    upstream::SetupError,
};

/// Names that existing programs ask for out of habit. Whoever makes the pictures by default answers to those that no
/// connected upstream serves, and never claims to be them.
const HABITUAL: [&str; 6] = ["dall-e-2", "dall-e-3", "gpt-image-1", "gpt-image-1-mini", "gpt-image-1.5", "gpt-image-2"];

/// All models, the default first. The built-in engine is always among them.
///
/// # Errors
/// A provider that cannot be set up.
#[expect(clippy::unnecessary_wraps, reason = "the built-in engine cannot fail to be set up; connected providers can")]
pub(crate) fn entries(settings: &config::Image) -> Result<Vec<Entry<dyn ImageProvider>>, SetupError> {
    // A provider that is not connected gives none; one line each.
    let mut shelves = [(ImageServiceType::Offline, OfflineImage::entries())];
    shelves.sort_by_key(|(kind, _)| *kind != settings.service_type);
    let mut entries: Vec<_> = shelves.into_iter().flat_map(|(_, entries)| entries).collect();
    let free = HABITUAL.iter().filter(|name| !entries.iter().any(|entry| entry.id == **name));
    let free: Vec<_> = free.map(|&name| name.to_owned()).collect();
    if let Some(default) = entries.first_mut() {
        default.aliases.extend(free);
    }
    Ok(entries)
}
