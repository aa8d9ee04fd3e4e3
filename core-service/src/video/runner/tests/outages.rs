//! A full disk, a locked database and an unusable media store, on a real database file.

use std::path::Path;

use bytes::Bytes;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

use super::*;
use crate::{
    database::Database,
    error::Error,
    media::{MediaKey, MediaStore},
    video::store::{Page, sqlite::SqliteStore},
};

/// Opens the database in this directory. Its write connection waits only shortly for the locks of other processes.
async fn open(directory: &Path) -> Database {
    let database = Database::open(&directory.join("jobs.db")).await.unwrap();
    pragma(&database, "busy_timeout = 50").await;
    database
}

async fn pragma(database: &Database, pragma: &str) {
    sqlx::query(AssertSqlSafe(format!("PRAGMA {pragma}"))).execute(database.writer()).await.unwrap();
}

fn harness(database: &Database, provider: FakeProvider) -> Harness {
    Harness::with_store(Arc::new(SqliteStore::new(database.clone())), provider, JobSettings::default())
}

async fn create_large(harness: &Harness) -> Result<JobId, Error> {
    let mut request = request();
    request.parameters.prompt = "a boat ".repeat(4000);
    Ok(harness.jobs.create(JobId::new(), request, &RequestContext::default(), None).await?.id)
}

#[tokio::test]
async fn create_on_a_full_disk_fails_and_leaves_no_job() {
    let directory = tempfile::tempdir().unwrap();
    let database = open(directory.path()).await;
    let harness = harness(&database, FakeProvider::default());
    // SQLite reports the limit as a full disk.
    let pages: i64 = sqlx::query_scalar("PRAGMA page_count").fetch_one(database.writer()).await.unwrap();
    pragma(&database, &format!("max_page_count = {}", pages + 20)).await;
    let (mut created, mut refused) = (Vec::new(), 0);
    for _ in 0..10 {
        match create_large(&harness).await {
            Ok(id) => created.push(id),
            Err(error) => {
                assert!(matches!(&error, Error::Storage(why) if why.contains("full")), "{error:?}");
                refused += 1;
            }
        }
    }
    assert!(!created.is_empty() && refused > 0, "{} created, {refused} refused", created.len());
    let page = Page { limit: 100, oldest_first: true, ..Page::default() };
    let listed: Vec<_> = harness.jobs.list(&page).await.unwrap().into_iter().map(|job| job.id).collect();
    assert_eq!(listed, created);

    pragma(&database, "max_page_count = 1000000").await;
    created.push(create_large(&harness).await.unwrap());
    let _runner = harness.start();
    for id in &created {
        assert_eq!(harness.outcome(id).await.state.phase(), Phase::Succeeded);
    }
    assert_eq!(harness.provider.call_count("submit"), created.len());
}

/// Another process that holds the write lock.
struct Lock(SqliteConnection);

impl Lock {
    async fn acquire(directory: &Path) -> Self {
        let mut connection = SqliteConnection::connect(directory.join("jobs.db").to_str().unwrap()).await.unwrap();
        sqlx::query("BEGIN IMMEDIATE").execute(&mut connection).await.unwrap();
        Self(connection)
    }

    /// Holds the lock until several writes have failed, then releases it.
    async fn hold(mut self, harness: &Harness) {
        for _ in 0..5 {
            let refused = create_large(harness).await.unwrap_err();
            assert!(matches!(&refused, Error::Storage(why) if why.contains("locked")), "{refused:?}");
        }
        sqlx::query("ROLLBACK").execute(&mut self.0).await.unwrap();
    }
}

#[tokio::test]
async fn job_continues_after_the_database_was_locked_longer_than_the_busy_timeout() {
    let gated = |gate| Reply::Gated(gate, UpstreamTask("task".to_owned()));
    for step in ["submit", "poll", "fetch"] {
        let directory = tempfile::tempdir().unwrap();
        let database = open(directory.path()).await;
        let (open, gate) = tokio::sync::watch::channel(false);
        let provider = match step {
            "submit" => FakeProvider::default().with_submits([gated(gate)]),
            "poll" => FakeProvider::default().with_polls([Reply::Gated(
                gate,
                crate::video::provider::Progress::Working { percent: Some(40), poll_after: Duration::from_millis(50) },
            )]),
            _ => FakeProvider::default().with_fetches([Reply::Gated(gate, Bytes::from_static(b"clip"))]),
        };
        let harness = harness(&database, provider);
        let id = harness.create().await;
        let _runner = harness.start();
        harness.provider.wait_for_calls(step, 1).await;
        let lock = Lock::acquire(directory.path()).await;
        open.send(true).unwrap();
        lock.hold(&harness).await;
        let job = harness.outcome(&id).await;
        assert_eq!(job.state.phase(), Phase::Succeeded, "locked after the {step}: {:?}", job.state);
        assert_eq!(harness.provider.call_count("submit"), 1, "locked after the {step}");
    }
}

#[tokio::test]
async fn copy_continues_after_the_media_store_could_not_be_written() {
    let directory = tempfile::tempdir().unwrap();
    let database = open(directory.path()).await;
    let (open, gate) = tokio::sync::watch::channel(false);
    let fetch = Reply::Gated(gate, Bytes::from_static(b"clip"));
    let harness = harness(&database, FakeProvider::default().with_fetches([fetch]));
    let media = harness.directory.path().join("media");
    let id = harness.create().await;
    let _runner = harness.start();
    harness.provider.wait_for_calls("fetch", 1).await;
    // No file can be created below a file.
    let away = harness.directory.path().join("away");
    std::fs::rename(&media, &away).unwrap();
    std::fs::write(&media, b"").unwrap();
    let key = MediaKey::parse("picture.png").unwrap();
    let store: &MediaStore = &harness.jobs.media_store;
    assert!(matches!(store.put(&key, Bytes::from_static(b"a")).await, Err(Error::Storage(_))));
    open.send(true).unwrap();
    // The second download begins after the first one could not be stored.
    harness.provider.wait_for_calls("fetch video", 2).await;
    std::fs::remove_file(&media).unwrap();
    std::fs::rename(&away, &media).unwrap();
    assert_eq!(harness.outcome(&id).await.state.phase(), Phase::Succeeded);
    assert_eq!(harness.provider.call_count("submit"), 1);
    assert!(harness.files().contains(&format!("{id}.mp4")), "{:?}", harness.files());
}
