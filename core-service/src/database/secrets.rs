//! Secret keys that the core generates once and keeps, such as the one that signs links for providers.

use uuid::Uuid;

use super::Database;

impl Database {
    /// Returns the key of this name, 64 hexadecimal digits with 244 random bits. The first call generates it; all processes that
    /// share the database get the same.
    pub(crate) async fn secret(&self, name: &str) -> Result<String, sqlx::Error> {
        let generated = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let insert = "INSERT INTO secrets (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
        self.execute(sqlx::query(insert).bind(name).bind(generated)).await?;
        sqlx::query_scalar("SELECT value FROM secrets WHERE name = $1").bind(name).fetch_one(self.readers()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn secret_is_generated_once_and_kept() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("jobs.sqlite");
        let database = Database::open(&file).await.unwrap();
        let first = database.secret("a").await.unwrap();
        assert_eq!(first.len(), 64);
        assert_ne!(database.secret("b").await.unwrap(), first);
        database.close().await;
        let again = Database::open(&file).await.unwrap();
        assert_eq!(again.secret("a").await.unwrap(), first);
    }
}
