//! Jobs whose rows cannot be read: they affect no other job, and can be deleted.

use std::time::SystemTime;

use bytes::Bytes;
use tonic::Code;

use super::*;
use crate::{
    database::Database,
    error::Error,
    keys::Owner,
    media::{
        MediaKey,
        sweeper::{MediaReferences, RetentionPolicy, Sweeper},
    },
    video::store::{Page, sql::SqlStore},
};

async fn harness(directory: &tempfile::TempDir) -> (Harness, Database) {
    let database = Database::open(&directory.path().join("jobs.db")).await.unwrap();
    let store = Arc::new(SqlStore::new(database.clone()));
    (Harness::with_store(store, FakeProvider::default(), JobSettings::default()), database)
}

/// Creates a job of this owner with a reference image, and damages its row.
async fn create_unreadable(harness: &Harness, database: &Database, owner: &str) -> JobId {
    let caller = crate::keys::Caller::named(owner);
    let context = RequestContext { caller, ..RequestContext::default() };
    let id = harness.jobs.create(JobId::new(), request(), &context, None).await.unwrap().id;
    let key = MediaKey::parse(&format!("{id}-reference.png")).unwrap();
    harness.jobs.media_store.put(&key, Bytes::from_static(b"bytes")).await.unwrap();
    let damage = sqlx::query("UPDATE video_jobs SET state = 'damaged' WHERE id = $1").bind(id.as_str());
    damage.execute(database.writer()).await.unwrap();
    id
}

#[tokio::test]
async fn runner_and_list_skip_unreadable_jobs() {
    let directory = tempfile::tempdir().unwrap();
    let (harness, database) = harness(&directory).await;
    for _ in 0..10 {
        create_unreadable(&harness, &database, "").await;
    }
    let id = harness.create().await;
    let _runner = harness.start();
    assert_eq!(harness.outcome(&id).await.state.phase(), Phase::Succeeded);
    let listed = harness.jobs.list(&Page { limit: 20, ..Page::default() }).await.unwrap();
    assert_eq!(listed.into_iter().map(|job| job.id).collect::<Vec<_>>(), [id]);
}

#[tokio::test]
async fn operations_on_an_unreadable_job_return_an_internal_error_with_its_id() {
    let directory = tempfile::tempdir().unwrap();
    let (harness, database) = harness(&directory).await;
    let id = create_unreadable(&harness, &database, "alice").await;
    let alice = Owners::Only(Owner::new("alice"));
    for error in [
        harness.jobs.get(id.as_str(), &alice).await.unwrap_err(),
        harness.jobs.cancel(id.as_str(), &Owners::All).await.unwrap_err(),
        harness.jobs.watch(id.as_str(), &alice).await.err().unwrap(),
    ] {
        let status = tonic::Status::from(error);
        assert_eq!(status.code(), Code::Internal);
        assert!(status.message().contains(id.as_str()) && !status.message().contains("damaged"), "{status:?}");
    }
}

#[tokio::test]
async fn only_its_owner_can_delete_an_unreadable_job() {
    let directory = tempfile::tempdir().unwrap();
    let (harness, database) = harness(&directory).await;
    let id = create_unreadable(&harness, &database, "alice").await;
    let (alice, bob) = (Owners::Only(Owner::new("alice")), Owners::Only(Owner::new("bob")));
    let not_found = Error::VideoNotFound(id.to_string());
    assert_eq!(harness.jobs.get(id.as_str(), &bob).await, Err(not_found.clone()));
    assert_eq!(harness.jobs.delete(id.as_str(), &bob).await, Err(not_found.clone()));
    assert_eq!(harness.files().len(), 1);
    assert_eq!(harness.jobs.delete(id.as_str(), &alice).await, Ok(id.clone()));
    assert_eq!(harness.jobs.delete(id.as_str(), &alice).await, Err(not_found));
    // Only the row named its inputs. They are no longer referenced, so the sweeper removes them.
    let input = MediaKey::parse(&harness.files()[0]).unwrap();
    assert_eq!(harness.jobs.is_referenced(&input).await, Ok(false));
}

#[tokio::test]
async fn sweeper_keeps_the_files_of_an_unreadable_job_and_removes_others() {
    let directory = tempfile::tempdir().unwrap();
    let (harness, database) = harness(&directory).await;
    let id = create_unreadable(&harness, &database, "").await;
    let other = MediaKey::parse("picture.png").unwrap();
    harness.jobs.media_store.put(&other, Bytes::from_static(b"bytes")).await.unwrap();
    let policy = RetentionPolicy { retention: Some(Duration::from_mins(1)), quota_bytes: None };
    let sweeper = Sweeper::new(harness.jobs.media_store.clone(), policy, Arc::new(harness.jobs.clone()));
    let swept = sweeper.sweep(SystemTime::now() + Duration::from_hours(1)).await.unwrap();
    assert_eq!((swept.removed, harness.files()), (1, vec![format!("{id}-reference.png")]));
}

/// The damaged columns only repeat the state, or belong to a lease.
#[tokio::test]
async fn job_with_a_wrong_phase_or_lease_is_completed() {
    let directory = tempfile::tempdir().unwrap();
    let (harness, database) = harness(&directory).await;
    let mut ids = Vec::new();
    for damage in ["phase = 'rendering'", "phase = 'lost'", "lease_owner = 'unknown'", "fence = 'many'", "fence = -7"] {
        let id = harness.create().await;
        let update = sqlx::AssertSqlSafe(format!("UPDATE video_jobs SET {damage} WHERE id = $1"));
        sqlx::query(update).bind(id.as_str()).execute(database.writer()).await.unwrap();
        ids.push((damage, id));
    }
    let _runner = harness.start();
    for (damage, id) in ids {
        assert_eq!(harness.outcome(&id).await.state.phase(), Phase::Succeeded, "{damage}");
        assert_eq!(harness.provider.call_count(&format!("submit {id}")), 1, "{damage}");
    }
}
