//! The settings of Google's video models on Vertex AI.

use std::{path::PathBuf, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};
use url::Url;

use super::{
    check,
    service_type::{SERVICE_TYPE, VideoServiceType},
};
use crate::{
    config::{de::base_url, error::SettingError},
    service_account::ServiceAccount,
};

const PROJECT: &str = "video.vertex.project";

/// Google's video models on Vertex AI. Enabled by the key of a service account.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Vertex {
    /// The base URL without a path. `None`: that of the location.
    #[serde(deserialize_with = "base_url")]
    pub base_url: Option<Url>,
    /// The JSON of the service account's key. Takes precedence over the file.
    #[serde(deserialize_with = "json")]
    pub credentials: Option<SecretString>,
    /// The file with the JSON; empty: none.
    pub credentials_file: PathBuf,
    /// The project; empty: that of the service account.
    pub project: String,
    /// The location of Veo's renders. Gemini Omni has one location, `global`.
    pub location: String,
    /// The place in Cloud Storage that results are written to, as `gs://BUCKET/PREFIX`; empty: they are returned in responses.
    pub storage_uri: String,
    /// The base URL of Cloud Storage without a path.
    #[serde(deserialize_with = "base_url")]
    pub storage_base_url: Option<Url>,
    /// The models, the default first.
    pub models: Vec<String>,
    /// The interval between two polls of a render, the generation of one video.
    #[serde(with = "humantime_serde")]
    pub poll_interval: Duration,
}

impl Default for Vertex {
    fn default() -> Self {
        let models =
            ["veo-3.1-generate-001", "veo-3.1-fast-generate-001", "veo-3.1-lite-generate-001", "gemini-omni-1.2-flash"];
        Self {
            base_url: None,
            credentials: None,
            credentials_file: PathBuf::new(),
            project: String::new(),
            location: "us-central1".to_owned(),
            storage_uri: String::new(),
            storage_base_url: Url::parse("https://storage.googleapis.com").ok(),
            models: models.map(str::to_owned).into(),
            poll_interval: Duration::from_secs(10),
        }
    }
}

impl Vertex {
    /// Returns whether the provider is enabled.
    pub fn is_configured(&self) -> bool {
        self.credentials.is_some() || !self.credentials_file.as_os_str().is_empty()
    }

    /// Returns the service account; reads its file. `None` if the provider is not enabled.
    ///
    /// # Errors
    /// A file that cannot be read, or that is not the key of a service account.
    pub(crate) fn service_account(&self) -> Result<Option<ServiceAccount>, SettingError> {
        let (setting, text) = if let Some(json) = &self.credentials {
            ("video.vertex.credentials", json.expose_secret().to_owned())
        } else if self.is_configured() {
            let setting = "video.vertex.credentials_file";
            let text = std::fs::read_to_string(&self.credentials_file).map_err(|error| {
                SettingError::new(
                    setting,
                    format!("must be a readable file with the key of a service account: {error}"),
                )
            })?;
            (setting, text)
        } else {
            return Ok(None);
        };
        ServiceAccount::parse(&text).map(Some).map_err(|message| SettingError::new(setting, message))
    }

    /// Returns the project: the configured one, or that of the service account.
    ///
    /// # Errors
    /// Neither names a project.
    pub(crate) fn project_of(&self, account: &ServiceAccount) -> Result<String, SettingError> {
        let configured = Some(self.project.as_str()).filter(|project| !project.is_empty());
        configured.or(account.project()).map(str::to_owned).ok_or_else(|| {
            SettingError::new(PROJECT, "is required, because the service account names none; set GOOGLE_CLOUD_PROJECT")
        })
    }

    pub(super) fn validate(&self, service_type: VideoServiceType) -> Result<(), SettingError> {
        if service_type == VideoServiceType::Vertex && !self.is_configured() {
            let message = "`vertex` requires the key of a service account: its file in GOOGLE_APPLICATION_CREDENTIALS \
                           (video.vertex.credentials_file), or its JSON in TRIPTYCH_VIDEO_VERTEX_CREDENTIALS \
                           (video.vertex.credentials)";
            return Err(SettingError::new(SERVICE_TYPE, message));
        }
        if let Some(account) = self.service_account()? {
            self.project_of(&account)?;
        }
        let is_location = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if self.location.is_empty() || !self.location.bytes().all(is_location) {
            let message = "must be the name of a location, for example us-central1 or global";
            return Err(SettingError::new("video.vertex.location", message));
        }
        let bucket = self.storage_uri.strip_prefix("gs://").map(|path| path.split('/').next().unwrap_or_default());
        if !self.storage_uri.is_empty() && bucket.is_none_or(str::is_empty) {
            return Err(SettingError::new("video.vertex.storage_uri", "must be gs://BUCKET or gs://BUCKET/PREFIX"));
        }
        check::models("video.vertex.models", &self.models)?;
        check::poll_interval("video.vertex.poll_interval", self.poll_interval)
    }
}

/// Deserializes the JSON of a key, which may have several lines; the empty text is `None`.
fn json<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok((!text.trim().is_empty()).then(|| text.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service_account::testing::file;

    fn invalid(settings: &Vertex) -> (&'static str, String) {
        let SettingError { key, message } = settings.validate(VideoServiceType::Vertex).unwrap_err();
        (key, message)
    }

    #[test]
    fn key_is_the_json_or_a_file_and_names_the_project() {
        let json = file("https://token.test/token").to_string();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.json");
        std::fs::write(&path, &json).unwrap();
        let by_file = Vertex { credentials_file: path, ..Vertex::default() };
        let by_text =
            Vertex { credentials: Some(json.into()), credentials_file: "missing".into(), ..Vertex::default() };
        for settings in [by_file, by_text] {
            settings.validate(VideoServiceType::Vertex).unwrap();
            let account = settings.service_account().unwrap().unwrap();
            assert_eq!(settings.project_of(&account).as_deref(), Ok("project-1"));
            let settings = Vertex { project: "mine".to_owned(), ..settings };
            assert_eq!(settings.project_of(&account).as_deref(), Ok("mine"));
        }
        assert!(Vertex::default().service_account().unwrap().is_none());
        Vertex::default().validate(VideoServiceType::Offline).unwrap();
    }

    #[test]
    fn invalid_settings_are_named_with_what_is_expected() {
        let (key, message) = invalid(&Vertex::default());
        assert_eq!(key, "video.service_type");
        assert!(message.contains("GOOGLE_APPLICATION_CREDENTIALS"), "{message}");
        let missing = Vertex { credentials_file: "missing/key.json".into(), ..Vertex::default() };
        assert_eq!(invalid(&missing).0, "video.vertex.credentials_file");
        let with = |json: serde_json::Value| Vertex { credentials: Some(json.to_string().into()), ..Vertex::default() };
        let mut user = file("https://token.test/token");
        user["type"] = "authorized_user".into();
        let (key, message) = invalid(&with(user));
        assert_eq!(key, "video.vertex.credentials");
        assert!(message.contains("`type` must be \"service_account\""), "{message}");
        let mut without_project = file("https://token.test/token");
        without_project["project_id"] = "".into();
        assert_eq!(invalid(&with(without_project)).0, "video.vertex.project");
        let valid = || with(file("https://token.test/token"));
        for (settings, key) in [
            (Vertex { location: "US/central".to_owned(), ..valid() }, "video.vertex.location"),
            (Vertex { storage_uri: "https://bucket".to_owned(), ..valid() }, "video.vertex.storage_uri"),
            (Vertex { storage_uri: "gs://".to_owned(), ..valid() }, "video.vertex.storage_uri"),
            (Vertex { models: Vec::new(), ..valid() }, "video.vertex.models"),
            (Vertex { poll_interval: Duration::ZERO, ..valid() }, "video.vertex.poll_interval"),
        ] {
            assert_eq!(invalid(&settings).0, key);
        }
    }
}
