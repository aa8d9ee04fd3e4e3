//! The guarantees of every job store, one per function.

use std::{
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt;

use super::{
    ChangeKind, Claim, Inserted, JobQueue, Lease, Page, StoreError, WorkerId, memory::MemoryStore, sqlite::SqliteStore,
};
use crate::{
    context::RequestContext,
    idempotency::{Idempotency, Key, SDK_WINDOW},
    keys::{Caller, Owner},
    video::{
        job::{Job, JobId, JobKey, JobOrigin, JobRequest},
        parameters::VideoParameters,
        provider::UpstreamTask,
        state::{Event, JobState},
        time::{Clock, Timestamp},
    },
};

const NOW: Timestamp = Timestamp(1_800_000_000_000);
const LEASE: Duration = Duration::from_secs(10);
const DEADLINE: Duration = Duration::from_mins(1);

/// Runs each function over each store, on an empty store.
macro_rules! conformance {
    ($($guarantee:ident,)*) => {
        mod memory {
            $(#[tokio::test]
            async fn $guarantee() {
                let (clock, millis) = super::Clock::manual(super::NOW);
                super::$guarantee(super::Store::new(super::MemoryStore::new(clock), millis)).await;
            })*
        }
        mod sqlite {
            $(#[tokio::test]
            async fn $guarantee() {
                let directory = tempfile::tempdir().unwrap();
                let file = directory.path().join("jobs.db");
                let database = crate::database::Database::open(&file).await.unwrap();
                let (clock, millis) = super::Clock::manual(super::NOW);
                super::$guarantee(super::Store::new(super::SqliteStore::with_clock(database, clock), millis)).await;
            })*
        }
    };
}

conformance! {
    a_job_is_read_as_it_was_written,
    a_repeated_call_returns_the_job_of_the_first,
    another_request_under_the_same_key_conflicts,
    of_concurrent_inserts_under_one_key_one_wins,
    keys_of_different_owners_do_not_collide,
    an_sdk_call_without_a_key_takes_the_content_key_over,
    a_content_key_expires,
    a_deleted_job_frees_its_key_and_is_visible_only_to_the_next_claim,
    pages_are_consecutive_in_both_orders,
    a_page_continues_after_a_job_that_no_longer_exists,
    a_list_can_be_restricted_to_an_owner,
    the_queue_position_counts_earlier_queued_jobs,
    concurrent_workers_claim_different_jobs,
    the_job_that_is_due_longest_is_claimed_first,
    a_claimed_job_cannot_be_claimed_until_its_lease_expires,
    a_renewed_lease_expires_later,
    a_released_job_can_be_claimed_at_once,
    a_job_that_is_not_due_is_not_claimed,
    next_due_considers_leases,
    a_commit_writes_everything_and_ends_the_lease_on_request,
    a_commit_under_a_lost_lease_is_refused,
    a_commit_after_an_amendment_is_refused,
    an_amendment_of_an_outdated_job_is_refused,
    a_lost_lease_can_neither_renew_nor_purge,
    a_purged_job_is_gone,
    every_change_of_state_has_its_event,
    changes_are_published_after_they_are_committed,
}

/// A store and its clock.
#[derive(Clone)]
struct Store {
    queue: Arc<dyn JobQueue>,
    millis: Arc<AtomicI64>,
}

impl Store {
    fn new(queue: impl JobQueue + 'static, millis: Arc<AtomicI64>) -> Self {
        Self { queue: Arc::new(queue), millis }
    }

    /// Sets the clock.
    fn set(&self, now: Timestamp) {
        self.millis.store(now.0, Ordering::SeqCst);
    }
}

impl Deref for Store {
    type Target = dyn JobQueue;

    fn deref(&self) -> &Self::Target {
        &*self.queue
    }
}

fn request() -> JobRequest {
    JobRequest {
        provider_id: "offline".to_owned(),
        model: "offline-video".to_owned(),
        upstream: "camera".to_owned(),
        parameters: VideoParameters {
            prompt: "一只猫 'quoted'; DROP TABLE".to_owned(),
            width: 320,
            height: 180,
            seconds: 2,
            seed: Some(i64::MIN),
            reference: Some("a.png".to_owned()),
            user: "u".to_owned(),
            extra_json: r#"{"n":1E400}"#.to_owned(),
        },
        remixed_from: Some(JobId::new()),
    }
}

fn job() -> Job {
    job_of("")
}

fn job_of(owner: &str) -> Job {
    Job::new(JobId::new(), Owner::new(owner), request(), NOW, DEADLINE)
}

/// A call under the key `key`, or of an SDK that has retried so often.
fn call(owner: &str, sdk_retries: Option<u32>, body: &str) -> Idempotency {
    let context = RequestContext {
        caller: Caller::named(owner),
        idempotency_key: if sdk_retries.is_none() { "key".to_owned() } else { String::new() },
        sdk_retries,
        ..RequestContext::default()
    };
    Idempotency::of(&context, "CreateVideo", &body.to_owned()).now_or_never().flatten().unwrap()
}

fn keyed(call: &Idempotency) -> Job {
    let expires_at = match call.scope.key {
        Key::Explicit(_) => None,
        Key::Content(_) => Some(NOW.after(SDK_WINDOW)),
    };
    let key = JobKey { key: call.scope.key.clone(), fingerprint: call.fingerprint, expires_at };
    Job { key: Some(key), ..job_of(call.scope.owner.as_str()) }
}

async fn insert(store: &Store, job: Job) -> Job {
    assert_eq!(store.insert(&job, None).await.unwrap(), Inserted::New);
    job
}

async fn insert_call(store: &Store, call: &Idempotency) -> Result<Inserted, StoreError> {
    store.insert(&keyed(call), Some(call)).await
}

async fn try_claim(store: &Store) -> Option<Claim> {
    store.claim(&WorkerId::new(), LEASE).await.unwrap()
}

async fn claimed(store: &Store) -> Claim {
    try_claim(store).await.unwrap()
}

async fn listed(store: &Store, limit: u32, after: Option<&JobId>, oldest_first: bool) -> Vec<JobId> {
    let page = Page { limit, after: after.cloned(), oldest_first, owner: None };
    store.list(&page).await.unwrap().into_iter().map(|job| job.id).collect()
}

async fn a_job_is_read_as_it_was_written(store: Store) {
    let call = call("alice", None, "body");
    let mut all = keyed(&call);
    all.origin = JobOrigin { request_id: "req_1".to_owned(), traceparent: Some("t".to_owned()), tracestate: None };
    all.state = JobState::Rendering { task: UpstreamTask("t\"\\ü".to_owned()), percent: 40 };
    all.completed_at = Some(NOW.after(LEASE));
    all.expires_at = Some(NOW.after(DEADLINE));
    all.abandoned = Some(UpstreamTask("a".to_owned()));
    all.attempt = 3;
    all.revision = 7;
    assert_eq!(store.insert(&all, Some(&call)).await.unwrap(), Inserted::New);
    let bare = insert(&store, job()).await;
    assert_eq!(store.get(&all.id).await.unwrap().as_ref(), Some(&all));
    assert_eq!(store.get(&bare.id).await.unwrap(), Some(bare));
    assert_eq!(store.find(&call).await.unwrap(), Some(all));
    assert_eq!(store.get(&JobId::new()).await.unwrap(), None);
}

async fn a_repeated_call_returns_the_job_of_the_first(store: Store) {
    let call = call("", None, "body");
    let first = keyed(&call);
    assert_eq!(store.insert(&first, Some(&call)).await.unwrap(), Inserted::New);
    assert_eq!(insert_call(&store, &call).await.unwrap(), Inserted::Existing(Box::new(first.clone())));
    assert_eq!(listed(&store, 10, None, true).await, [first.id]);
}

async fn another_request_under_the_same_key_conflicts(store: Store) {
    insert_call(&store, &call("", None, "one")).await.unwrap();
    let other = call("", None, "other");
    let conflict = StoreError::KeyConflict("key".to_owned());
    assert_eq!(store.find(&other).await, Err(conflict.clone()));
    assert_eq!(insert_call(&store, &other).await, Err(conflict));
}

async fn of_concurrent_inserts_under_one_key_one_wins(store: Store) {
    let inserts = (0..8).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { insert_call(&store, &call("", None, "body")).await.unwrap() == Inserted::New })
    });
    let won = futures_util::future::join_all(inserts).await.into_iter().filter(|won| *won.as_ref().unwrap()).count();
    assert_eq!((won, listed(&store, 10, None, true).await.len()), (1, 1));
}

async fn keys_of_different_owners_do_not_collide(store: Store) {
    assert_eq!(insert_call(&store, &call("alice", None, "one")).await, Ok(Inserted::New));
    assert_eq!(insert_call(&store, &call("bob", None, "two")).await, Ok(Inserted::New));
    assert!(store.find(&call("", None, "one")).await.unwrap().is_none());
}

async fn an_sdk_call_without_a_key_takes_the_content_key_over(store: Store) {
    let attempt = |retries| call("", Some(retries), "body");
    assert_eq!(insert_call(&store, &attempt(0)).await, Ok(Inserted::New));
    assert!(matches!(insert_call(&store, &attempt(1)).await, Ok(Inserted::Existing(_))));
    assert_eq!(insert_call(&store, &attempt(0)).await, Ok(Inserted::New));
    let newest = listed(&store, 1, None, false).await.remove(0);
    let Ok(Inserted::Existing(found)) = insert_call(&store, &attempt(1)).await else { panic!("a third job") };
    assert_eq!(found.id, newest);
    // The job that lost its key can still be changed.
    let first = claimed(&store).await;
    let next = first.job.after(Event::SubmissionStarted, NOW).unwrap();
    store.commit(&first, next, Lease::Kept).await.unwrap();
    let Ok(Inserted::Existing(found)) = insert_call(&store, &attempt(1)).await else { panic!("a third job") };
    assert_eq!(found.id, newest);
}

async fn a_content_key_expires(store: Store) {
    let retry = call("", Some(1), "body");
    insert_call(&store, &call("", Some(0), "body")).await.unwrap();
    assert!(store.find(&retry).await.unwrap().is_some());
    store.set(NOW.after(SDK_WINDOW));
    assert!(store.find(&retry).await.unwrap().is_none());
    assert_eq!(insert_call(&store, &retry).await, Ok(Inserted::New));
}

async fn a_deleted_job_frees_its_key_and_is_visible_only_to_the_next_claim(store: Store) {
    let call = call("", None, "one");
    let first = keyed(&call);
    store.insert(&first, Some(&call)).await.unwrap();
    let tombstone = first.tombstoned(NOW, None);
    store.amend(&first, &tombstone).await.unwrap();
    assert_eq!(store.get(&first.id).await.unwrap(), None);
    assert_eq!(store.find(&call).await.unwrap(), None);
    assert_eq!(listed(&store, 10, None, true).await, []);
    assert_eq!(claimed(&store).await.job, tombstone);
    assert_eq!(insert_call(&store, &self::call("", None, "other")).await, Ok(Inserted::New));
}

async fn a_list_can_be_restricted_to_an_owner(store: Store) {
    let (one, two) = (insert(&store, job_of("alice")).await, insert(&store, job_of("alice")).await);
    insert(&store, job_of("bob")).await;
    let page = |oldest_first, after| Page { limit: 9, after, oldest_first, owner: Some(Owner::new("alice")) };
    let list = async |page| -> Vec<JobId> {
        let jobs: Vec<Job> = store.list(&page).await.unwrap();
        jobs.into_iter().map(|job| job.id).collect()
    };
    assert_eq!(list(page(true, None)).await, [one.id.clone(), two.id.clone()]);
    assert_eq!(list(page(false, Some(two.id))).await, [one.id]);
}

async fn every_change_of_state_has_its_event(store: Store) {
    let job = insert(&store, job_of("alice")).await;
    let claim = claimed(&store).await;
    let submitting = claim.job.after(Event::SubmissionStarted, NOW).unwrap();
    let claim = store.commit(&claim, submitting, Lease::Kept).await.unwrap();
    let rendering = claim.job.after(Event::Accepted(UpstreamTask("t".to_owned())), NOW).unwrap();
    let claim = store.commit(&claim, rendering, Lease::Kept).await.unwrap();
    let progressed = claim.job.after(Event::Progressed(40), NOW).unwrap();
    store.commit(&claim, progressed.clone(), Lease::Kept).await.unwrap();
    let cancelled = progressed.cancelled(NOW, None).unwrap();
    // A refused write leaves no event.
    assert_eq!(store.amend(&claim.job, &cancelled).await, Err(StoreError::Stale));
    store.amend(&progressed, &cancelled).await.unwrap();
    let tombstone = cancelled.tombstoned(NOW, None);
    store.amend(&cancelled, &tombstone).await.unwrap();
    let events = store.events(&job.id).await.unwrap();
    let seen: Vec<_> = events.iter().map(|event| (event.kind.as_str(), event.revision)).collect();
    assert_eq!(seen, [("queued", 1), ("submitting", 2), ("rendering", 3), ("cancelled", 5), ("deleted", 6)]);
    assert!(events.iter().all(|event| event.owner == Owner::new("alice") && event.created_at == NOW));
    store.set(NOW.after(LEASE));
    store.purge(&claimed(&store).await).await.unwrap();
    assert_eq!(store.events(&job.id).await.unwrap(), []);
}

async fn changes_are_published_after_they_are_committed(store: Store) {
    let mut all = store.changes();
    let job = insert(&store, job()).await;
    let mut of_job = store.changes_of(&job.id);
    let claim = claimed(&store).await;
    let next = claim.job.after(Event::SubmissionStarted, NOW).unwrap();
    let claim = store.commit(&claim, next.clone(), Lease::Kept).await.unwrap();
    // The due time is no change that a caller can see.
    store.commit(&claim, next.with_due(None), Lease::Ended).await.unwrap();
    let cancelled = next.cancelled(NOW, None).unwrap();
    store.amend(&next, &cancelled).await.unwrap();
    for kind in [ChangeKind::Created, ChangeKind::Moved, ChangeKind::Amended] {
        assert_eq!(all.next().now_or_never().flatten().unwrap().kind, kind);
    }
    let change = of_job.next().now_or_never().unwrap();
    assert_eq!((change.kind, &*change.job), (ChangeKind::Amended, &cancelled));
    assert!(of_job.next().now_or_never().is_none() && all.next().now_or_never().is_none());
}

async fn pages_are_consecutive_in_both_orders(store: Store) {
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(insert(&store, job()).await.id);
    }
    assert_eq!(listed(&store, 2, None, true).await, ids[..2]);
    assert_eq!(listed(&store, 2, Some(&ids[1]), true).await, ids[2..4]);
    assert_eq!(listed(&store, 2, Some(&ids[3]), true).await, ids[4..]);
    // Jobs created meanwhile shift no page.
    let newest = insert(&store, job()).await.id;
    assert_eq!(listed(&store, 3, Some(&ids[4]), false).await, [ids[3].clone(), ids[2].clone(), ids[1].clone()]);
    assert_eq!(listed(&store, 1, None, false).await, [newest]);
    assert_eq!(listed(&store, 0, None, false).await, []);
}

async fn a_page_continues_after_a_job_that_no_longer_exists(store: Store) {
    let (first, gone) = (insert(&store, job()).await, JobId::new());
    let last = insert(&store, job()).await;
    assert_eq!(listed(&store, 5, Some(&gone), true).await, [last.id]);
    assert_eq!(listed(&store, 5, Some(&gone), false).await, [first.id]);
}

async fn the_queue_position_counts_earlier_queued_jobs(store: Store) {
    let (a, b, c) = (insert(&store, job()).await, insert(&store, job()).await, insert(&store, job()).await);
    assert_eq!(store.queue_position(&c.id).await.unwrap(), 2);
    store.amend(&a, &a.cancelled(NOW, None).unwrap()).await.unwrap();
    assert_eq!(store.queue_position(&c.id).await.unwrap(), 1);
    assert_eq!(store.queue_position(&b.id).await.unwrap(), 0);
}

async fn concurrent_workers_claim_different_jobs(store: Store) {
    insert(&store, job()).await;
    insert(&store, job()).await;
    let workers = (0..3).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { try_claim(&store).await.map(|claim| claim.job.id) })
    });
    let won = futures_util::future::join_all(workers).await;
    let mut won: Vec<_> = won.into_iter().filter_map(Result::unwrap).collect();
    won.sort();
    won.dedup();
    assert_eq!(won.len(), 2);
}

async fn the_job_that_is_due_longest_is_claimed_first(store: Store) {
    let late = insert(&store, job()).await;
    let mut early = job();
    early.due_at = Some(Timestamp(NOW.0 - 1));
    let early = insert(&store, early).await;
    assert_eq!(claimed(&store).await.job.id, early.id);
    assert_eq!(claimed(&store).await.job.id, late.id);
}

async fn a_claimed_job_cannot_be_claimed_until_its_lease_expires(store: Store) {
    insert(&store, job()).await;
    let first = claimed(&store).await;
    store.set(Timestamp(NOW.after(LEASE).0 - 1));
    assert_eq!(try_claim(&store).await, None);
    store.set(NOW.after(LEASE));
    let second = claimed(&store).await;
    assert_eq!(second.job, first.job);
    assert!(second.fence > first.fence);
}

async fn a_renewed_lease_expires_later(store: Store) {
    insert(&store, job()).await;
    let first = claimed(&store).await;
    store.set(NOW.after(LEASE / 2));
    store.renew(&first, LEASE).await.unwrap();
    store.set(NOW.after(LEASE));
    assert_eq!(try_claim(&store).await, None);
    store.set(NOW.after(2 * LEASE));
    assert!(try_claim(&store).await.is_some());
}

async fn a_released_job_can_be_claimed_at_once(store: Store) {
    insert(&store, job()).await;
    store.release(&claimed(&store).await).await.unwrap();
    claimed(&store).await;
}

async fn a_job_that_is_not_due_is_not_claimed(store: Store) {
    insert(&store, job().with_due(None)).await;
    insert(&store, job().with_due(Some(NOW.after(LEASE)))).await;
    assert_eq!(try_claim(&store).await, None);
    store.set(NOW.after(LEASE));
    assert!(try_claim(&store).await.is_some());
}

async fn next_due_considers_leases(store: Store) {
    assert_eq!(store.next_due().await.unwrap(), None);
    insert(&store, job().with_due(None)).await;
    assert_eq!(store.next_due().await.unwrap(), None);
    insert(&store, job().with_due(Some(NOW.after(2 * LEASE)))).await;
    assert_eq!(store.next_due().await.unwrap(), Some(NOW.after(2 * LEASE)));
    insert(&store, job()).await;
    assert_eq!(store.next_due().await.unwrap(), Some(NOW));
    claimed(&store).await;
    assert_eq!(store.next_due().await.unwrap(), Some(NOW.after(LEASE)));
}

async fn a_commit_writes_everything_and_ends_the_lease_on_request(store: Store) {
    insert(&store, job()).await;
    let claim = claimed(&store).await;
    let mut next = claim.job.after(Event::SubmissionStarted, NOW).unwrap();
    next.attempt = 1;
    let claim = store.commit(&claim, next.clone(), Lease::Kept).await.unwrap();
    assert_eq!(store.get(&next.id).await.unwrap().as_ref(), Some(&next));
    assert_eq!(try_claim(&store).await, None);
    let next = next.after(Event::Accepted(UpstreamTask("t".to_owned())), NOW).unwrap();
    store.commit(&claim, next.clone(), Lease::Ended).await.unwrap();
    assert_eq!(claimed(&store).await.job, next);
}

async fn a_commit_under_a_lost_lease_is_refused(store: Store) {
    insert(&store, job()).await;
    let frozen = claimed(&store).await;
    store.set(NOW.after(LEASE));
    let owner = claimed(&store).await;
    let next = frozen.job.after(Event::SubmissionStarted, NOW).unwrap();
    assert_eq!(store.commit(&frozen, next.clone(), Lease::Ended).await, Err(StoreError::Stale));
    assert_eq!(store.get(&next.id).await.unwrap().as_ref(), Some(&frozen.job));
    store.commit(&owner, next, Lease::Ended).await.unwrap();
}

async fn a_commit_after_an_amendment_is_refused(store: Store) {
    insert(&store, job()).await;
    let claim = claimed(&store).await;
    let cancelled = claim.job.cancelled(NOW, None).unwrap();
    store.amend(&claim.job, &cancelled).await.unwrap();
    let next = claim.job.after(Event::SubmissionStarted, NOW).unwrap();
    assert_eq!(store.commit(&claim, next, Lease::Kept).await, Err(StoreError::Stale));
    assert_eq!(store.get(&claim.job.id).await.unwrap(), Some(cancelled));
    // The lease is still valid and can be released.
    store.release(&claim).await.unwrap();
}

async fn an_amendment_of_an_outdated_job_is_refused(store: Store) {
    let read = insert(&store, job()).await;
    let claim = claimed(&store).await;
    store.commit(&claim, read.after(Event::SubmissionStarted, NOW).unwrap(), Lease::Ended).await.unwrap();
    assert_eq!(store.amend(&read, &read.cancelled(NOW, None).unwrap()).await, Err(StoreError::Stale));
    let unknown = job();
    assert_eq!(store.amend(&unknown, &unknown.cancelled(NOW, None).unwrap()).await, Err(StoreError::Stale));
}

async fn a_lost_lease_can_neither_renew_nor_purge(store: Store) {
    insert(&store, job()).await;
    let frozen = claimed(&store).await;
    store.set(NOW.after(LEASE));
    claimed(&store).await;
    assert_eq!(store.renew(&frozen, LEASE).await, Err(StoreError::Stale));
    assert_eq!(store.purge(&frozen).await, Err(StoreError::Stale));
    store.release(&frozen).await.unwrap();
    assert_eq!(try_claim(&store).await, None);
}

async fn a_purged_job_is_gone(store: Store) {
    let job = insert(&store, job()).await;
    store.amend(&job, &job.tombstoned(NOW, None)).await.unwrap();
    store.purge(&claimed(&store).await).await.unwrap();
    store.set(NOW.after(DEADLINE));
    assert_eq!(try_claim(&store).await, None);
    assert_eq!(store.next_due().await.unwrap(), None);
}
