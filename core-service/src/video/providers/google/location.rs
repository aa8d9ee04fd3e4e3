//! The location of a finished video of Google's APIs: the text of `ClipFile::location`, which is stored with the job.

use serde::{Deserialize, Serialize};
use url::Url;

use crate::error::ProviderError;

/// Where a finished video is.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::video::providers) enum Location {
    /// At this URL, absolute or relative to the API.
    Uri(String),
    /// In the response to a poll of this task, as base64. The job stores the task rather than the data, which has megabytes.
    Inline(String),
}

impl Location {
    /// Returns the location as text.
    pub(in crate::video::providers) fn to_text(&self) -> Result<String, ProviderError> {
        serde_json::to_string(self).map_err(|error| ProviderError::Unreadable(error.to_string()))
    }

    /// Parses the text of [`to_text`](Self::to_text).
    pub(in crate::video::providers) fn parse(text: &str) -> Result<Self, ProviderError> {
        serde_json::from_str(text)
            .map_err(|error| ProviderError::Unreadable(format!("the stored location of the video is invalid: {error}")))
    }
}

/// Returns the link to the content of a file. Without `alt=media` in the query, the API returns the description of a file instead.
/// Links to other origins are signed, and are therefore not changed.
pub(in crate::video::providers) fn download_link(base: &Url, uri: &str) -> String {
    let Ok(mut url) = base.join(uri) else { return uri.to_owned() };
    if url.origin() == base.origin() && !url.query_pairs().any(|(name, _)| name == "alt") {
        url.query_pairs_mut().append_pair("alt", "media");
    }
    url.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_the_api_get_alt_media_and_others_are_unchanged() {
        let base = Url::parse("https://api.test/v1beta/").unwrap();
        for (uri, link) in [
            ("https://api.test/v1beta/files/a", "https://api.test/v1beta/files/a?alt=media"),
            (
                "https://api.test/v1beta/files/a:download?alt=media",
                "https://api.test/v1beta/files/a:download?alt=media",
            ),
            ("files/a", "https://api.test/v1beta/files/a?alt=media"),
            ("https://storage.test/a?X-Goog-Signature=1", "https://storage.test/a?X-Goog-Signature=1"),
        ] {
            assert_eq!(download_link(&base, uri), link);
        }
    }
}
