//! The schema migrations, in order. A migration that was released never changes; a new one gets the next number.
//!
//! Listed by hand because `sqlx::migrate!` would compile SQLite a second time, for the build host.

use sqlx::{
    SqlSafeStr, SqlitePool,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
};

const MIGRATIONS: [(i64, &str, &str); 3] = [
    (1, "jobs", include_str!("../../migrations/sqlite/0001_jobs.sql")),
    (2, "owners and events of jobs", include_str!("../../migrations/sqlite/0002_jobs.sql")),
    (3, "media", include_str!("../../migrations/sqlite/0003_media.sql")),
];

/// Applies the missing migrations.
pub(super) async fn run(writer: &SqlitePool) -> Result<(), MigrateError> {
    let migrations = MIGRATIONS.map(|(version, name, sql)| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    });
    // sqlx takes no lock for SQLite. IMMEDIATE takes the write lock: if two processes open a new file at the same time, the
    // second waits and finds the migrations applied. The migrations run in savepoints of this transaction.
    let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
    Migrator::with_migrations(migrations.into()).run(&mut *transaction).await?;
    Ok(transaction.commit().await?)
}
