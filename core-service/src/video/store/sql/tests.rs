//! Properties of the SQLite store alone: unreadable rows, columns, changes by another store, query plans. The guarantees of all stores are
//! in `conformance/`.

use sqlx::Execute as _;

use super::*;
use crate::{
    context::RequestContext,
    keys::{Caller, Owner},
    video::{
        job::{JobKey, JobRequest},
        state::Phase,
        store::JobLimits,
        testing::request,
    },
};

/// The time after which the jobs fail.
const DEADLINE: Duration = Duration::from_secs(10);

async fn open(directory: &tempfile::TempDir) -> SqlStore {
    SqlStore::new(Database::open(&directory.path().join("jobs.db")).await.unwrap())
}

async fn insert(store: &SqlStore, owner: &str, call: Option<&Idempotency>) -> Job {
    let mut job = Job::new(JobId::new(), Owner::new(owner), request(), store.now(), DEADLINE);
    job.key = call.map(|call| JobKey { key: call.scope.key.clone(), fingerprint: call.fingerprint, expires_at: None });
    assert_eq!(store.insert(&job, call, &JobLimits::default()).await, Ok(Inserted::New));
    job
}

/// The ways in which a row can be unreadable.
const DAMAGES: [&str; 14] = [
    "request = '{'",
    "request = '{}'",
    "request = x'ff00'",
    "origin = ''",
    "state = '{\"version\":99,\"phase\":\"queued\"}'",
    "revision = -1",
    "failures = 'many'",
    "created_at = 'yesterday'",
    "completed_at = 'today'",
    "expires_at = 'tomorrow'",
    "deadline_at = 'soon'",
    "submissions = -1",
    "abandoned = x'ff'",
    "extra_json = x'ff'",
];

async fn damage(store: &SqlStore, id: &JobId, damage: &str) {
    let update = sqlx::AssertSqlSafe(format!("UPDATE video_jobs SET {damage} WHERE id = $1"));
    sqlx::query(update).bind(id.as_str()).execute(store.database.writer()).await.unwrap();
}

async fn claim(store: &SqlStore) -> Result<Option<Claim>, StoreError> {
    store.claim(&WorkerId::new(), &BusyProviders::default()).await
}

#[tokio::test]
async fn unreadable_rows_are_left_out_of_lists_and_do_not_shorten_pages() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    let mut readable = Vec::new();
    // A list does not read the column of the last damage.
    for damaged in &DAMAGES[..DAMAGES.len() - 1] {
        readable.push(insert(&store, "alice", None).await.id);
        damage(&store, &insert(&store, "alice", None).await.id, damaged).await;
    }
    for oldest_first in [true, false] {
        for owners in [Owners::All, Owners::Only(Owner::new("alice"))] {
            let (mut seen, mut after) = (Vec::new(), None);
            loop {
                let page = Page { limit: 2, after, oldest_first, owners: owners.clone(), ..Page::default() };
                let ids: Vec<_> = store.list(&page).await.unwrap().into_iter().map(|job| job.id).collect();
                if ids.len() < 2 {
                    seen.extend(ids);
                    break;
                }
                after = ids.last().cloned();
                seen.extend(ids);
            }
            seen.sort();
            assert_eq!(seen, readable);
        }
    }
}

#[tokio::test]
async fn unreadable_row_is_reported_to_its_owner_and_can_be_removed() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    let (alice, bob) = (Owners::Only(Owner::new("alice")), Owners::Only(Owner::new("bob")));
    // `DAMAGES` has no such due time, because a job with one is never claimed.
    for damaged in DAMAGES.into_iter().chain(["due_at = 'later'"]) {
        let id = insert(&store, "alice", None).await.id;
        damage(&store, &id, damaged).await;
        let Err(StoreError::Corrupt { id: named, .. }) = store.get(&id, &alice).await else { panic!("{damaged}") };
        assert_eq!(named, id.as_str());
        assert_eq!(store.get(&id, &bob).await, Ok(None), "{damaged}");
        assert!(store.contains(&id).await.unwrap(), "its files are kept");
        assert!(!store.remove_unreadable(&id, &bob).await.unwrap());
        assert!(store.remove_unreadable(&id, &alice).await.unwrap());
        assert_eq!(store.get(&id, &alice).await, Ok(None));
        assert!(!store.contains(&id).await.unwrap() && store.events(&id).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn unreadable_rows_do_not_keep_other_jobs_from_being_claimed() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    for damaged in DAMAGES {
        damage(&store, &insert(&store, "", None).await.id, damaged).await;
    }
    let id = insert(&store, "", None).await.id;
    let mut unreadable = 0;
    let claimed = loop {
        match claim(&store).await {
            Err(StoreError::Corrupt { .. }) => unreadable += 1,
            claimed => break claimed.unwrap().unwrap(),
        }
    };
    assert_eq!((claimed.job.id, unreadable), (id, DAMAGES.len()));
    assert_eq!(claim(&store).await, Ok(None));
    assert!(store.next_due(&BusyProviders::default()).await.unwrap().is_some());
}

#[tokio::test]
async fn key_of_an_unreadable_row_is_free_for_a_new_attempt_of_an_sdk() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    let attempt = async |retries| {
        let context =
            RequestContext { caller: Caller::named("a"), sdk_retries: Some(retries), ..RequestContext::default() };
        Idempotency::from_request(&context, "CreateVideo", &"body".to_owned()).await.unwrap()
    };
    let first = insert(&store, "a", Some(&attempt(0).await)).await.id;
    damage(&store, &first, "state = ''").await;
    assert!(matches!(store.find(&attempt(1).await).await, Err(StoreError::Corrupt { .. })));
    let second = insert(&store, "a", Some(&attempt(0).await)).await;
    assert_eq!(store.find(&attempt(1).await).await, Ok(Some(second)));
}

#[tokio::test]
async fn request_document_in_the_database_has_no_extra_members() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    let mut job = Job::new(JobId::new(), Owner::default(), request(), store.now(), DEADLINE);
    job.request.parameters.extra_json = r#"{"a":1E400}"#.to_owned();
    store.insert(&job, None, &JobLimits::default()).await.unwrap();
    let row = "SELECT request, extra_json, provider_id FROM video_jobs";
    let (request, extra_json, provider_id): (String, String, String) =
        sqlx::query_as(row).fetch_one(store.database.readers()).await.unwrap();
    assert!(!request.contains("1E400") && !request.contains("extra_json"), "{request}");
    assert_eq!((extra_json.as_str(), provider_id.as_str()), (r#"{"a":1E400}"#, "fake"));
    let read: JobRequest = serde_json::from_str(&request).unwrap();
    assert_eq!(read.model, job.request.model);
}

#[tokio::test]
async fn changes_of_another_node_reach_subscribers_once() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    // Each store publishes its own changes only, as that of another process does.
    let other = SqlStore::new(store.database.clone());
    let [job, unchanged] = [insert(&store, "alice", None).await, insert(&store, "alice", None).await];
    let [mut changes, mut none] = [&job, &unchanged].map(|job| store.changes_of(&job.id));
    for changes in [&mut changes, &mut none] {
        // The first read publishes the job as it is, because it is not known what the subscriber has read.
        store.publish_changes_of_other_nodes().await.unwrap();
        assert_eq!(changes.next().await.job.revision, job.revision);
    }
    let cancelled = Job { revision: job.revision + 1, deleted: true, ..job.clone() };
    other.amend(&job, &cancelled).await.unwrap();
    for _ in 0..2 {
        store.publish_changes_of_other_nodes().await.unwrap();
    }
    assert!(changes.next().await.job.deleted);
    for changes in [&mut changes, &mut none] {
        assert!(futures_util::poll!(std::pin::pin!(changes.next())).is_pending());
    }
}

#[tokio::test]
async fn filtered_lists_are_found_by_index_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::open(&directory.path().join("jobs.db")).await.unwrap();
    let owners = [Owners::All, Owners::Only(Owner::new("alice"))];
    for (owners, oldest_first) in owners.into_iter().flat_map(|owners| [(owners.clone(), true), (owners, false)]) {
        let page = |phases: &[Phase], model: &str| Page {
            limit: 1,
            oldest_first,
            owners: owners.clone(),
            phases: phases.to_vec(),
            model: model.to_owned(),
            ..Page::default()
        };
        for (page, index) in [
            (page(&[Phase::Queued], ""), "video_jobs_not_succeeded"),
            (page(&[Phase::Failed, Phase::Cancelled], "m"), "video_jobs_not_succeeded"),
            (page(&[], "m"), "video_jobs_model"),
            (page(&[Phase::Succeeded], "m"), "video_jobs_model"),
        ] {
            let query = list::statement(&database, &page, None, 1).build();
            let statement = format!("EXPLAIN QUERY PLAN {}", query.sql().as_str());
            let plan = sqlx::query_as(sqlx::AssertSqlSafe(statement)).fetch_all(database.writer()).await;
            let plan: Vec<(i64, i64, i64, String)> = plan.unwrap();
            // One step: the rows are not sorted.
            let [(_, _, _, step)] = plan.as_slice() else { panic!("{plan:#?}") };
            assert!(step.starts_with(&format!("SEARCH video_jobs USING INDEX {index} (")), "{page:?}: {step}");
        }
    }
}

#[tokio::test]
async fn claims_and_due_times_are_found_by_index() {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::open(&directory.path().join("jobs.db")).await.unwrap();
    for (statement, index) in [
        (claims::CLAIM_IN_PROGRESS, "video_jobs_due"),
        (claims::CLAIM_QUEUED, "video_jobs_waiting"),
        (claims::WAITING, "video_jobs_waiting"),
        (claims::NEXT_DUE, "video_jobs_due"),
        (claims::NEXT_DUE, "video_jobs_waiting"),
    ] {
        let plan = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
        let plan: Vec<(i64, i64, i64, String)> = sqlx::query_as(plan).fetch_all(database.writer()).await.unwrap();
        let steps: Vec<_> =
            plan.iter().map(|step| step.3.as_str()).filter(|step| step.contains("video_jobs")).collect();
        assert!(
            steps.iter().any(|step| step.contains(&format!("SEARCH video_jobs USING COVERING INDEX {index}"))),
            "{plan:#?}"
        );
        // A scan of an index ends at its first entry; the update finds its row by the primary key.
        let by_index = |step: &&str| step.contains("USING COVERING INDEX video_jobs_") || step.contains("(id=?)");
        assert!(steps.iter().all(by_index), "{plan:#?}");
    }
}
