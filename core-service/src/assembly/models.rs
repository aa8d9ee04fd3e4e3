//! Creates the providers of all models.

use tokio_util::task::TaskTracker;

use super::error::OpenError;
use crate::{
    chat::{self, ChatProvider},
    config::Settings,
    image::{self, ImageProvider},
    media::{Downloader, MediaStore, PictureBudget, clip::ClipInspector, download::DownloadSettings},
    models::Models,
    video::{self, VideoModel},
};

/// The models of all modalities.
pub(super) struct AllModels {
    pub(super) chat: Models<dyn ChatProvider>,
    pub(super) image: Models<dyn ImageProvider>,
    pub(super) video: Models<VideoModel>,
}

/// Creates all providers. `fixed` are the settings at start, which apply to what a reload does not change.
pub(super) fn all_models(
    settings: &Settings,
    fixed: &Settings,
    media_store: &MediaStore,
    picture_budget: &PictureBudget,
    background: &TaskTracker,
) -> Result<AllModels, OpenError> {
    let downloads = Downloader::new(DownloadSettings::from(&fixed.media))?;
    let images = image::providers::assembly::entries(
        &settings.image,
        downloads.clone(),
        picture_budget.clone(),
        background.clone(),
    )?;
    let clips = ClipInspector::new(media_store.clone(), picture_budget.clone());
    let videos = video::providers::assembly::entries(
        &settings.video,
        media_store,
        &clips,
        downloads,
        fixed.jobs.max_file_bytes,
    )?;
    let chat = chat::providers::assembly::models(settings)?;
    Ok(AllModels {
        chat: Models::new(chat.entries)
            .map_err(OpenError::DuplicateModel)?
            .with_patterns(chat.patterns, chat.discovered)
            .with_setting(settings.chat.models_setting()),
        image: Models::new(images)
            .map_err(OpenError::DuplicateModel)?
            .with_setting("`models` of an image provider, for example IMAGE_MODELS for [image.openai]"),
        video: Models::new(videos)
            .map_err(OpenError::DuplicateModel)?
            .with_setting("`models` of a video provider, for example VIDEO_MODELS for [video.openai]"),
    })
}
