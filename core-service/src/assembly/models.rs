//! Creates the providers of all models.

use tokio_util::task::TaskTracker;

use super::error::OpenError;
use crate::{
    catalog::Catalog,
    chat::{self, ChatProvider},
    config::{Settings, has_same_chat, has_same_image, has_same_video},
    image::{self, ImageProvider},
    media::{Downloader, MediaStore, PictureBudget, clip::ClipInspector, download::DownloadSettings},
    models::Models,
    video::{self, VideoModel},
};

/// The settings of running providers, and the catalog that has them.
pub(super) struct Running<'a> {
    pub(super) settings: &'a Settings,
    pub(super) catalog: &'a Catalog,
}

/// The models of all modalities.
pub(super) struct AllModels {
    pub(super) chat: Models<dyn ChatProvider>,
    pub(super) image: Models<dyn ImageProvider>,
    pub(super) video: Models<VideoModel>,
}

/// Creates all providers, except for the `running` ones of modalities whose settings are the same, which stay: with their connections,
/// circuit breakers and calls in flight. `fixed` are the settings at start, which apply to what a reload does not change.
pub(super) fn all_models(
    settings: &Settings,
    fixed: &Settings,
    running: Option<&Running<'_>>,
    media_store: &MediaStore,
    picture_budget: &PictureBudget,
    background: &TaskTracker,
) -> Result<AllModels, OpenError> {
    let downloads = Downloader::new(DownloadSettings::from(&fixed.media))?;
    let kept = |is_same: fn(&Settings, &Settings) -> bool| {
        running.filter(|running| is_same(running.settings, settings)).map(|running| running.catalog)
    };
    let chat = if let Some(catalog) = kept(has_same_chat) {
        catalog.chat.load().without_others()
    } else {
        let chat = chat::providers::assembly::models(settings)?;
        Models::new(chat.entries)
            .map_err(OpenError::DuplicateModel)?
            .with_patterns(chat.patterns, chat.discovered)
            .with_setting(settings.chat.models_setting())
    };
    let image = if let Some(catalog) = kept(has_same_image) {
        catalog.image.load().without_others()
    } else {
        let (downloads, budget) = (downloads.clone(), picture_budget.clone());
        let images = image::providers::assembly::entries(&settings.image, downloads, budget, background.clone())?;
        Models::new(images)
            .map_err(OpenError::DuplicateModel)?
            .with_setting("`models` of an image provider, for example IMAGE_MODELS for [image.openai]")
    };
    let video = if let Some(catalog) = kept(has_same_video) {
        catalog.video.load().without_others()
    } else {
        let clips = ClipInspector::new(media_store.clone(), picture_budget.clone());
        let max_file_bytes = fixed.jobs.max_file_bytes;
        let videos =
            video::providers::assembly::entries(&settings.video, media_store, &clips, downloads, max_file_bytes)?;
        Models::new(videos)
            .map_err(OpenError::DuplicateModel)?
            .with_setting("`models` of a video provider, for example VIDEO_MODELS for [video.openai]")
    };
    Ok(AllModels { chat, image, video })
}
