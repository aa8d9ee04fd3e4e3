//! The schema migrations, in order. A migration that was released never changes; a new one gets the next number.
//!
//! Listed by hand rather than with `sqlx::migrate!`: the macro would compile SQLite a second time, for the build host.

use sqlx::{
    SqlSafeStr, SqlitePool,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
};

const MIGRATIONS: [(i64, &str, &str); 2] = [
    (1, "jobs", include_str!("../../migrations/sqlite/0001_jobs.sql")),
    (2, "owners and events of jobs", include_str!("../../migrations/sqlite/0002_jobs.sql")),
];

/// Applies the missing migrations.
pub(super) async fn run(writer: &SqlitePool) -> Result<(), MigrateError> {
    let migrations = MIGRATIONS.map(|(version, name, sql)| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    });
    // sqlx takes no lock for SQLite. IMMEDIATE takes the write lock: of two processes that open a new file together, the
    // second one waits and finds the work done. The migrations run in savepoints of this transaction.
    let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
    Migrator::with_migrations(migrations.into()).run(&mut *transaction).await?;
    Ok(transaction.commit().await?)
}
