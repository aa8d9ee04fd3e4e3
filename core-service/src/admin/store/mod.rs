//! Where keys that were created at run time are stored.

#[cfg(test)]
mod conformance;
#[cfg(test)]
pub(super) mod memory;
mod row;
pub(super) mod sql;

use std::fmt;

use async_trait::async_trait;

use crate::{error::Error, keys::StoredKey};

/// A store of keys. Every implementation passes the conformance suite.
///
/// A store belongs to a [`Keys`](crate::keys::Keys) and applies each change to it once the change is committed, also if the caller has
/// been dropped by then: otherwise a key could be revoked in the store and accepted until the next start.
#[async_trait]
pub trait KeyStore: fmt::Debug + Send + Sync {
    /// Returns all keys in the order of their names, also those that were revoked.
    ///
    /// # Errors
    /// [`Error::Storage`], also if a row cannot be read.
    async fn keys(&self) -> Result<Vec<StoredKey>, Error>;

    /// Returns the number of changes so far, inserts included.
    ///
    /// # Errors
    /// [`Error::Storage`].
    async fn changes(&self) -> Result<i64, Error>;

    /// Inserts a new key. Returns `false` if its name is taken.
    ///
    /// # Errors
    /// [`Error::Storage`].
    async fn insert(&self, key: StoredKey) -> Result<bool, Error>;

    /// Replaces a key. Returns `false` if it has changed meanwhile: the stored revision must be the one before that of `key`.
    ///
    /// # Errors
    /// [`Error::Storage`].
    async fn replace(&self, key: StoredKey) -> Result<bool, Error>;
}
