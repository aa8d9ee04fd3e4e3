//! The guarantees of every job store, one per function, each tested with the memory store, and with the SQL store on both
//! databases.

mod changes;
mod keys;
mod leases;
mod queue;
mod reads;

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
    AfterCommit, BusyProviders, ChangeKind, Claim, Inserted, JobLimits, JobQueue, Page, Renewed, StoreError, WorkerId,
    memory::MemoryStore, sql::SqlStore,
};
use crate::{
    context::RequestContext,
    idempotency::{Idempotency, Key, SDK_WINDOW},
    keys::{Caller, Owner, Owners},
    ledger::Payer,
    video::{
        inputs::{InputRole, InputSource, StoredInput},
        job::{Job, JobId, JobKey, JobOrigin, JobRequest},
        parameters::VideoParameters,
        provider::{RenderUsage, UpstreamTask},
        state::{Event, JobState, Phase},
        time::{Clock, Timestamp},
    },
};

/// The time at which each test starts.
const NOW: Timestamp = Timestamp(1_800_000_000_000);
const LEASE: Duration = Duration::from_secs(10);
/// Limits beyond the number of jobs in a test.
static LIMITS: JobLimits = JobLimits { per_owner: 100, total: 1000, in_flight: Vec::new(), payer: Payer::ANONYMOUS };
const DEADLINE: Duration = Duration::from_mins(1);

/// Runs each function over each store, on an empty store.
macro_rules! conformance {
    ($($theme:ident::$guarantee:ident,)*) => {
        mod memory {
            $(#[tokio::test]
            async fn $guarantee() {
                let (clock, millis) = super::Clock::manual(super::NOW);
                super::$theme::$guarantee(super::Store::new(super::MemoryStore::new(clock), millis)).await;
            })*
        }
        mod sql {
            $(#[tokio::test]
            async fn $guarantee() {
                let directory = tempfile::tempdir().unwrap();
                let database = crate::database::testing::open(directory.path()).await;
                let (clock, millis) = super::Clock::manual(super::NOW);
                super::$theme::$guarantee(super::Store::new(super::SqlStore::with_clock(database, clock), millis)).await;
            })*

            crate::database::testing::on_postgres!($($guarantee),*);
        }
    };
}

conformance! {
    reads::a_job_is_read_as_it_was_written,
    keys::a_repeated_call_returns_the_job_of_the_first,
    keys::another_request_under_the_same_key_conflicts,
    keys::of_concurrent_inserts_under_one_key_one_wins,
    keys::keys_of_different_owners_do_not_collide,
    keys::an_sdk_call_without_a_key_takes_the_content_key_over,
    keys::a_content_key_expires,
    keys::a_deleted_job_frees_its_key_and_is_visible_only_to_the_next_claim,
    reads::pages_are_consecutive_in_both_orders,
    reads::a_page_continues_after_a_job_that_no_longer_exists,
    reads::a_list_can_be_restricted_to_an_owner,
    reads::a_list_can_be_filtered_by_state_and_model_and_its_pages_are_full,
    reads::jobs_of_other_owners_do_not_exist,
    reads::a_list_has_no_extra_members,
    reads::a_render_is_found_at_the_other_jobs_of_its_provider,
    reads::the_queue_position_counts_earlier_queued_jobs,
    leases::concurrent_workers_claim_different_jobs,
    leases::the_job_that_is_due_longest_is_claimed_first,
    queue::queued_jobs_are_limited_per_owner_and_in_total,
    queue::jobs_in_flight_of_a_key_and_its_team_are_limited,
    queue::concurrent_inserts_do_not_exceed_the_limit,
    queue::a_repeated_call_succeeds_beyond_the_limit,
    queue::owners_take_turns_however_many_jobs_each_has_queued,
    queue::several_jobs_are_claimed_in_the_order_of_single_claims,
    queue::jobs_of_a_higher_priority_are_first_and_every_fourth_claim_is_a_lower_one,
    queue::owners_of_a_lower_priority_take_turns_between_claims_of_a_higher_one,
    queue::jobs_of_a_lower_priority_are_claimed_while_the_provider_of_a_higher_one_is_busy,
    queue::a_job_that_is_not_due_delays_no_job_of_a_lower_priority,
    queue::jobs_in_progress_and_queued_jobs_take_turns,
    queue::queued_jobs_of_busy_providers_are_neither_claimed_nor_due,
    queue::no_job_of_a_provider_without_a_free_worker_is_claimed,
    leases::a_claimed_job_cannot_be_claimed_until_the_lease_of_its_worker_expires,
    leases::a_renewed_lease_expires_later,
    leases::a_worker_that_ends_its_lease_releases_its_jobs,
    leases::a_renewal_returns_the_claimed_jobs_that_are_final,
    leases::a_released_job_can_be_claimed_at_once,
    leases::a_job_that_is_not_due_is_not_claimed,
    leases::next_due_is_that_of_the_jobs_that_no_worker_has,
    changes::a_commit_writes_everything_and_ends_the_lease_on_request,
    changes::a_commit_under_a_lost_lease_is_refused,
    changes::a_commit_after_an_amendment_is_refused,
    changes::an_amendment_of_an_outdated_job_is_refused,
    leases::a_lost_lease_can_neither_commit_nor_release_nor_purge,
    leases::a_purged_job_is_gone,
    leases::times_beyond_a_bound_are_shortened_for_unfinished_jobs,
    changes::every_change_of_state_has_its_event,
    changes::changes_are_published_after_they_are_committed,
}

/// A store, its clock, and a worker.
#[derive(Clone)]
struct Store {
    queue: Arc<dyn JobQueue>,
    worker: WorkerId,
    /// The time of the clock.
    millis: Arc<AtomicI64>,
}

impl Store {
    fn new(queue: impl JobQueue + 'static, millis: Arc<AtomicI64>) -> Self {
        Self { queue: Arc::new(queue), worker: WorkerId::new(), millis }
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
        upstream_model: "camera".to_owned(),
        parameters: VideoParameters {
            prompt: "一只猫 'quoted'; DROP TABLE".to_owned(),
            width: 320,
            height: 180,
            seconds: 2,
            seed: Some(i64::MIN),
            inputs: vec![StoredInput { role: InputRole::LastFrame, source: InputSource::Stored("a.png".to_owned()) }],
            user: "u".to_owned(),
            // Larger than any f64: the text must be stored as it is.
            extra_json: r#"{"n":1E400}"#.to_owned(),
            ..VideoParameters::default()
        },
        remixed_from: Some(JobId::new()),
        source_video: Some(JobId::new()),
        requested_seconds: Some(4),
    }
}

fn job() -> Job {
    job_of("")
}

fn job_of(owner: &str) -> Job {
    Job::new(JobId::new(), Owner::new(owner), request(), NOW, DEADLINE)
}

/// A call under the key `key`, or, with `sdk_retries`, of an SDK that has no key and has retried this many times.
fn call(owner: &str, sdk_retries: Option<u32>, body: &str) -> Idempotency {
    let context = RequestContext {
        caller: Caller::named(owner),
        idempotency_key: if sdk_retries.is_none() { "key".to_owned() } else { String::new() },
        sdk_retries,
        ..RequestContext::default()
    };
    Idempotency::from_request(&context, "CreateVideo", &body.to_owned()).now_or_never().flatten().unwrap()
}

/// Returns the job that this call creates.
fn keyed(call: &Idempotency) -> Job {
    let expires_at = match call.scope.key {
        Key::Explicit(_) => None,
        Key::Content(_) => Some(NOW.after(SDK_WINDOW)),
    };
    let key = JobKey { key: call.scope.key.clone(), fingerprint: call.fingerprint, expires_at };
    Job { key: Some(key), ..job_of(call.scope.owner.as_str()) }
}

async fn insert(store: &Store, job: Job) -> Job {
    assert_eq!(store.insert(&job, None, &LIMITS).await.unwrap(), Inserted::New);
    job
}

async fn insert_call(store: &Store, call: &Idempotency) -> Result<Inserted, StoreError> {
    store.insert(&keyed(call), Some(call), &LIMITS).await
}

async fn register(store: &Store, worker: &WorkerId) {
    store.register(worker, LEASE).await.unwrap();
}

async fn try_claim(store: &Store) -> Option<Claim> {
    store.claim(&store.worker, &BusyProviders::default()).await.unwrap()
}

async fn claim_next(store: &Store) -> Claim {
    try_claim(store).await.unwrap()
}

async fn list_ids(store: &Store, limit: u32, after: Option<&JobId>, oldest_first: bool) -> Vec<JobId> {
    let page = Page { limit, after: after.cloned(), oldest_first, ..Page::default() };
    store.list(&page).await.unwrap().into_iter().map(|job| job.id).collect()
}
