//! The operations of administrators on keys.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::store::KeyStore;
use crate::{
    error::Error,
    keys::{GeneratedSecret, KeyChange, KeyDefinition, KeyRecord, Keys, StoredKey},
};

/// The most stored keys that are not revoked. Each change builds the table of all keys again, which takes milliseconds for as many.
const MAX_KEYS: usize = 10_000;

/// How often a change is tried that another change overtakes.
const MAX_ATTEMPTS: usize = 16;

/// The keys of the configuration and of a store. Clones share them.
#[derive(Debug, Clone)]
pub struct KeyRegistry {
    store: Arc<dyn KeyStore>,
    keys: Keys,
}

impl KeyRegistry {
    /// Loads the keys of the store into `keys`, to which the store applies its changes.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn open(store: Arc<dyn KeyStore>, keys: Keys) -> Result<Self, Error> {
        keys.load(store.keys().await?);
        Ok(Self { store, keys })
    }

    /// Returns the keys, as calls are checked against them.
    pub(super) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Creates a key, and returns it with its secret. `author` is the name of the administrator's key.
    ///
    /// # Errors
    /// [`Error::KeyExists`]; [`Error::InvalidField`] if there are too many keys; [`Error::Storage`].
    pub(super) async fn create(
        &self,
        definition: KeyDefinition,
        expires_at: Option<SystemTime>,
        author: &str,
    ) -> Result<(StoredKey, GeneratedSecret), Error> {
        let name = &definition.name;
        if self.keys.is_configured(name) {
            return Err(taken(name, "a key of the configuration"));
        }
        let records = self.keys.records();
        if let Some(record) = records.iter().find(|record| record.definition().name == *name) {
            let is_revoked = matches!(record, KeyRecord::Stored(StoredKey { revoked_at: Some(_), .. }));
            return Err(taken(name, if is_revoked { REVOKED } else { "another key" }));
        }
        let active = |record: &&KeyRecord| matches!(record, KeyRecord::Stored(StoredKey { revoked_at: None, .. }));
        if records.iter().filter(active).count() >= MAX_KEYS {
            let message =
                format!("there are {MAX_KEYS} keys, the most that can be stored; revoke one that is not used");
            return Err(Error::invalid("name", message));
        }
        let secret = GeneratedSecret::generate();
        let created = change(author);
        let key = StoredKey {
            definition,
            revision: 1,
            secret: Some(secret.digest()),
            previous_secret: None,
            expires_at,
            updated: created.clone(),
            created,
            revoked_at: None,
        };
        if !self.store.insert(key.clone()).await? {
            return Err(taken(&key.definition.name, "another key"));
        }
        Ok((key, secret))
    }

    /// Returns the key with this name.
    ///
    /// # Errors
    /// [`Error::KeyNotFound`].
    pub(super) fn get(&self, name: &str) -> Result<KeyRecord, Error> {
        self.keys.record(name).ok_or_else(|| Error::KeyNotFound(name.to_owned()))
    }

    /// Changes a stored key, and returns it. `edit` is called again if another change was faster.
    ///
    /// # Errors
    /// [`Error::KeyNotFound`]; [`Error::InvalidField`] for a key of the configuration or one that was revoked, and for a key that the
    /// edit refuses; [`Error::Storage`].
    pub(super) async fn change(
        &self,
        name: &str,
        author: &str,
        mut edit: impl FnMut(&mut StoredKey) -> Result<(), Error>,
    ) -> Result<StoredKey, Error> {
        for _ in 0..MAX_ATTEMPTS {
            let KeyRecord::Stored(mut key) = self.get(name)? else {
                let message = "belongs to a key of the configuration; change it in the setting `keys` there";
                return Err(Error::invalid("name", message));
            };
            if key.revoked_at.is_some() {
                return Err(Error::invalid("name", format!("belongs to {REVOKED}; create a key with another name")));
            }
            edit(&mut key)?;
            key.revision += 1;
            key.updated = change(author);
            if self.store.replace(key.clone()).await? {
                return Ok(key);
            }
        }
        let message = format!(
            "the key `{name}` was changed by others {MAX_ATTEMPTS} times meanwhile, or its row in the database is not that of this process; \
             retry, and restart the process if that does not help"
        );
        Err(Error::Storage(message))
    }

    /// Revokes a stored key, and returns it. One that was revoked is returned unchanged.
    ///
    /// # Errors
    /// Those of [`change`](Self::change).
    pub(super) async fn revoke(&self, name: &str, author: &str) -> Result<StoredKey, Error> {
        if let KeyRecord::Stored(key @ StoredKey { revoked_at: Some(_), .. }) = self.get(name)? {
            return Ok(key);
        }
        let revoke = |key: &mut StoredKey| {
            key.secret = None;
            key.previous_secret = None;
            key.revoked_at = Some(now());
            Ok(())
        };
        self.change(name, author, revoke).await
    }
}

/// What has the name of a revoked key.
const REVOKED: &str = "a key that was revoked";

fn taken(name: &str, taken_by: &'static str) -> Error {
    Error::KeyExists { name: name.to_owned(), taken_by }
}

fn change(author: &str) -> KeyChange {
    KeyChange { at: now(), by: author.to_owned() }
}

/// Returns the current time, rounded down to the milliseconds that are stored.
pub(super) fn now() -> SystemTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + Duration::from_millis(u64::try_from(since.as_millis()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::store::memory::MemoryKeyStore;

    #[tokio::test]
    async fn change_of_a_key_that_another_process_has_changed_fails_instead_of_retrying_forever() {
        let keys = Keys::default();
        let store = Arc::new(MemoryKeyStore::new(keys.clone()));
        let here = KeyRegistry::open(store.clone(), keys).await.unwrap();
        let definition = KeyDefinition { name: "alice".to_owned(), ..KeyDefinition::default() };
        here.create(definition, None, "root").await.unwrap();
        // The store applies its changes to the keys of the first process only.
        let other = KeyRegistry::open(store, Keys::default()).await.unwrap();
        here.change("alice", "root", |_| Ok(())).await.unwrap();
        let failed = other.change("alice", "root", |_| Ok(())).await;
        assert!(matches!(failed, Err(Error::Storage(_))), "{failed:?}");
    }
}
