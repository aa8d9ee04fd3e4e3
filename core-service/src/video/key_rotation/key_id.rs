//! The id of an API key, in the text that is stored with a job.

use secrecy::{ExposeSecret, SecretString};

use crate::digest::{Hex, sha256};

/// Precedes the id in a stored text.
const PREFIX: &str = "key:";
/// The bytes of the digest in an id: enough to tell the few keys of one provider apart.
const LENGTH: usize = 6;

/// The first digits of the SHA-256 digest of an API key, in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyId(String);

impl KeyId {
    pub(super) fn of(key: &SecretString) -> Self {
        let digest = sha256(key.expose_secret().as_bytes());
        Self(Hex(digest.first_chunk::<LENGTH>().unwrap_or(&[0; LENGTH])).to_string())
    }

    /// Adds the id to a text of the provider.
    pub(super) fn join(&self, text: &str) -> String {
        format!("{PREFIX}{}|{text}", self.0)
    }

    /// Splits a stored text into the id, which texts of providers without a key lack, and the text of the provider.
    pub(super) fn split(stored: &str) -> (Option<Self>, &str) {
        let parts = stored.strip_prefix(PREFIX).and_then(|rest| rest.split_once('|'));
        match parts.filter(|(id, _)| id.len() == 2 * LENGTH) {
            Some((id, text)) => (Some(Self(id.to_owned())), text),
            None => (None, stored),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_is_split_off_again_and_other_texts_are_unchanged() {
        let id = KeyId::of(&"secret".into());
        let stored = id.join("cgt-1|a");
        assert_eq!(stored, "key:2bb80d537b1d|cgt-1|a");
        assert_eq!(KeyId::split(&stored), (Some(id), "cgt-1|a"));
        for text in ["cgt-1", "key:cgt-1", "key:cgt|1", "", "{\"uri\":\"key:\"}"] {
            assert_eq!(KeyId::split(text), (None, text));
        }
    }
}
