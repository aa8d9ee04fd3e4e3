//! The operations of administrators on keys.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use super::store::KeyStore;
use crate::{
    error::Error,
    keys::{GeneratedSecret, KeyChange, KeyDefinition, KeyRecord, Keys, StoredKey},
};

/// The most stored keys that are not revoked. Each change builds the table of all keys again, which takes milliseconds for as many.
const MAX_KEYS: usize = 10_000;

/// The interval at which the changes of other nodes (processes that share the database) are read. Until then, a key that another node
/// has revoked is accepted.
const OTHER_NODES_INTERVAL: Duration = Duration::from_secs(1);

/// How often a change is attempted: each attempt fails if another change of the key was committed since the key was read.
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

    /// Returns the keys that calls are checked against.
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
        let created = change_by(author);
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
    /// [`Error::KeyNotFound`]; [`Error::Storage`].
    pub(super) async fn get(&self, name: &str) -> Result<KeyRecord, Error> {
        if let Some(record) = self.keys.record(name) {
            return Ok(record);
        }
        // Another node may have created it just now.
        self.refresh().await?;
        self.keys.record(name).ok_or_else(|| Error::KeyNotFound(name.to_owned()))
    }

    /// Applies what other nodes have changed.
    async fn refresh(&self) -> Result<(), Error> {
        self.keys.apply_all(&self.store.keys().await?);
        Ok(())
    }

    /// Starts to apply the changes of other nodes, until the guard is dropped.
    pub(crate) fn follow_other_nodes(&self, tasks: &TaskTracker) -> DropGuard {
        let stop = CancellationToken::new();
        let (stopped, registry) = (stop.clone(), self.clone());
        tasks.spawn(async move { stopped.run_until_cancelled(registry.follow()).await });
        stop.drop_guard()
    }

    async fn follow(&self) {
        let mut ticks = interval(OTHER_NODES_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut known = None;
        loop {
            ticks.tick().await;
            let refreshed = async {
                let changes = self.store.changes().await?;
                if known != Some(changes) {
                    self.refresh().await?;
                    known = Some(changes);
                }
                Ok::<_, Error>(())
            };
            if let Err(error) = refreshed.await {
                tracing::debug!("the keys that other nodes have changed cannot be read: {error}");
            }
        }
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
            let KeyRecord::Stored(mut key) = self.get(name).await? else {
                let message = "belongs to a key of the configuration; change it in the setting `keys` there";
                return Err(Error::invalid("name", message));
            };
            if key.revoked_at.is_some() {
                return Err(Error::invalid("name", format!("belongs to {REVOKED}; create a key with another name")));
            }
            edit(&mut key)?;
            key.revision += 1;
            key.updated = change_by(author);
            if self.store.replace(key.clone()).await? {
                return Ok(key);
            }
            // The change that was faster may be that of another node.
            self.refresh().await?;
        }
        let message = format!("the key `{name}` was changed by others {MAX_ATTEMPTS} times meanwhile; retry");
        Err(Error::Storage(message))
    }

    /// Revokes a stored key, and returns it. One that was revoked is returned unchanged.
    ///
    /// # Errors
    /// Those of [`change`](Self::change).
    pub(super) async fn revoke(&self, name: &str, author: &str) -> Result<StoredKey, Error> {
        if let KeyRecord::Stored(key @ StoredKey { revoked_at: Some(_), .. }) = self.get(name).await? {
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

/// The owner of the name of a revoked key, for error messages.
const REVOKED: &str = "a key that was revoked";

fn taken(name: &str, taken_by: &'static str) -> Error {
    Error::KeyExists { name: name.to_owned(), taken_by }
}

fn change_by(author: &str) -> KeyChange {
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

    /// Returns the registries of two nodes with one store, which applies its changes to the keys of the first.
    async fn two_nodes() -> (KeyRegistry, KeyRegistry) {
        let keys = Keys::default();
        let store = Arc::new(MemoryKeyStore::new(keys.clone()));
        let here = KeyRegistry::open(store.clone(), keys).await.unwrap();
        (here, KeyRegistry::open(store, Keys::default()).await.unwrap())
    }

    fn alice() -> KeyDefinition {
        KeyDefinition { name: "alice".to_owned(), ..KeyDefinition::default() }
    }

    #[tokio::test]
    async fn key_that_another_node_has_created_or_changed_can_be_changed() {
        let (here, there) = two_nodes().await;
        here.create(alice(), None, "root").await.unwrap();
        assert!(there.change("alice", "root", |_| Ok(())).await.is_ok());
        here.refresh().await.unwrap();
        here.change("alice", "root", |_| Ok(())).await.unwrap();
        assert_eq!(there.change("alice", "root", |_| Ok(())).await.unwrap().revision, 4);
    }

    #[tokio::test(start_paused = true)]
    async fn other_nodes_apply_a_revocation_within_the_interval() {
        let (here, there) = two_nodes().await;
        let (tasks, is_revoked) = (TaskTracker::new(), |registry: &KeyRegistry| match registry.keys.record("alice") {
            Some(KeyRecord::Stored(key)) => Some(key.revoked_at.is_some()),
            Some(KeyRecord::Configured(_)) | None => None,
        });
        here.create(alice(), None, "root").await.unwrap();
        let guard = there.follow_other_nodes(&tasks);
        tokio::time::sleep(2 * OTHER_NODES_INTERVAL).await;
        assert_eq!(is_revoked(&there), Some(false));
        here.revoke("alice", "root").await.unwrap();
        tokio::time::sleep(2 * OTHER_NODES_INTERVAL).await;
        assert_eq!(is_revoked(&there), Some(true));
        drop(guard);
        tasks.close();
        tasks.wait().await;
    }
}
