//! Keys in memory, for tests.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;

use super::KeyStore;
use crate::{
    error::Error,
    keys::{Keys, StoredKey},
};

/// A store without a database.
#[derive(Debug)]
pub(crate) struct MemoryKeyStore {
    by_name: Mutex<BTreeMap<String, StoredKey>>,
    keys: Keys,
}

impl MemoryKeyStore {
    /// Returns an empty store, whose changes are applied to `keys`.
    pub(crate) fn new(keys: Keys) -> Self {
        Self { by_name: Mutex::default(), keys }
    }

    fn by_name(&self) -> MutexGuard<'_, BTreeMap<String, StoredKey>> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl KeyStore for MemoryKeyStore {
    async fn keys(&self) -> Result<Vec<StoredKey>, Error> {
        Ok(self.by_name().values().cloned().collect())
    }

    async fn changes(&self) -> Result<i64, Error> {
        Ok(self.by_name().values().map(|key| i64::from(key.revision)).sum())
    }

    async fn insert(&self, key: StoredKey) -> Result<bool, Error> {
        match self.by_name().entry(key.definition.name.clone()) {
            Entry::Occupied(_) => return Ok(false),
            Entry::Vacant(entry) => _ = entry.insert(key.clone()),
        }
        self.keys.apply(&key);
        Ok(true)
    }

    async fn replace(&self, key: StoredKey) -> Result<bool, Error> {
        // Yields like a database, so that the concurrent changes of a test conflict.
        tokio::task::yield_now().await;
        match self.by_name().get_mut(&key.definition.name) {
            Some(stored) if stored.revision + 1 == key.revision => *stored = key.clone(),
            Some(_) | None => return Ok(false),
        }
        self.keys.apply(&key);
        Ok(true)
    }
}
