//! The settings of the core: typed, with defaults, validated as a whole.
//!
//! The executable reads them from a file and the environment. Each section has one file with its structs, its defaults and
//! its validation. Durations are written in the grammar of humantime: `30s`, `1m 30s`, `2h`.
//!
//! Some settings can change while the core runs, the others are fixed at start; `reload` lists which.

mod chat;
mod de;
mod error;
mod grpc;
mod image;
mod jobs;
mod keys;
mod media;
mod offline;
mod reload;
mod video;

use std::path::PathBuf;

use serde::Deserialize;

pub(crate) use self::keys::MAX_SECRET_LENGTH;
pub use self::{
    chat::{Chat, Policy, RouteRule, Routing, Upstream},
    de::listen,
    error::SettingError,
    grpc::Grpc,
    image::{
        DashscopeImages, Doubao, Image, ImageServiceType, MidjourneyImages, MidjourneySingles, NanoBanana,
        OpenaiFamily, OpenaiImages, SeedreamFamily,
    },
    jobs::Jobs,
    keys::Key,
    media::Media,
    offline::Offline,
    reload::{FixedSetting, RELOADABLE},
    video::{Video, VideoServiceType},
};

/// All settings of the core.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The directory of the database and the stored files.
    pub data_dir: PathBuf,
    /// The API keys of clients. Empty: no key is required.
    pub keys: Vec<Key>,
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
            chat: Chat::default(),
            image: Image::default(),
            video: Video::default(),
            offline: Offline::default(),
            jobs: Jobs::default(),
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
            chat,
            image,
            video,
            offline: Offline { chat_tokens_per_second: _ },
            jobs,
            media,
            grpc,
        } = self;
        if data_dir.as_os_str().is_empty() {
            return Err(SettingError::new("data_dir", "must be the path of a directory"));
        }
        keys.iter().try_for_each(Key::validate)?;
        chat.validate()?;
        image.validate()?;
        video.validate()?;
        jobs.validate()?;
        media.validate()?;
        grpc.validate()
    }
}
