//! Keys in the core's database.

use async_trait::async_trait;

use super::{KeyStore, row};
use crate::{
    database::{Database, DbConnection, Write},
    error::Error,
    keys::{Keys, StoredKey},
    storage_failure::storage_error,
};

/// The keys in the table `api_keys`. Clones share the database.
#[derive(Debug, Clone)]
pub struct SqlKeyStore {
    database: Database,
    keys: Keys,
}

impl SqlKeyStore {
    /// Returns the store in this database, whose changes are applied to `keys`.
    pub fn new(database: Database, keys: Keys) -> Self {
        Self { database, keys }
    }

    async fn write(&self, key: StoredKey, statement: &'static str) -> Result<bool, Error> {
        let write = WriteKey { row: row::columns(&key)?, key, statement, keys: self.keys.clone() };
        self.database.write(write).await.map_err(|error| storage(&error))
    }
}

fn storage(error: &sqlx::Error) -> Error {
    storage_error("keys", error)
}

#[async_trait]
impl KeyStore for SqlKeyStore {
    async fn keys(&self) -> Result<Vec<StoredKey>, Error> {
        let query = sqlx::query(row::SELECT);
        let rows = query.fetch_all(self.database.readers()).await.map_err(|error| storage(&error))?;
        rows.iter().map(|found| row::key(found).map_err(|error| storage(&error))).collect()
    }

    async fn changes(&self) -> Result<i64, Error> {
        // Rows are never removed, and each change increments the revision of one.
        let query = sqlx::query_scalar("SELECT CAST(COALESCE(SUM(revision), 0) AS BIGINT) FROM api_keys");
        query.fetch_one(self.database.readers()).await.map_err(|error| storage(&error))
    }

    async fn insert(&self, key: StoredKey) -> Result<bool, Error> {
        self.write(key, row::INSERT).await
    }

    async fn replace(&self, key: StoredKey) -> Result<bool, Error> {
        self.write(key, row::REPLACE).await
    }
}

/// Writes one row, unless the condition of the statement refuses it, and applies the change after the commit.
struct WriteKey {
    key: StoredKey,
    row: row::Columns,
    statement: &'static str,
    keys: Keys,
}

#[async_trait]
impl Write for WriteKey {
    type Output = bool;

    async fn run(&mut self, connection: &mut DbConnection) -> Result<bool, sqlx::Error> {
        let query = row::bind(sqlx::query(self.statement), &self.key, &self.row);
        Ok(query.execute(connection).await?.rows_affected() > 0)
    }

    fn on_commit(&self, is_written: &bool) {
        if *is_written {
            self.keys.apply(&self.key);
        }
    }
}
