//! Jobs survive a full disk, a locked database and a media store that cannot be written. The database is a real file.

use std::path::Path;

use bytes::Bytes;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

use super::*;
use crate::{
    database::Database,
    error::Error,
    media::{MediaKey, MediaStore},
    video::store::{Page, sql::SqlStore},
};

/// Opens the database in this directory. Writes wait 50 ms for the locks of other processes, so that the tests are fast.
async fn open_database(directory: &Path) -> Database {
    let database = Database::open(&directory.join("jobs.db")).await.unwrap();
    set_pragma(&database, "busy_timeout = 50").await;
    database
}

async fn set_pragma(database: &Database, pragma: &str) {
    sqlx::query(AssertSqlSafe(format!("PRAGMA {pragma}"))).execute(database.writer()).await.unwrap();
}

fn harness(database: &Database, provider: FakeProvider) -> Harness {
    Harness::with_store(Arc::new(SqlStore::new(database.clone())), provider, JobSettings::default())
}

/// Creates a job whose prompt of 28 kB needs several pages of the database.
async fn create_large(harness: &Harness) -> Result<JobId, Error> {
    let mut request = request();
    request.parameters.prompt = "a boat ".repeat(4000);
    Ok(harness.jobs.create(JobId::new(), request, &RequestContext::default(), None).await?.id)
}

#[tokio::test]
async fn jobs_refused_on_a_full_disk_are_not_stored_and_accepted_ones_succeed() {
    let directory = tempfile::tempdir().unwrap();
    let database = open_database(directory.path()).await;
    let harness = harness(&database, FakeProvider::default());
    // SQLite reports a database at its page limit like a full disk. 20 more pages hold some of the 10 jobs.
    let pages: i64 = sqlx::query_scalar("PRAGMA page_count").fetch_one(database.writer()).await.unwrap();
    set_pragma(&database, &format!("max_page_count = {}", pages + 20)).await;
    let (mut created, mut refused) = (Vec::new(), 0);
    for _ in 0..10 {
        match create_large(&harness).await {
            Ok(id) => created.push(id),
            Err(error) => {
                assert!(matches!(&error, Error::StorageNotWritable(why) if why.contains("full")), "{error:?}");
                refused += 1;
            }
        }
    }
    assert!(!created.is_empty() && refused > 0, "{} created, {refused} refused", created.len());
    let page = Page { limit: 100, oldest_first: true, ..Page::default() };
    let listed: Vec<_> = harness.jobs.list(&page).await.unwrap().into_iter().map(|job| job.id).collect();
    assert_eq!(listed, created);

    set_pragma(&database, "max_page_count = 1000000").await;
    created.push(create_large(&harness).await.unwrap());
    let _runner = harness.start();
    for id in &created {
        assert_eq!(harness.outcome(id).await.state.phase(), Phase::Succeeded);
    }
    assert_eq!(harness.provider.call_count("submit"), created.len());
}

/// The write lock of the database, held by a connection of its own, as by another process.
struct WriteLock(SqliteConnection);

impl WriteLock {
    async fn acquire(directory: &Path) -> Self {
        let mut connection = SqliteConnection::connect(directory.join("jobs.db").to_str().unwrap()).await.unwrap();
        sqlx::query("BEGIN IMMEDIATE").execute(&mut connection).await.unwrap();
        Self(connection)
    }

    /// Holds the lock until five writes have failed, each after the busy timeout; then releases it.
    async fn hold_during_failed_writes(mut self, harness: &Harness) {
        for _ in 0..5 {
            let refused = create_large(harness).await.unwrap_err();
            assert!(matches!(&refused, Error::Storage(why) if why.contains("locked")), "{refused:?}");
        }
        sqlx::query("ROLLBACK").execute(&mut self.0).await.unwrap();
    }
}

#[tokio::test]
async fn job_continues_after_the_database_was_locked_longer_than_the_busy_timeout() {
    for step in ["submit", "poll", "fetch"] {
        let directory = tempfile::tempdir().unwrap();
        let database = open_database(directory.path()).await;
        let (open_gate, gate) = tokio::sync::watch::channel(false);
        let provider = match step {
            "submit" => FakeProvider::default().with_submits([Reply::Gated(gate, UpstreamTask("task".to_owned()))]),
            "poll" => FakeProvider::default().with_polls([Reply::Gated(
                gate,
                crate::video::provider::Progress::Working { percent: Some(40), poll_after: Duration::from_millis(50) },
            )]),
            "fetch" => FakeProvider::default().with_fetches([Reply::Gated(gate, Bytes::from_static(b"clip"))]),
            other => panic!("no such step: {other}"),
        };
        let harness = harness(&database, provider);
        let id = harness.create().await;
        let _runner = harness.start();
        harness.provider.wait_for_calls(step, 1).await;
        let lock = WriteLock::acquire(directory.path()).await;
        open_gate.send(true).unwrap();
        lock.hold_during_failed_writes(&harness).await;
        let job = harness.outcome(&id).await;
        assert_eq!(job.state.phase(), Phase::Succeeded, "locked after the {step}: {:?}", job.state);
        assert_eq!(harness.provider.call_count("submit"), 1, "locked after the {step}");
    }
}

#[tokio::test]
async fn clip_is_downloaded_again_after_the_media_store_could_not_be_written() {
    let directory = tempfile::tempdir().unwrap();
    let database = open_database(directory.path()).await;
    let (open_gate, gate) = tokio::sync::watch::channel(false);
    let fetch = Reply::Gated(gate, Bytes::from_static(b"clip"));
    let harness = harness(&database, FakeProvider::default().with_fetches([fetch]));
    let media = harness.directory.path().join("media");
    let id = harness.create().await;
    let _runner = harness.start();
    harness.provider.wait_for_calls("fetch", 1).await;
    // A file in place of the directory: no file can be created below it.
    let away = harness.directory.path().join("away");
    std::fs::rename(&media, &away).unwrap();
    std::fs::write(&media, b"").unwrap();
    let key = MediaKey::parse("picture.png").unwrap();
    let store: &MediaStore = &harness.jobs.media_store;
    assert!(matches!(store.put(&key, Bytes::from_static(b"a")).await, Err(Error::Storage(_))));
    open_gate.send(true).unwrap();
    // The second download begins after the first one could not be stored.
    harness.provider.wait_for_calls("fetch video", 2).await;
    std::fs::remove_file(&media).unwrap();
    std::fs::rename(&away, &media).unwrap();
    assert_eq!(harness.outcome(&id).await.state.phase(), Phase::Succeeded);
    assert_eq!(harness.provider.call_count("submit"), 1);
    assert!(harness.files().contains(&format!("{id}.mp4")), "{:?}", harness.files());
}
