//! Migration of the schema, which nodes of two versions share during a rolling upgrade.
//!
//! The first node of a new version migrates the schema while those of the old one run, and may start again. The migration decides from
//! which version on programs can use its result: see `schema_compatibility` in the migrations.

use sqlx::PgConnection;

use crate::database::{
    error::OpenError,
    migrations::{self, MigrationText},
};

/// Applies the migrations that the database does not have yet, under an advisory lock. A database that a later version has migrated
/// further stays as it is.
///
/// # Errors
/// [`OpenError::NewerSchema`] if the schema of a later version is not compatible with the last of these migrations.
pub(super) async fn migrate(connection: &mut PgConnection, migrations: &[MigrationText]) -> Result<(), OpenError> {
    let mut migrator = migrations::migrator(migrations);
    migrator.set_ignore_missing(true);
    migrator.run(&mut *connection).await?;
    let known = migrations.last().map_or(0, |(number, ..)| *number);
    let query = "SELECT MAX(version), (SELECT oldest_migration FROM schema_compatibility) FROM _sqlx_migrations";
    let (newest, oldest): (i64, i64) = sqlx::query_as(query).fetch_one(connection).await?;
    if known < oldest {
        return Err(OpenError::NewerSchema { known, oldest });
    }
    if known < newest {
        tracing::info!(known, newest, "a later version of Triptych has migrated the database; this version can use it");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use sqlx::{ConnectOptions as _, Connection as _, postgres::PgConnectOptions};

    use super::*;
    use crate::database::{Database, migrations::POSTGRES, testing::url_of};

    /// Applies a migration that this version does not have, as the next version does. `None` without PostgreSQL.
    async fn migrated_by_the_next_version(directory: &std::path::Path, sql: &'static str) -> Option<String> {
        let url = url_of(directory).await?;
        // This version runs meanwhile.
        let running = Database::connect(&url, 4).await.unwrap();
        let mut connection = url.parse::<PgConnectOptions>().unwrap().connect().await.unwrap();
        let next: Vec<_> = POSTGRES.into_iter().chain([(9999, "next", sql)]).collect();
        migrate(&mut connection, &next).await.unwrap();
        connection.close().await.unwrap();
        running.close().await;
        Some(url)
    }

    #[tokio::test]
    async fn old_version_starts_again_after_a_compatible_migration_of_a_newer_one() {
        let directory = tempfile::tempdir().unwrap();
        let sql = "ALTER TABLE video_jobs ADD COLUMN later BIGINT NOT NULL DEFAULT 0; CREATE TABLE later (a BIGINT)";
        let Some(url) = migrated_by_the_next_version(directory.path(), sql).await else { return };
        let old = Database::connect(&url, 4).await.unwrap();
        let query = "SELECT COUNT(*) FROM _sqlx_migrations WHERE version = 9999";
        assert_eq!(sqlx::query_scalar::<_, i64>(query).fetch_one(old.readers()).await.unwrap(), 1);
        old.close().await;
    }

    #[tokio::test]
    async fn old_version_does_not_start_after_a_migration_that_excludes_it() {
        let directory = tempfile::tempdir().unwrap();
        let sql = "UPDATE schema_compatibility SET oldest_migration = 9999";
        let Some(url) = migrated_by_the_next_version(directory.path(), sql).await else { return };
        let error = Database::connect(&url, 4).await.unwrap_err();
        assert!(matches!(error, OpenError::NewerSchema { oldest: 9999, .. }), "{error}");
        assert!(!error.is_temporary());
    }
}
