//! All settings of the core together.

use std::path::PathBuf;

use serde::Deserialize;

use super::{
    chat::Chat, error::SettingError, grpc::Grpc, image::Image, jobs::Jobs, keys::Key, limits::Team, media::Media,
    offline::Offline, prices::Price, responses::Responses, video::Video, webhooks::Webhooks,
};

/// All settings of the core.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The directory of the database and the stored files.
    pub data_dir: PathBuf,
    /// The API keys of clients. Empty: no key is required.
    pub keys: Vec<Key>,
    /// The teams of the keys.
    pub teams: Vec<Team>,
    /// The prices of models.
    pub prices: Vec<Price>,
    /// Whether models without a price in `prices` have the compiled-in list price of their vendor.
    pub shipped_prices: bool,
    /// The chat service.
    pub chat: Chat,
    /// The image service.
    pub image: Image,
    /// The video service.
    pub video: Video,
    /// The built-in engines.
    pub offline: Offline,
    /// Video jobs.
    pub jobs: Jobs,
    /// Stored responses of the Responses API.
    pub responses: Responses,
    /// Webhooks.
    pub webhooks: Webhooks,
    /// Input pictures, stored files and links to them.
    pub media: Media,
    /// The gRPC server.
    pub grpc: Grpc,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("triptych-data"),
            keys: Vec::new(),
            teams: Vec::new(),
            prices: Vec::new(),
            shipped_prices: true,
            chat: Chat::default(),
            image: Image::default(),
            video: Video::default(),
            offline: Offline::default(),
            jobs: Jobs::default(),
            responses: Responses::default(),
            webhooks: Webhooks::default(),
            media: Media::default(),
            grpc: Grpc::default(),
        }
    }
}

impl Settings {
    /// Validates all settings, each alone and in combination.
    ///
    /// # Errors
    /// The first setting with an unusable value.
    pub fn validate(&self) -> Result<(), SettingError> {
        let Self {
            data_dir,
            keys,
            teams,
            prices,
            // Both values are valid.
            shipped_prices: _,
            chat,
            image,
            video,
            // Every number is valid.
            offline: Offline { chat_tokens_per_second: _ },
            jobs,
            responses,
            webhooks,
            media,
            grpc,
        } = self;
        if data_dir.as_os_str().is_empty() {
            return Err(SettingError::new("data_dir", "must be the path of a directory"));
        }
        Team::validate_all(teams)?;
        Price::validate_all(prices)?;
        Key::validate_all(keys, teams)?;
        chat.validate()?;
        image.validate()?;
        video.validate()?;
        jobs.validate()?;
        responses.validate()?;
        webhooks.validate()?;
        media.validate()?;
        grpc.validate()
    }
}
