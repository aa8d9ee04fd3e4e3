//! The input files of a video: their roles, where they are stored ([`StoredInput`]), and the forms in which a provider gets them
//! ([`RenderInput`]).

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize};

use crate::{error::ProviderError, media::MediaType};

/// The role of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputRole {
    /// The image that the video starts with.
    FirstFrame,
    /// The image that the video ends with.
    LastFrame,
    /// A reference image.
    Image,
    /// A reference video.
    Video,
    /// A reference sound.
    Sound,
    /// The video to edit or to extend.
    Source,
}

/// An input as it is stored with its job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredInput {
    /// The role.
    pub role: InputRole,
    /// The place of its content.
    pub source: InputSource,
}

/// The place of the content of an input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputSource {
    /// The key of the job's own copy in the media store.
    Stored(String),
    /// A URL that only the provider reads.
    Link(String),
}

impl StoredInput {
    /// Returns the key of the job's own copy.
    pub fn key(&self) -> Option<&str> {
        match &self.source {
            InputSource::Stored(key) => Some(key),
            InputSource::Link(_) => None,
        }
    }
}

/// Reads the inputs of a job. Earlier releases stored one key, that of the first frame.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<StoredInput>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Document {
        Inputs(Vec<StoredInput>),
        FirstFrame(String),
    }
    Ok(match Option::deserialize(deserializer)? {
        None => Vec::new(),
        Some(Document::Inputs(inputs)) => inputs,
        Some(Document::FirstFrame(key)) => {
            vec![StoredInput { role: InputRole::FirstFrame, source: InputSource::Stored(key) }]
        }
    })
}

/// An input of a render, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderInput {
    /// The role.
    pub role: InputRole,
    /// The content.
    pub content: InputContent,
}

/// The content of an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputContent {
    /// A file of this service.
    File {
        /// The type.
        media_type: MediaType,
        /// The bytes.
        bytes: Bytes,
        /// A temporary URL at which a provider can fetch the file; `None` without a public base URL of this service.
        link: Option<String>,
    },
    /// A URL of the client, or of the provider's own file store.
    Link(String),
}

impl RenderInput {
    /// Returns the length of the file, or of the URL, in bytes.
    pub fn size_bytes(&self) -> usize {
        match &self.content {
            InputContent::File { bytes, .. } => bytes.len(),
            InputContent::Link(url) => url.len(),
        }
    }

    /// Returns the URL of a link, or a data URL with the bytes.
    pub fn url(&self) -> String {
        match &self.content {
            InputContent::File { media_type, bytes, .. } => {
                format!("data:{};base64,{}", media_type.as_str(), STANDARD.encode(bytes))
            }
            InputContent::Link(url) => url.clone(),
        }
    }

    /// Returns the URL of a link, or the bytes in base64 without a prefix.
    pub fn url_or_base64(&self) -> String {
        match &self.content {
            InputContent::File { bytes, .. } => STANDARD.encode(bytes),
            InputContent::Link(url) => url.clone(),
        }
    }

    /// Returns a URL that the provider can fetch, for providers that accept nothing else: of a file, a link of this service.
    ///
    /// # Errors
    /// [`ProviderError::NotSupported`] if the input is a file, and there are no links.
    pub fn fetchable_url(&self) -> Result<String, ProviderError> {
        match &self.content {
            InputContent::Link(url) | InputContent::File { link: Some(url), .. } => Ok(url.clone()),
            InputContent::File { link: None, .. } => {
                let message = "the provider fetches this input by URL, and this server has no public address for it: set \
                               PUBLIC_BASE_URL to one that is reachable from the internet, or send a public URL instead of \
                               the file";
                Err(ProviderError::NotSupported(message.to_owned()))
            }
        }
    }

    /// Returns the URL of a link, a data URL with at most about `max` bytes of base64, or a URL that the provider can fetch.
    ///
    /// # Errors
    /// As [`fetchable_url`](Self::fetchable_url).
    pub fn url_within(&self, max: usize) -> Result<String, ProviderError> {
        // Base64 has 4 characters for 3 bytes.
        if self.size_bytes() / 3 * 4 <= max { Ok(self.url()) } else { self.fetchable_url() }
    }

    /// Returns type and bytes, for providers that accept no URL.
    ///
    /// # Errors
    /// [`ProviderError::NotSupported`] if the input is a URL.
    pub fn file(&self) -> Result<(MediaType, &Bytes), ProviderError> {
        match &self.content {
            InputContent::File { media_type, bytes, .. } => Ok((*media_type, bytes)),
            InputContent::Link(_) => {
                let message = "the provider accepts the file itself, not a URL; send it as base64 or as a file";
                Err(ProviderError::NotSupported(message.to_owned()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_of_earlier_releases_are_the_first_frame() {
        #[derive(Deserialize)]
        struct Document {
            #[serde(default, alias = "reference", deserialize_with = "deserialize")]
            inputs: Vec<StoredInput>,
        }
        let read = |text: &str| serde_json::from_str::<Document>(text).unwrap().inputs;
        let first = StoredInput { role: InputRole::FirstFrame, source: InputSource::Stored("a.png".to_owned()) };
        let link = StoredInput { role: InputRole::Sound, source: InputSource::Link("oss://b".to_owned()) };
        assert_eq!(read(r#"{"reference":"a.png"}"#), [first]);
        assert_eq!(read(r#"{"reference":null}"#), []);
        assert_eq!(read("{}"), []);
        let text = format!(r#"{{"inputs":{}}}"#, serde_json::to_string(&[&link]).unwrap());
        assert_eq!(read(&text), [link]);
    }

    #[test]
    fn file_has_a_data_url_and_base64_and_is_fetchable_only_with_a_link() {
        let content = InputContent::File { media_type: MediaType::Png, bytes: Bytes::from_static(b"a"), link: None };
        let file = RenderInput { role: InputRole::FirstFrame, content };
        let link = RenderInput { role: InputRole::Sound, content: InputContent::Link("asset://voice".to_owned()) };
        assert_eq!((file.url().as_str(), link.url().as_str()), ("data:image/png;base64,YQ==", "asset://voice"));
        assert_eq!((file.url_or_base64().as_str(), link.url_or_base64().as_str()), ("YQ==", "asset://voice"));
        assert_eq!(link.fetchable_url(), Ok("asset://voice".to_owned()));
        let refused = file.fetchable_url();
        assert!(
            matches!(&refused, Err(ProviderError::NotSupported(why)) if why.contains("PUBLIC_BASE_URL")),
            "{refused:?}"
        );
        assert_eq!(file.url_within(4), Ok(file.url()));
        let url = || "https://a.test/media/inputs/t.mp4".to_owned();
        let content =
            InputContent::File { media_type: MediaType::Mp4, bytes: Bytes::from_static(b"abcdef"), link: Some(url()) };
        let linked = RenderInput { role: InputRole::Source, content };
        assert_eq!((linked.fetchable_url(), linked.url_within(7)), (Ok(url()), Ok(url())));
        assert!(file.file().is_ok() && link.file().is_err());
    }
}
