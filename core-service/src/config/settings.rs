//! All settings of the core together.

use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;

use super::{
    chat::Chat,
    database::{DatabaseEvents, validate_url},
    de,
    error::SettingError,
    grpc::Grpc,
    image::Image,
    jobs::Jobs,
    keys::Key,
    limits::Team,
    media::Media,
    offline::Offline,
    prices::Price,
    responses::Responses,
    video::Video,
    webhooks::Webhooks,
};

/// The highest `database_connections`: more than a PostgreSQL server usually accepts in all.
const MAX_CONNECTIONS: u32 = 1000;

/// All settings of the core.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The directory of the database and the stored files.
    pub data_dir: PathBuf,
    /// The URL of a PostgreSQL database, which may contain a password; without one the database is a SQLite file in `data_dir`.
    #[serde(deserialize_with = "de::secret")]
    pub database_url: Option<SecretString>,
    /// The number of connections to PostgreSQL for reads. Writes have one connection.
    pub database_connections: u32,
    /// How this process learns what others have changed in a PostgreSQL database.
    pub database_events: DatabaseEvents,
    /// The URL at which this process listens to PostgreSQL, if that is not `database_url`, for example because of a pooler.
    #[serde(deserialize_with = "de::secret")]
    pub database_events_url: Option<SecretString>,
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
            database_url: None,
            database_connections: 8,
            database_events: DatabaseEvents::default(),
            database_events_url: None,
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
            database_url,
            database_connections,
            // Both values are valid.
            database_events: _,
            database_events_url,
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
        validate_url("database_url", database_url.as_ref())?;
        validate_url("database_events_url", database_events_url.as_ref())?;
        if !(1..=MAX_CONNECTIONS).contains(database_connections) {
            return Err(SettingError::new("database_connections", format!("must be from 1 to {MAX_CONNECTIONS}")));
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
