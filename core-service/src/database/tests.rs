//! Migrations of SQLite files, and the detection of lost events.

use std::{path::Path, time::Duration};

use sqlx::{
    ConnectOptions as _, Connection as _, SqliteConnection, migrate::MigrateError, sqlite::SqliteConnectOptions,
};

use super::*;

async fn connect_without_migrations(file: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
    options.connect().await.unwrap()
}

#[tokio::test]
async fn events_missing_after_a_restart_are_reported_until_the_sequence_is_saved() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("jobs.sqlite");
    let database = Database::open(&file).await.unwrap();
    assert_eq!(database.lost_events().await.unwrap(), None);
    let query = "INSERT INTO sqlite_sequence (name, seq) VALUES ('job_events', 7)";
    sqlx::query(query).execute(database.writer()).await.unwrap();
    database.close().await;
    let database = Database::open(&file).await.unwrap();
    assert_eq!(database.lost_events().await.unwrap(), None);
    database.close().await;

    std::fs::remove_file(&file).unwrap();
    let database = Database::open(&file).await.unwrap();
    assert_eq!(database.lost_events().await.unwrap(), Some(LostEvents { expected: 7, found: 0 }));
    // Saving accepts the loss.
    database.save_sequence().await.unwrap();
    database.close().await;
    assert_eq!(Database::open(&file).await.unwrap().lost_events().await.unwrap(), None);
}

#[tokio::test]
async fn opening_a_file_of_a_later_version_fails() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("jobs.db");
    let database = Database::open(&file).await.unwrap();
    // A migration that this version does not have.
    let update = "UPDATE _sqlx_migrations SET version = 9999 WHERE version = 1";
    sqlx::query(update).execute(database.writer()).await.unwrap();
    database.close().await;
    assert!(matches!(Database::open(&file).await, Err(OpenError::Migrate(MigrateError::VersionMissing(9999)))));
}

#[tokio::test]
async fn jobs_survive_the_migration_of_a_file_without_a_migration_table() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("jobs.db");
    let mut first = connect_without_migrations(&file).await;
    let schema = include_str!("../../migrations/sqlite/0001_jobs.sql");
    sqlx::raw_sql(schema).execute(&mut first).await.unwrap();
    let insert = "INSERT INTO video_jobs (id, revision, phase, state, asked, created_at, deadline_at, attempt, deleted) \
                  VALUES ('video_1', 1, 'queued', '{}', '{}', 0, 0, 0, 0)";
    sqlx::query(insert).execute(&mut first).await.unwrap();
    first.close().await.unwrap();
    let database = Database::open(&file).await.unwrap();
    let jobs: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM video_jobs").fetch_one(database.readers()).await.unwrap();
    assert_eq!(jobs, 1);
}

#[tokio::test]
async fn migration_to_owners_keeps_jobs_and_media_and_moves_extra_members() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("jobs.db");
    let mut first = connect_without_migrations(&file).await;
    // The fourth migration adds the owners.
    migrations::run(&mut first, &migrations::SQLITE[..3]).await.unwrap();
    let id = |last: char| format!("video_{}{last}", "0".repeat(31));
    let request =
        |name: &str| format!(r#"{{"{name}":"p","seed":-9223372036854775808,"extra_json":"{{\"a\":1E400}}"}}"#);
    let rows = [
        (id('1'), "alice", request("provider_id")),
        (id('2'), "", request("provider")),
        (id('3'), "alice", "no JSON".to_owned()),
    ];
    for (id, owner, request) in rows {
        let insert = "INSERT INTO video_jobs (id, owner, revision, phase, state, request, origin, created_at, \
                      deadline_at, attempt, deleted) VALUES ($1, $2, 1, 'queued', '{}', $3, '{}', 0, 0, 0, 0)";
        sqlx::query(insert).bind(&id).bind(owner).bind(request).execute(&mut first).await.unwrap();
        let insert = "INSERT INTO media (key, state, size_bytes, created_at, last_used_at) \
                      VALUES ($1 || '-thumbnail.webp', 'ready', 1, 0, 0)";
        sqlx::query(insert).bind(&id).execute(&mut first).await.unwrap();
    }
    first.close().await.unwrap();
    let database = Database::open(&file).await.unwrap();
    let jobs = "SELECT id, owner, provider_id, request, extra_json FROM video_jobs ORDER BY id";
    let jobs: Vec<(String, String, String, String, String)> =
        sqlx::query_as(jobs).fetch_all(database.readers()).await.unwrap();
    let migrated = |last, owner: &str, provider: &str, request: &str, extra_json: &str| {
        (id(last), owner.to_owned(), provider.to_owned(), request.to_owned(), extra_json.to_owned())
    };
    let expected = [
        migrated('1', "alice", "p", r#"{"provider_id":"p","seed":-9223372036854775808}"#, r#"{"a":1E400}"#),
        migrated('2', "", "p", r#"{"provider":"p","seed":-9223372036854775808}"#, r#"{"a":1E400}"#),
        migrated('3', "alice", "", "no JSON", ""),
    ];
    assert_eq!(jobs, expected);
    let owners = "SELECT key, owner FROM media_owners ORDER BY key";
    let owners: Vec<(String, String)> = sqlx::query_as(owners).fetch_all(database.readers()).await.unwrap();
    let owned = |last| (format!("{}-thumbnail.webp", id(last)), "alice".to_owned());
    assert_eq!(owners, [owned('1'), owned('3')]);
}

#[tokio::test]
async fn migration_to_priorities_gives_keys_and_jobs_the_default() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("jobs.db");
    let mut first = connect_without_migrations(&file).await;
    // The thirteenth migration adds the priorities.
    migrations::run(&mut first, &migrations::SQLITE[..12]).await.unwrap();
    sqlx::raw_sql(
        "INSERT INTO video_jobs (id, owner, revision, phase, state, request, origin, created_at, deadline_at, due_at, \
         failures, deleted) VALUES ('video_1', 'alice', 1, 'queued', '{}', '{}', '{}', 0, 0, 0, 0, 0); \
         INSERT INTO api_keys (name, revision, team, admin, limits, created_at, created_by, updated_at, updated_by) \
         VALUES ('alice', 1, '', 0, '{}', 0, '', 0, '')",
    )
    .execute(&mut first)
    .await
    .unwrap();
    first.close().await.unwrap();
    let database = Database::open(&file).await.unwrap();
    let priorities = "SELECT priority FROM video_jobs UNION ALL SELECT priority FROM api_keys";
    let priorities: Vec<String> = sqlx::query_scalar(priorities).fetch_all(database.readers()).await.unwrap();
    assert_eq!(priorities, ["normal", "normal"]);
    let unknown = sqlx::query("UPDATE video_jobs SET priority = 'urgent'").execute(database.writer()).await;
    assert!(unknown.is_err(), "a job of an unknown priority would never be claimed");
}

#[tokio::test]
async fn backup_of_the_previous_schema_is_restored_and_migrated() {
    let root = tempfile::tempdir().unwrap();
    let (data, backup, restored) = (root.path().join("data"), root.path().join("backup"), root.path().join("new"));
    std::fs::create_dir_all(data.join("media")).unwrap();
    let previous = migrations::SQLITE.len() - 1;
    let mut first = connect_without_migrations(&data.join("jobs.sqlite")).await;
    migrations::run(&mut first, &migrations::SQLITE[..previous]).await.unwrap();
    let id = crate::video::job::JobId::new();
    let request = serde_json::to_string(&crate::video::testing::request()).unwrap();
    let insert = "INSERT INTO video_jobs (id, owner, revision, phase, state, request, origin, created_at, deadline_at, \
                  failures, deleted) VALUES ($1, 'alice', 3, 'failed', $2, $3, '{}', 0, 0, 0, 0)";
    let state = r#"{"version":1,"phase":"failed","percent":0,"code":"internal","message":"m"}"#;
    sqlx::query(insert).bind(id.as_str()).bind(state).bind(request).execute(&mut first).await.unwrap();
    sqlx::raw_sql(
        "INSERT INTO media (key, state, size_bytes, created_at, last_used_at) VALUES ('a.png', 'ready', 1, 0, 0);
         INSERT INTO media_imports (finished_at) VALUES (0)",
    )
    .execute(&mut first)
    .await
    .unwrap();
    std::fs::write(data.join("media/a.png"), "a").unwrap();
    first.close().await.unwrap();

    let stop = tokio_util::sync::CancellationToken::new();
    let manifest = crate::backup::create(&data, &backup, crate::backup::Method::Copy, &stop, |_, _| ()).await;
    assert_eq!(manifest.unwrap().media.files, 1);
    let queued = crate::backup::QueuedJobs::MayBeSubmitted;
    crate::backup::restore(&backup, &restored, queued, Duration::ZERO, &stop, |_, _| ()).await.unwrap();
    let settings = crate::config::Settings { data_dir: restored, ..crate::config::Settings::default() };
    let core = crate::Core::open(&settings).await.unwrap();
    let request = triptych_proto::v1::GetVideoRequest { id: id.to_string() };
    let video = triptych_proto::v1::video_service_server::VideoService::get_video(
        &*core.services().video,
        tonic::Request::new(request),
    );
    assert_eq!(video.await.unwrap().into_inner().video.unwrap().id, id.as_str());
    core.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_opens_of_a_new_file_succeed() {
    // The race for the switch to WAL mode does not occur in every round.
    for _ in 0..20 {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("jobs.db");
        let opens = (0..8).map(|_| Database::open(&file));
        for database in futures_util::future::join_all(opens).await {
            database.unwrap().close().await;
        }
    }
}
