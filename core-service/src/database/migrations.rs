//! The schema migrations, in order. A migration that was released never changes; a new one gets the next number of both
//! databases, and has a file for each that needs it.
//!
//! Listed by hand because `sqlx::migrate!` would compile SQLite a second time, for the build host.

use sqlx::{
    Connection as _, SqlSafeStr, SqliteConnection,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
};

/// The number, the name and the SQL of a migration.
pub(super) type MigrationText = (i64, &'static str, &'static str);

/// The migrations of SQLite.
pub(super) const SQLITE: [MigrationText; 16] = [
    (1, "jobs", include_str!("../../migrations/sqlite/0001_jobs.sql")),
    (2, "owners and events of jobs", include_str!("../../migrations/sqlite/0002_jobs.sql")),
    (3, "media", include_str!("../../migrations/sqlite/0003_media.sql")),
    (4, "owners of media, order of claims", include_str!("../../migrations/sqlite/0004_owners.sql")),
    (5, "counters and workers of providers", include_str!("../../migrations/sqlite/0005_queue.sql")),
    (6, "webhooks", include_str!("../../migrations/sqlite/0006_webhooks.sql")),
    (7, "leases of workers", include_str!("../../migrations/sqlite/0007_workers.sql")),
    (8, "secrets", include_str!("../../migrations/sqlite/0008_secrets.sql")),
    (9, "events of deleted jobs", include_str!("../../migrations/sqlite/0009_deleted_jobs.sql")),
    (10, "jobs in flight", include_str!("../../migrations/sqlite/0010_in_flight.sql")),
    (11, "ledger and usage", include_str!("../../migrations/sqlite/0011_ledger.sql")),
    (12, "API keys, authors of ledger entries", include_str!("../../migrations/sqlite/0012_keys.sql")),
    (13, "priority of keys and jobs", include_str!("../../migrations/sqlite/0013_priority.sql")),
    (14, "responses", include_str!("../../migrations/sqlite/0014_responses.sql")),
    (15, "filters of lists of jobs", include_str!("../../migrations/sqlite/0015_list_filters.sql")),
    (16, "nodes", include_str!("../../migrations/sqlite/0016_nodes.sql")),
];

/// The migrations of PostgreSQL. The first creates the schema that SQLite has after migration 14; a later one for both
/// databases has the same number in each, and the number of one for one database is not used in the other.
pub(super) const POSTGRES: [MigrationText; 4] = [
    (1, "schema", include_str!("../../migrations/postgres/0001_schema.sql")),
    (15, "filters of lists of jobs", include_str!("../../migrations/postgres/0015_list_filters.sql")),
    (16, "nodes", include_str!("../../migrations/postgres/0016_nodes.sql")),
    (17, "schema compatibility", include_str!("../../migrations/postgres/0017_schema_compatibility.sql")),
];

/// Applies the migrations that a SQLite database does not have yet.
pub(super) async fn run(connection: &mut SqliteConnection, migrations: &[MigrationText]) -> Result<(), MigrateError> {
    // sqlx takes no lock for SQLite. IMMEDIATE takes the write lock: if two processes open a new file at the same time, the
    // second waits and finds the migrations applied. The migrations run in savepoints of this transaction.
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    migrator(migrations).run(&mut *transaction).await?;
    Ok(transaction.commit().await?)
}

/// Returns the migrator of these migrations. For PostgreSQL it takes a lock, so that only one of several nodes migrates.
pub(super) fn migrator(migrations: &[MigrationText]) -> Migrator {
    let migrations = migrations.iter().map(|&(version, name, sql)| {
        // `false`: not without a transaction.
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    });
    Migrator::with_migrations(migrations.collect())
}
