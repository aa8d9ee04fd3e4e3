//! What every job store must do. One law a function, and the law is its name.

use std::{sync::Arc, time::Duration};

use super::{Claim, Inserted, JobStore, Lease, Page, StoreError, WorkerId, memory::MemoryStore, sqlite::SqliteStore};
use crate::video::{
    UpstreamTask,
    job::{IdempotencyKey, Job, JobId, Order},
    state::{Event, JobState},
    time::Timestamp,
};

const NOW: Timestamp = Timestamp(1_800_000_000_000);
const LEASE: Duration = Duration::from_secs(10);
const DEADLINE: Duration = Duration::from_mins(1);

/// Runs each law twice, each time on an empty store.
macro_rules! laws {
    ($($law:ident,)*) => {
        mod memory {
            $(#[tokio::test]
            async fn $law() {
                super::$law(std::sync::Arc::new(super::MemoryStore::new())).await;
            })*
        }
        mod sqlite {
            $(#[tokio::test]
            async fn $law() {
                let directory = tempfile::tempdir().unwrap();
                let file = directory.path().join("jobs.db");
                let store = super::SqliteStore::new(crate::database::Database::open(&file).await.unwrap());
                super::$law(std::sync::Arc::new(store)).await;
            })*
        }
    };
}

laws! {
    what_goes_in_comes_out,
    the_same_request_under_the_same_key_is_the_first_ones_job,
    another_request_under_the_same_key_is_a_conflict,
    of_many_inserts_under_one_key_one_wins,
    a_deleted_job_frees_its_key_and_is_seen_by_nobody_but_the_next_claim,
    pages_follow_on_each_other_in_both_orders,
    a_page_goes_on_behind_a_job_that_is_gone,
    queued_jobs_count_those_before_them,
    two_workers_get_two_jobs_and_a_third_none,
    the_job_due_longest_is_claimed_first,
    a_claimed_job_is_invisible_until_its_lease_ends,
    a_renewed_lease_holds_longer,
    a_released_job_is_claimed_at_once,
    a_job_that_is_not_due_is_not_claimed,
    the_next_due_time_is_known,
    a_commit_writes_everything_and_gives_the_lease_back_if_asked,
    a_commit_under_a_lost_lease_is_refused,
    a_commit_after_an_amendment_is_refused,
    an_amendment_of_an_old_reading_is_refused,
    a_lost_lease_neither_renews_nor_purges_and_its_release_harms_nobody,
    a_purged_job_is_gone,
}

type Store = Arc<dyn JobStore>;

fn order() -> Order {
    Order {
        provider: "offline".to_owned(),
        model: "offline-video".to_owned(),
        upstream: "camera".to_owned(),
        prompt: "一只猫 'quoted'; DROP TABLE".to_owned(),
        width: 320,
        height: 180,
        seconds: 2,
        seed: Some(i64::MIN),
        reference: Some("a.png".to_owned()),
        user: "u".to_owned(),
        extra_json: r#"{"n":1E400}"#.to_owned(),
        remixed_from: Some(JobId::new()),
    }
}

fn job() -> Job {
    Job::new(JobId::new(), order(), None, NOW, DEADLINE)
}

fn keyed(fingerprint: &str) -> Job {
    let key = IdempotencyKey { text: "key".to_owned(), fingerprint: fingerprint.to_owned() };
    Job::new(JobId::new(), order(), Some(key), NOW, DEADLINE)
}

async fn inserted(store: &Store, job: Job) -> Job {
    assert_eq!(store.insert(&job).await.unwrap(), Inserted::New);
    job
}

async fn claim_at(store: &Store, now: Timestamp) -> Option<Claim> {
    store.claim(&WorkerId::new(), now, LEASE).await.unwrap()
}

async fn claimed(store: &Store) -> Claim {
    claim_at(store, NOW).await.unwrap()
}

async fn listed(store: &Store, limit: u32, after: Option<&JobId>, oldest_first: bool) -> Vec<JobId> {
    let page = Page { limit, after: after.cloned(), oldest_first };
    store.list(&page).await.unwrap().into_iter().map(|job| job.id).collect()
}

async fn what_goes_in_comes_out(store: Store) {
    let mut all = keyed("f");
    all.state = JobState::Rendering { task: UpstreamTask("t\"\\ü".to_owned()), percent: 40 };
    all.completed_at = Some(NOW.after(LEASE));
    all.expires_at = Some(NOW.after(DEADLINE));
    all.abandoned = Some(UpstreamTask("a".to_owned()));
    all.attempt = 3;
    all.revision = 7;
    let (all, bare) = (inserted(&store, all).await, inserted(&store, job()).await);
    assert_eq!(store.get(&all.id).await.unwrap().as_ref(), Some(&all));
    assert_eq!(store.get(&bare.id).await.unwrap(), Some(bare));
    assert_eq!(store.find("key").await.unwrap(), Some(all));
    assert_eq!(store.find("other").await.unwrap(), None);
    assert_eq!(store.get(&JobId::new()).await.unwrap(), None);
}

async fn the_same_request_under_the_same_key_is_the_first_ones_job(store: Store) {
    let first = inserted(&store, keyed("f")).await;
    assert_eq!(store.insert(&keyed("f")).await.unwrap(), Inserted::Known(Box::new(first.clone())));
    assert_eq!(listed(&store, 10, None, true).await, [first.id]);
}

async fn another_request_under_the_same_key_is_a_conflict(store: Store) {
    inserted(&store, keyed("f")).await;
    assert_eq!(store.insert(&keyed("g")).await, Err(StoreError::KeyConflict("key".to_owned())));
}

async fn of_many_inserts_under_one_key_one_wins(store: Store) {
    let tries = (0..8).map(|_| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.insert(&keyed("f")).await.unwrap() == Inserted::New })
    });
    let won = futures_util::future::join_all(tries).await.into_iter().filter(|won| *won.as_ref().unwrap()).count();
    assert_eq!((won, listed(&store, 10, None, true).await.len()), (1, 1));
}

async fn a_deleted_job_frees_its_key_and_is_seen_by_nobody_but_the_next_claim(store: Store) {
    let first = inserted(&store, keyed("f")).await;
    let tombstone = first.buried(NOW, None);
    store.amend(&tombstone).await.unwrap();
    assert_eq!(store.get(&first.id).await.unwrap(), None);
    assert_eq!(store.find("key").await.unwrap(), None);
    assert_eq!(listed(&store, 10, None, true).await, []);
    assert_eq!(claimed(&store).await.job, tombstone);
    inserted(&store, keyed("g")).await;
}

async fn pages_follow_on_each_other_in_both_orders(store: Store) {
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(inserted(&store, job()).await.id);
    }
    assert_eq!(listed(&store, 2, None, true).await, ids[..2]);
    assert_eq!(listed(&store, 2, Some(&ids[1]), true).await, ids[2..4]);
    assert_eq!(listed(&store, 2, Some(&ids[3]), true).await, ids[4..]);
    // What is created meanwhile shifts no page.
    let newest = inserted(&store, job()).await.id;
    assert_eq!(listed(&store, 3, Some(&ids[4]), false).await, [ids[3].clone(), ids[2].clone(), ids[1].clone()]);
    assert_eq!(listed(&store, 1, None, false).await, [newest]);
    assert_eq!(listed(&store, 0, None, false).await, []);
}

async fn a_page_goes_on_behind_a_job_that_is_gone(store: Store) {
    let (first, gone) = (inserted(&store, job()).await, JobId::new());
    let last = inserted(&store, job()).await;
    assert_eq!(listed(&store, 5, Some(&gone), true).await, [last.id]);
    assert_eq!(listed(&store, 5, Some(&gone), false).await, [first.id]);
}

async fn queued_jobs_count_those_before_them(store: Store) {
    let (a, b, c) = (inserted(&store, job()).await, inserted(&store, job()).await, inserted(&store, job()).await);
    assert_eq!(store.ahead(&c.id).await.unwrap(), 2);
    store.amend(&a.cancelled(NOW, None).unwrap()).await.unwrap();
    assert_eq!(store.ahead(&c.id).await.unwrap(), 1);
    assert_eq!(store.ahead(&b.id).await.unwrap(), 0);
}

async fn two_workers_get_two_jobs_and_a_third_none(store: Store) {
    inserted(&store, job()).await;
    inserted(&store, job()).await;
    let workers = (0..3).map(|_| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { claim_at(&store, NOW).await.map(|claim| claim.job.id) })
    });
    let won = futures_util::future::join_all(workers).await;
    let mut won: Vec<_> = won.into_iter().filter_map(Result::unwrap).collect();
    won.sort();
    won.dedup();
    assert_eq!(won.len(), 2);
}

async fn the_job_due_longest_is_claimed_first(store: Store) {
    let late = inserted(&store, job()).await;
    let mut early = job();
    early.due_at = Some(Timestamp(NOW.0 - 1));
    let early = inserted(&store, early).await;
    assert_eq!(claimed(&store).await.job.id, early.id);
    assert_eq!(claimed(&store).await.job.id, late.id);
}

async fn a_claimed_job_is_invisible_until_its_lease_ends(store: Store) {
    inserted(&store, job()).await;
    let first = claimed(&store).await;
    assert_eq!(claim_at(&store, Timestamp(NOW.after(LEASE).0 - 1)).await, None);
    let second = claim_at(&store, NOW.after(LEASE)).await.unwrap();
    assert_eq!(second.job, first.job);
    assert!(second.fence > first.fence);
}

async fn a_renewed_lease_holds_longer(store: Store) {
    inserted(&store, job()).await;
    let claim = claimed(&store).await;
    store.renew(&claim, NOW.after(2 * LEASE)).await.unwrap();
    assert_eq!(claim_at(&store, NOW.after(LEASE)).await, None);
    assert!(claim_at(&store, NOW.after(2 * LEASE)).await.is_some());
}

async fn a_released_job_is_claimed_at_once(store: Store) {
    inserted(&store, job()).await;
    store.release(&claimed(&store).await).await.unwrap();
    claimed(&store).await;
}

async fn a_job_that_is_not_due_is_not_claimed(store: Store) {
    let resting = job();
    inserted(&store, resting.resting(None)).await;
    inserted(&store, job().resting(Some(NOW.after(LEASE)))).await;
    assert_eq!(claim_at(&store, NOW).await, None);
    assert!(claim_at(&store, NOW.after(LEASE)).await.is_some());
}

async fn the_next_due_time_is_known(store: Store) {
    assert_eq!(store.next_due().await.unwrap(), None);
    inserted(&store, job().resting(None)).await;
    assert_eq!(store.next_due().await.unwrap(), None);
    inserted(&store, job().resting(Some(NOW.after(2 * LEASE)))).await;
    assert_eq!(store.next_due().await.unwrap(), Some(NOW.after(2 * LEASE)));
    inserted(&store, job()).await;
    assert_eq!(store.next_due().await.unwrap(), Some(NOW));
    claimed(&store).await;
    assert_eq!(store.next_due().await.unwrap(), Some(NOW.after(LEASE)));
}

async fn a_commit_writes_everything_and_gives_the_lease_back_if_asked(store: Store) {
    inserted(&store, job()).await;
    let claim = claimed(&store).await;
    let mut next = claim.job.after(Event::Begun, NOW).unwrap();
    next.attempt = 1;
    let claim = store.commit(&claim, next.clone(), Lease::Kept).await.unwrap();
    assert_eq!(store.get(&next.id).await.unwrap().as_ref(), Some(&next));
    assert_eq!(claim_at(&store, NOW).await, None);
    let next = next.after(Event::Accepted(UpstreamTask("t".to_owned())), NOW).unwrap();
    store.commit(&claim, next.clone(), Lease::Ended).await.unwrap();
    assert_eq!(claimed(&store).await.job, next);
}

async fn a_commit_under_a_lost_lease_is_refused(store: Store) {
    inserted(&store, job()).await;
    let frozen = claimed(&store).await;
    let owner = claim_at(&store, NOW.after(LEASE)).await.unwrap();
    let next = frozen.job.after(Event::Begun, NOW).unwrap();
    assert_eq!(store.commit(&frozen, next.clone(), Lease::Ended).await, Err(StoreError::Stale));
    assert_eq!(store.get(&next.id).await.unwrap().as_ref(), Some(&frozen.job));
    store.commit(&owner, next, Lease::Ended).await.unwrap();
}

async fn a_commit_after_an_amendment_is_refused(store: Store) {
    inserted(&store, job()).await;
    let claim = claimed(&store).await;
    let cancelled = claim.job.cancelled(NOW, None).unwrap();
    store.amend(&cancelled).await.unwrap();
    let next = claim.job.after(Event::Begun, NOW).unwrap();
    assert_eq!(store.commit(&claim, next, Lease::Kept).await, Err(StoreError::Stale));
    assert_eq!(store.get(&claim.job.id).await.unwrap(), Some(cancelled));
    // Its lease is still its own, to give back.
    store.release(&claim).await.unwrap();
}

async fn an_amendment_of_an_old_reading_is_refused(store: Store) {
    let read = inserted(&store, job()).await;
    let claim = claimed(&store).await;
    store.commit(&claim, read.after(Event::Begun, NOW).unwrap(), Lease::Ended).await.unwrap();
    assert_eq!(store.amend(&read.cancelled(NOW, None).unwrap()).await, Err(StoreError::Stale));
    let nobody = job().cancelled(NOW, None).unwrap();
    assert_eq!(store.amend(&nobody).await, Err(StoreError::Stale));
}

async fn a_lost_lease_neither_renews_nor_purges_and_its_release_harms_nobody(store: Store) {
    inserted(&store, job()).await;
    let frozen = claimed(&store).await;
    let later = NOW.after(LEASE);
    claim_at(&store, later).await.unwrap();
    assert_eq!(store.renew(&frozen, later.after(LEASE)).await, Err(StoreError::Stale));
    assert_eq!(store.purge(&frozen).await, Err(StoreError::Stale));
    store.release(&frozen).await.unwrap();
    assert_eq!(claim_at(&store, later).await, None);
}

async fn a_purged_job_is_gone(store: Store) {
    let job = inserted(&store, job()).await;
    store.amend(&job.buried(NOW, None)).await.unwrap();
    store.purge(&claimed(&store).await).await.unwrap();
    assert_eq!(claim_at(&store, NOW.after(DEADLINE)).await, None);
    assert_eq!(store.next_due().await.unwrap(), None);
}
