//! The API keys of clients.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor, value::MapAccessDeserializer},
};

use super::{
    de::secret,
    error::SettingError,
    limits::{AccountLimits, Team},
};
use crate::{
    digest::{Sha256Digest, parse_hex, sha256},
    on_disconnect::OnDisconnect,
    priority::Priority,
};

/// One API key. Written as a section with these members, or as the text `name:secret`, for an administrator
/// `name+admin:secret`.
#[derive(Clone, Default)]
pub struct Key {
    /// The name of the client in logs: 1 to 64 letters, digits, `.`, `_`, `-`. Keys with the same name belong to one
    /// client.
    pub name: String,
    /// The secret that the client sends.
    pub secret: Option<SecretString>,
    /// The environment variable with the secret, as an alternative. Resolved by the executable.
    pub secret_env: String,
    /// The SHA-256 digest of the secret, as an alternative.
    pub sha256: Option<Sha256Digest>,
    /// What happens to the client's calls when the client disconnects. `None`: `chat.on_disconnect` applies.
    pub on_disconnect: Option<OnDisconnect>,
    /// Which of the client's calls and video jobs that wait for an upstream are served first.
    pub priority: Priority,
    /// Whether the client may use the videos and stored files of all owners.
    pub admin: bool,
    /// The name of the team of the client; empty: none.
    pub team: String,
    /// The limits of the client. All keys with one name share them.
    pub limits: AccountLimits,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, on_disconnect, priority, admin, team, limits, .. } = self;
        let mut text = f.debug_struct("Key");
        text.field("name", name)
            .field("on_disconnect", on_disconnect)
            .field("priority", priority)
            .field("admin", admin)
            .field("team", team)
            .field("limits", limits);
        text.finish_non_exhaustive()
    }
}

/// Follows the name of an administrator in the text form. No name contains it.
const ADMIN_SUFFIX: &str = "+admin";

/// The minimum length of a secret, in bytes: a shorter one could be guessed.
const MIN_SECRET_LENGTH: usize = 16;

/// The maximum length of a secret, in bytes: a longer one is rejected without being hashed.
pub(crate) const MAX_SECRET_LENGTH: usize = 512;

impl Key {
    /// Returns an error about this key. Names the key, never its secret.
    pub(crate) fn error(&self, message: &str) -> SettingError {
        SettingError::new("keys", format!("`{}` {message}", self.name))
    }

    /// Returns the digest of the secret.
    pub(crate) fn digest(&self) -> Result<Sha256Digest, SettingError> {
        match (&self.secret, self.sha256) {
            (Some(secret), _) => Ok(sha256(secret.expose_secret().as_bytes())),
            (None, Some(digest)) => Ok(digest),
            (None, None) => Err(self.error("has no secret; set secret, secret_env or sha256")),
        }
    }

    pub(super) fn validate_all(keys: &[Self], teams: &[Team]) -> Result<(), SettingError> {
        for (index, key) in keys.iter().enumerate() {
            key.validate()?;
            if !key.team.is_empty() && !teams.iter().any(|team| team.name == key.team) {
                return Err(key.error(&format!("belongs to the team `{}`, which is not in `teams`", key.team)));
            }
            let same_name = keys[..index].iter().find(|earlier| earlier.name == key.name);
            if same_name.is_some_and(|earlier| earlier.limits != key.limits || earlier.team != key.team) {
                return Err(key.error("has another key with the same name, but another team or other limits"));
            }
        }
        Ok(())
    }

    fn validate(&self) -> Result<(), SettingError> {
        if !is_name(&self.name) {
            return Err(self.error("must have a name of 1 to 64 letters, digits, `.`, `_`, `-`"));
        }
        let has_secret = self.secret.is_some() || !self.secret_env.is_empty();
        if has_secret == self.sha256.is_some() {
            return Err(self.error("must have one of secret, secret_env and sha256"));
        }
        let length = self.secret.as_ref().map(|secret| secret.expose_secret().len());
        if length.is_some_and(|length| !(MIN_SECRET_LENGTH..=MAX_SECRET_LENGTH).contains(&length)) {
            let rule = "must have a secret of 16 to 512 characters; `openssl rand -hex 32` generates a suitable one";
            return Err(self.error(rule));
        }
        Ok(())
    }
}

/// Returns whether a text can be the name of a key: 1 to 64 letters, digits, `.`, `_`, `-`.
pub(crate) fn is_name(text: &str) -> bool {
    let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=64).contains(&text.len()) && text.bytes().all(is_name_byte)
}

/// The section form of a key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeySection {
    name: String,
    #[serde(default, deserialize_with = "secret")]
    secret: Option<SecretString>,
    #[serde(default)]
    secret_env: String,
    #[serde(default, deserialize_with = "hex_digest")]
    sha256: Option<Sha256Digest>,
    #[serde(default)]
    on_disconnect: Option<OnDisconnect>,
    #[serde(default)]
    priority: Priority,
    #[serde(default)]
    admin: bool,
    #[serde(default)]
    team: String,
    #[serde(default)]
    limits: AccountLimits,
}

struct KeyVisitor;

impl<'de> Visitor<'de> for KeyVisitor {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a section with name and secret, or a text `name:secret`")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Key, E> {
        // The error does not repeat the text: it may be a secret without a name.
        let (name, text) = text.split_once(':').ok_or_else(|| E::custom("must be `name:secret`"))?;
        let secret = secret(serde::de::value::StrDeserializer::new(text))?;
        let (name, admin) = name.strip_suffix(ADMIN_SUFFIX).map_or((name, false), |name| (name, true));
        Ok(Key { name: name.to_owned(), secret, admin, ..Key::default() })
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Key, A::Error> {
        let KeySection { name, secret, secret_env, sha256, on_disconnect, priority, admin, team, limits } =
            KeySection::deserialize(MapAccessDeserializer::new(members))?;
        Ok(Key { name, secret, secret_env, sha256, on_disconnect, priority, admin, team, limits })
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KeyVisitor)
    }
}

/// Deserializes a digest in hexadecimal digits; the empty text is `None`.
fn hex_digest<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Sha256Digest>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    let rule = || D::Error::custom("must be the SHA-256 digest of the secret, 64 hexadecimal digits");
    parse_hex(&text).map(Some).ok_or_else(rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Key, String> {
        let key: Key = serde_json::from_str(json).map_err(|error| error.to_string())?;
        key.validate().map_err(|error| error.to_string())?;
        Ok(key)
    }

    #[test]
    fn section_text_and_digest_forms_give_the_same_digest() {
        let section =
            parse(r#"{"name": "a", "secret": "0123456789abcdef", "on_disconnect": "10s", "priority": "high"}"#)
                .unwrap();
        let text = parse(r#""a:0123456789abcdef""#).unwrap();
        // From `printf 0123456789abcdef | sha256sum`.
        let digest = "9f9f5111f7b27a781f1f1ddde5ebc2dd2b796bfc7365c9c28b548e564176929f";
        let hashed = parse(&format!(r#"{{"name": "a", "sha256": "{digest}"}}"#)).unwrap();
        assert_eq!(section.digest(), hashed.digest());
        assert_eq!(text.digest(), hashed.digest());
        assert_eq!(section.on_disconnect, Some(OnDisconnect::Grace(std::time::Duration::from_secs(10))));
        assert_eq!((section.priority, text.priority), (Priority::High, Priority::Normal));
        assert!(!section.admin && !text.admin);
        for admin in [r#"{"name": "a", "secret": "0123456789abcdef", "admin": true}"#, r#""a+admin:0123456789abcdef""#]
        {
            let admin = parse(admin).unwrap();
            assert_eq!((admin.name.as_str(), admin.admin), ("a", true));
        }
        let unresolved = parse(r#"{"name": "a", "secret_env": "A_KEY"}"#).unwrap();
        assert!(unresolved.digest().is_err());
    }

    #[test]
    fn invalid_keys_are_rejected_without_repeating_the_secret() {
        for (json, expected) in [
            (r#""0123456789abcdef""#, "must be `name:secret`"),
            (r#""a:0123456789""#, "`a` must have a secret of 16 to 512 characters"),
            (r#"":0123456789abcdef""#, "must have a name"),
            (r#""a b:0123456789abcdef""#, "must have a name"),
            (r#""+admin:0123456789abcdef""#, "must have a name"),
            (r#""a+root:0123456789abcdef""#, "must have a name"),
            (r#"{"name": "a+admin", "secret": "0123456789abcdef"}"#, "must have a name"),
            (r#""a:""#, "`a` must have one of"),
            (r#"{"name": "a"}"#, "`a` must have one of"),
            (r#"{"name": "a", "secret_env": "A", "sha256": "00"}"#, "64 hexadecimal digits"),
            (r#"{"name": "a", "secrets": "0123456789abcdef"}"#, "unknown field"),
            (r#"{"name": "a", "secret": "0123456789\nabcdef"}"#, "printable ASCII"),
            (r#"{"name": "a", "secret": "0123456789abcdef", "on_disconnect": "later"}"#, "`cancel`, `continue`"),
            (
                r#"{"name": "a", "secret": "0123456789abcdef", "priority": "urgent"}"#,
                "must be `low`, `normal` or `high`",
            ),
        ] {
            let message = parse(json).unwrap_err();
            assert!(message.contains(expected), "{json}: {message}");
            assert!(!message.contains("0123456789"), "{message}");
        }
        let both = format!(r#"{{"name": "a", "secret": "0123456789abcdef", "sha256": "{}"}}"#, "0".repeat(64));
        assert!(parse(&both).unwrap_err().contains("one of secret"));
        assert!(!format!("{:?}", parse(r#""a:0123456789abcdef""#).unwrap()).contains("0123456789"));
    }
}
