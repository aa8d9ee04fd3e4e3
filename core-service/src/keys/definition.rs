//! The keys of the configuration and those that were created at run time.

use std::{fmt, time::SystemTime};

use uuid::Uuid;

use crate::{
    config::{self, AccountLimits, SettingError},
    digest::{Hex, Sha256Digest, sha256},
    on_disconnect::OnDisconnect,
    priority::Priority,
};

/// The settings of a key, whether it is in the configuration or was created at run time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyDefinition {
    /// The name, which is the owner of what the key creates.
    pub name: String,
    /// The team; may be empty.
    pub team: String,
    /// Whether it is the key of an administrator.
    pub admin: bool,
    /// The policy for its calls whose client disconnects. `None`: `chat.on_disconnect` applies.
    pub on_disconnect: Option<OnDisconnect>,
    /// The priority of its calls and video jobs while they wait for an upstream.
    pub priority: Priority,
    /// Its limits.
    pub limits: AccountLimits,
}

/// A key of the configuration.
#[derive(Clone)]
pub(super) struct ConfiguredKey {
    pub(super) definition: KeyDefinition,
    pub(super) digest: Sha256Digest,
}

impl ConfiguredKey {
    /// Converts a key of the settings.
    ///
    /// # Errors
    /// The key has no secret.
    pub(super) fn new(key: &config::Key) -> Result<Self, SettingError> {
        let config::Key { name, team, admin, on_disconnect, priority, limits, .. } = key;
        let definition = KeyDefinition {
            name: name.clone(),
            team: team.clone(),
            admin: *admin,
            on_disconnect: *on_disconnect,
            priority: *priority,
            limits: limits.clone(),
        };
        Ok(Self { definition, digest: key.digest()? })
    }
}

/// A key that was created at run time, as it is stored. Times are rounded down to milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredKey {
    /// Its settings.
    pub definition: KeyDefinition,
    /// Grows by one with every change, from 1. A change is refused unless it is based on the newest revision.
    pub revision: u32,
    /// The secret. `None`: the key was revoked.
    pub secret: Option<SecretDigest>,
    /// The secret before the last rotation, and when it becomes invalid.
    pub previous_secret: Option<(SecretDigest, SystemTime)>,
    /// From when on the key is refused. `None`: never.
    pub expires_at: Option<SystemTime>,
    /// When it was created, and the name of the key of the administrator who created it.
    pub created: KeyChange,
    /// The last change.
    pub updated: KeyChange,
    /// When it was revoked. Its name stays taken.
    pub revoked_at: Option<SystemTime>,
}

/// When a key was changed, and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyChange {
    /// The time.
    pub at: SystemTime,
    /// The name of the key of the administrator.
    pub by: String,
}

/// The stored form of a secret: its digest, and its last characters, by which an operator recognizes it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretDigest {
    /// The SHA-256 digest.
    pub(crate) digest: Sha256Digest,
    /// The last four characters.
    pub hint: String,
}

/// The digest is left out, so that the logs of one system cannot be compared with the secrets of another.
impl fmt::Debug for SecretDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretDigest").field("hint", &self.hint).finish_non_exhaustive()
    }
}

/// The beginning of every generated secret, by which scanners of source code find leaked ones.
const PREFIX: &str = "sk-trp-";
/// The number of characters in a hint: too few to help in guessing the rest, which has 240 bits.
const HINT: usize = 4;

/// A new secret. It is returned to the administrator once, and only its digest is kept.
pub struct GeneratedSecret(String);

impl GeneratedSecret {
    /// Generates a secret of 256 random bits: the digest of three UUIDs, which have 122 each.
    pub fn generate() -> Self {
        let random = [(); 3].map(|()| Uuid::new_v4().into_bytes()).concat();
        Self(format!("{PREFIX}{}", Hex(&sha256(&random))))
    }

    /// Returns the form in which the secret is stored.
    pub fn digest(&self) -> SecretDigest {
        SecretDigest { digest: sha256(self.0.as_bytes()), hint: self.0[self.0.len() - HINT..].to_owned() }
    }

    /// Returns the text that clients send.
    pub fn into_text(self) -> String {
        self.0
    }
}

impl fmt::Debug for GeneratedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GeneratedSecret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_secrets_differ_and_are_not_in_debug_output() {
        let (secret, other) = (GeneratedSecret::generate(), GeneratedSecret::generate());
        let digest = secret.digest();
        assert_ne!(digest, other.digest());
        let debug = format!("{secret:?} {digest:?}");
        let text = secret.into_text();
        let random = text.strip_prefix(PREFIX).unwrap();
        assert_eq!(random.len(), 64);
        assert!(text.ends_with(&digest.hint) && !debug.contains(&random[..13]), "{debug}");
        assert!(!debug.contains(&Hex(&digest.digest).to_string()), "{debug}");
        assert_eq!(sha256(text.as_bytes()), digest.digest);
    }
}
