//! The keys that callers may show.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor, value::MapAccessDeserializer},
};

use super::{Invalid, secret};
use crate::{
    chat::on_disconnect::OnDisconnect,
    digest::parse_hex,
    keys::{LONGEST_SECRET, SecretDigest, digest},
};

/// One key: a section with these members, or just the text `name:secret`.
#[derive(Clone, Default)]
pub struct Key {
    /// What logs call whoever shows it: letters, digits, `.`, `_`, `-`. Keys of one name are one caller.
    pub name: String,
    /// What is shown.
    pub secret: Option<SecretString>,
    /// The environment variable that holds the secret, instead. Whoever reads the settings looks it up.
    pub secret_env: String,
    /// SHA-256 of the secret, instead.
    pub sha256: Option<SecretDigest>,
    /// What becomes of answers whose callers hang up; absent: `chat.on_disconnect`.
    pub on_disconnect: Option<OnDisconnect>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, on_disconnect, .. } = self;
        f.debug_struct("Key").field("name", name).field("on_disconnect", on_disconnect).finish_non_exhaustive()
    }
}

/// A secret that is shorter could be guessed.
const SHORTEST_SECRET: usize = 16;

impl Key {
    pub(crate) fn wrong(&self, what: &str) -> Invalid {
        Invalid { key: "keys", message: format!("`{}` {what}", self.name) }
    }

    pub(crate) fn digest(&self) -> Result<SecretDigest, Invalid> {
        match (&self.secret, self.sha256) {
            (Some(secret), _) => Ok(digest(secret.expose_secret().as_bytes())),
            (None, Some(sha256)) => Ok(sha256),
            (None, None) => Err(self.wrong("has no secret; give it secret, secret_env or sha256")),
        }
    }
}

/// Whether the values make sense.
pub(super) fn validate(keys: &[Key]) -> Result<(), Invalid> {
    for key in keys {
        if !(1..=64).contains(&key.name.len())
            || !key.name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        {
            return Err(key.wrong("must have a name of 1 to 64 letters, digits, `.`, `_`, `-`"));
        }
        let written = key.secret.is_some() || !key.secret_env.is_empty();
        if written == key.sha256.is_some() {
            return Err(key.wrong("must have one of secret, secret_env and sha256"));
        }
        let length = key.secret.as_ref().map(|secret| secret.expose_secret().len());
        if length.is_some_and(|length| !(SHORTEST_SECRET..=LONGEST_SECRET).contains(&length)) {
            return Err(
                key.wrong("must have a secret of 16 to 512 characters; `openssl rand -hex 32` makes a good one")
            );
        }
    }
    Ok(())
}

/// The section of a key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    name: String,
    #[serde(default, deserialize_with = "secret")]
    secret: Option<SecretString>,
    #[serde(default)]
    secret_env: String,
    #[serde(default, deserialize_with = "sha256")]
    sha256: Option<SecretDigest>,
    #[serde(default)]
    on_disconnect: Option<OnDisconnect>,
}

struct Written;

impl<'de> Visitor<'de> for Written {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a section with name and secret, or a text `name:secret`")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Key, E> {
        // The text may be a secret alone, and so is not repeated.
        let (name, text) = text.split_once(':').ok_or_else(|| E::custom("must be `name:secret`"))?;
        let secret = secret(serde::de::value::StrDeserializer::new(text))?;
        Ok(Key { name: name.to_owned(), secret, ..Key::default() })
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Key, A::Error> {
        let Section { name, secret, secret_env, sha256, on_disconnect } =
            Section::deserialize(MapAccessDeserializer::new(members))?;
        Ok(Key { name, secret, secret_env, sha256, on_disconnect })
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Written)
    }
}

fn sha256<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretDigest>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = || D::Error::custom("must be the SHA-256 of the secret, 64 hexadecimal digits");
    parse_hex(&text).map(Some).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Key, String> {
        let key: Key = serde_json::from_str(json).map_err(|error| error.to_string())?;
        validate(std::slice::from_ref(&key)).map_err(|error| error.to_string())?;
        Ok(key)
    }

    #[test]
    fn a_key_is_a_section_or_a_name_and_a_secret() {
        let section = read(r#"{"name": "a", "secret": "0123456789abcdef", "on_disconnect": "10s"}"#).unwrap();
        let text = read(r#""a:0123456789abcdef""#).unwrap();
        // As `printf 0123456789abcdef | sha256sum` has it.
        let digest = "9f9f5111f7b27a781f1f1ddde5ebc2dd2b796bfc7365c9c28b548e564176929f";
        let hashed = read(&format!(r#"{{"name": "a", "sha256": "{digest}"}}"#)).unwrap();
        assert_eq!(section.digest(), hashed.digest());
        assert_eq!(text.digest(), hashed.digest());
        assert_eq!(section.on_disconnect, Some(OnDisconnect::Grace(std::time::Duration::from_secs(10))));
        assert!(read(r#"{"name": "a", "secret_env": "A_KEY"}"#).unwrap().digest().is_err(), "nobody has looked it up");
    }

    #[test]
    fn what_makes_no_key_is_refused_and_never_repeated() {
        for (wrong, why) in [
            (r#""0123456789abcdef""#, "must be `name:secret`"),
            (r#""a:0123456789""#, "`a` must have a secret of 16 to 512 characters"),
            (r#"":0123456789abcdef""#, "must have a name"),
            (r#""a b:0123456789abcdef""#, "must have a name"),
            (r#""a:""#, "`a` must have one of"),
            (r#"{"name": "a"}"#, "`a` must have one of"),
            (r#"{"name": "a", "secret_env": "A", "sha256": "00"}"#, "64 hexadecimal digits"),
            (r#"{"name": "a", "secrets": "0123456789abcdef"}"#, "unknown field"),
            (r#"{"name": "a", "secret": "0123456789\nabcdef"}"#, "printable ASCII"),
            (r#"{"name": "a", "secret": "0123456789abcdef", "on_disconnect": "later"}"#, "`cancel`, `continue`"),
        ] {
            let told = read(wrong).unwrap_err();
            assert!(told.contains(why), "{wrong}: {told}");
            assert!(!told.contains("0123456789"), "{told}");
        }
        let both = format!(r#"{{"name": "a", "secret": "0123456789abcdef", "sha256": "{}"}}"#, "0".repeat(64));
        assert!(read(&both).unwrap_err().contains("one of secret"));
        assert!(!format!("{:?}", read(r#""a:0123456789abcdef""#).unwrap()).contains("0123456789"));
    }
}
