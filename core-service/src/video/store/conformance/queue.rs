//! The queue: its limits, and the order of claims.

use super::*;
use crate::{keys::InFlightLimit, ledger::Payer, priority::Priority};

/// At most two queued jobs per owner, and three in total.
static TWO_AND_THREE: JobLimits = JobLimits { per_owner: 2, total: 3, in_flight: Vec::new(), payer: Payer::ANONYMOUS };

async fn try_insert(store: &Store, owner: &str, limits: &JobLimits) -> Result<Inserted, StoreError> {
    store.insert(&job_of(owner), None, limits).await
}

fn full(setting: &'static str, limit: u32) -> Result<Inserted, StoreError> {
    Err(StoreError::QueueFull { setting, limit })
}

/// Inserts jobs of this owner, the first one due longest, and returns their ids.
async fn queue(store: &Store, owner: &str, count: i64) -> Vec<JobId> {
    let mut ids = Vec::new();
    for place in 0..count {
        let job = job_of(owner).with_due(Some(Timestamp(NOW.0 - count + place)));
        ids.push(insert(store, job).await.id);
    }
    ids
}

/// Moves a queued job to the next state and ends its lease.
async fn submit(store: &Store, claim: &Claim) {
    let next = claim.job.after(Event::SubmissionStarted(NOW), NOW).unwrap();
    store.commit(claim, next, AfterCommit::ReleaseLease).await.unwrap();
}

pub(super) async fn queued_jobs_are_limited_per_owner_and_in_total(store: Store) {
    for owner in ["alice", "bob", "alice"] {
        assert_eq!(try_insert(&store, owner, &TWO_AND_THREE).await, Ok(Inserted::New));
    }
    assert_eq!(try_insert(&store, "alice", &TWO_AND_THREE).await, full("jobs.max_queued_per_owner", 2));
    assert_eq!(try_insert(&store, "carol", &TWO_AND_THREE).await, full("jobs.max_queued", 3));
    assert_eq!(list_ids(&store, 9, None, true).await.len(), 3);
    // A job that has started, or was deleted, counts no longer.
    let started = claim_next(&store).await;
    submit(&store, &started).await;
    assert_eq!(try_insert(&store, "carol", &TWO_AND_THREE).await, Ok(Inserted::New));
    let page = Page { limit: 1, owners: Owners::Only(Owner::new("bob")), ..Page::default() };
    let bob = store.list(&page).await.unwrap().remove(0);
    store.amend(&bob, &bob.tombstoned(NOW, None)).await.unwrap();
    assert_eq!(try_insert(&store, "carol", &TWO_AND_THREE).await, Ok(Inserted::New));
}

pub(super) async fn jobs_in_flight_of_a_key_and_its_team_are_limited(store: Store) {
    let limit = |subject: &str, owners: &[&str], limit| InFlightLimit {
        subject: subject.to_owned(),
        owners: owners.iter().map(|owner| Owner::new(owner)).collect(),
        limit,
    };
    let (own, team) = (limit("key", &["alice"], 1), limit("team", &["alice", "bob"], 2));
    let alice = JobLimits { in_flight: vec![own.clone(), team.clone()], ..LIMITS.clone() };
    let bob = JobLimits { in_flight: vec![team.clone()], ..LIMITS.clone() };
    assert_eq!(try_insert(&store, "alice", &alice).await, Ok(Inserted::New));
    assert_eq!(try_insert(&store, "alice", &alice).await, Err(StoreError::InFlight(own)));
    assert_eq!(try_insert(&store, "bob", &bob).await, Ok(Inserted::New));
    assert_eq!(try_insert(&store, "bob", &bob).await, Err(StoreError::InFlight(team.clone())));
    // A job that has started still counts, a final one does not.
    let started = claim_next(&store).await;
    submit(&store, &started).await;
    assert_eq!(try_insert(&store, "bob", &bob).await, Err(StoreError::InFlight(team)));
    let page = Page { limit: 1, owners: Owners::Only(Owner::new("bob")), ..Page::default() };
    let job = store.list(&page).await.unwrap().remove(0);
    store.amend(&job, &job.after(Event::Cancelled, NOW).unwrap()).await.unwrap();
    assert_eq!(try_insert(&store, "bob", &bob).await, Ok(Inserted::New));
}

pub(super) async fn concurrent_inserts_do_not_exceed_the_limit(store: Store) {
    let inserts = (0..8).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { try_insert(&store, "alice", &TWO_AND_THREE).await.is_ok() })
    });
    let inserted = futures_util::future::join_all(inserts).await.into_iter().filter(|won| *won.as_ref().unwrap());
    assert_eq!(inserted.count(), 2);
}

pub(super) async fn a_repeated_call_succeeds_beyond_the_limit(store: Store) {
    let (call, limits) = (
        call("alice", None, "body"),
        JobLimits { per_owner: 1, total: 1, in_flight: Vec::new(), payer: Payer::ANONYMOUS },
    );
    let first = keyed(&call);
    assert_eq!(store.insert(&first, Some(&call), &limits).await, Ok(Inserted::New));
    let again = store.insert(&keyed(&call), Some(&call), &limits).await;
    assert_eq!(again, Ok(Inserted::Existing(Box::new(first))));
}

pub(super) async fn owners_take_turns_however_many_jobs_each_has_queued(store: Store) {
    let alice = queue(&store, "alice", 20).await;
    let carol = queue(&store, "carol", 2).await;
    let bob = queue(&store, "bob", 1).await;
    let mut claims = Vec::new();
    for _ in 0..7 {
        claims.push(claim_next(&store).await.job.id);
    }
    let expected = [&alice[0], &bob[0], &carol[0], &alice[1], &carol[1], &alice[2], &alice[3]];
    assert_eq!(claims.iter().collect::<Vec<_>>(), expected);
    // A later job of another owner is next.
    let bob = queue(&store, "bob", 1).await;
    assert_eq!(claim_next(&store).await.job.id, bob[0]);
}

pub(super) async fn several_jobs_are_claimed_in_the_order_of_single_claims(store: Store) {
    let alice = queue(&store, "alice", 3).await;
    let bob = queue(&store, "bob", 1).await;
    let claim = async |max| {
        let claims = store.claim_several(&store.worker, &BusyProviders::default(), max).await.unwrap();
        claims.into_iter().map(|claim| claim.unwrap().job.id).collect::<Vec<_>>()
    };
    assert_eq!(claim(3).await, [alice[0].clone(), bob[0].clone(), alice[1].clone()]);
    assert_eq!(claim(3).await, [alice[2].clone()]);
    assert_eq!(claim(3).await, []);
}

/// Inserts jobs of this owner and priority, and returns their ids.
async fn queue_with(store: &Store, owner: &str, priority: Priority, count: usize) -> Vec<JobId> {
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(insert(store, Job { priority, ..job_of(owner) }).await.id);
    }
    ids
}

/// Claims jobs, and returns their owners.
async fn owners_of_claims(store: &Store, count: usize) -> Vec<String> {
    let mut owners = Vec::new();
    for _ in 0..count {
        owners.push(claim_next(store).await.job.owner.as_str().to_owned());
    }
    owners
}

pub(super) async fn jobs_of_a_higher_priority_are_first_and_every_fourth_claim_is_a_lower_one(store: Store) {
    let low = queue_with(&store, "alice", Priority::Low, 3).await;
    let normal = queue_with(&store, "bob", Priority::Normal, 4).await;
    let high = queue_with(&store, "carol", Priority::High, 13).await;
    let mut claims = Vec::new();
    for _ in 0..20 {
        claims.push(claim_next(&store).await.job.id);
    }
    let (mut low, mut normal, mut high) = (low.iter(), normal.iter(), high.iter());
    // After three claims of a priority, the next one is of a lower priority, among which the same rule applies: the fourth of these is low.
    let expected = "hhhnhhhnhhhnhhhlhnll".chars().map(|priority| match priority {
        'h' => high.next(),
        'n' => normal.next(),
        _ => low.next(),
    });
    assert_eq!(claims.iter().map(Some).collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    assert_eq!(try_claim(&store).await, None);
}

pub(super) async fn owners_of_a_lower_priority_take_turns_between_claims_of_a_higher_one(store: Store) {
    queue_with(&store, "bob", Priority::High, 12).await;
    for owner in ["alice", "carol", "dave"] {
        queue_with(&store, owner, Priority::Low, 2).await;
    }
    let owners = owners_of_claims(&store, 16).await;
    let low: Vec<_> = owners.iter().filter(|owner| *owner != "bob").collect();
    assert_eq!(low, ["alice", "carol", "dave", "alice"], "{owners:?}");
}

pub(super) async fn jobs_of_a_lower_priority_are_claimed_while_the_provider_of_a_higher_one_is_busy(store: Store) {
    let mut other = job_of("alice");
    other.request.provider_id = "other".to_owned();
    other.priority = Priority::Low;
    insert(&store, other).await;
    queue_with(&store, "bob", Priority::High, 5).await;
    let busy = BusyProviders { submissions: vec!["offline".to_owned()], steps: Vec::new() };
    let claimed = store.claim(&store.worker, &busy).await.unwrap().unwrap();
    assert_eq!(claimed.job.owner.as_str(), "alice");
    assert_eq!(store.claim(&store.worker, &busy).await.unwrap(), None);
    assert_eq!(owners_of_claims(&store, 5).await, ["bob"; 5]);
}

pub(super) async fn a_job_that_is_not_due_delays_no_job_of_a_lower_priority(store: Store) {
    let later = Job { priority: Priority::High, ..job_of("bob") }.with_due(Some(Timestamp(NOW.0 + 1)));
    insert(&store, later).await;
    queue_with(&store, "alice", Priority::Normal, 2).await;
    assert_eq!(owners_of_claims(&store, 1).await, ["alice"]);
    store.set(Timestamp(NOW.0 + 1));
    assert_eq!(owners_of_claims(&store, 2).await, ["bob", "alice"]);
}

pub(super) async fn jobs_in_progress_and_queued_jobs_take_turns(store: Store) {
    queue(&store, "alice", 4).await;
    for _ in 0..4 {
        submit(&store, &claim_next(&store).await).await;
    }
    queue(&store, "bob", 4).await;
    let mut queued = 0;
    for _ in 0..4 {
        queued += u32::from(claim_next(&store).await.job.state == JobState::Queued);
    }
    assert_eq!(queued, 2);
    for _ in 0..4 {
        claim_next(&store).await;
    }
    assert_eq!(try_claim(&store).await, None);
}

pub(super) async fn queued_jobs_of_busy_providers_are_neither_claimed_nor_due(store: Store) {
    let mut other = job();
    other.request.provider_id = "other".to_owned();
    let (waiting, other) = (insert(&store, job()).await, insert(&store, other).await);
    let busy = BusyProviders { submissions: vec!["offline".to_owned(), "third".to_owned()], steps: Vec::new() };
    let none = BusyProviders::default();
    let claim = async |busy: &BusyProviders| store.claim(&store.worker, busy).await.unwrap();
    let claimed = claim(&busy).await.unwrap();
    assert_eq!(claimed.job.id, other.id);
    assert_eq!(claim(&busy).await, None);
    assert_eq!(store.next_due(&busy).await.unwrap(), None);
    assert_eq!(store.next_due(&BusyProviders::default()).await.unwrap(), Some(NOW));
    let claimed = claim(&none).await.unwrap();
    assert_eq!(claimed.job.id, waiting.id);
    // The steps of a started job need no slot.
    submit(&store, &claimed).await;
    assert_eq!(claim(&busy).await.unwrap().job.id, waiting.id);
}

pub(super) async fn no_job_of_a_provider_without_a_free_worker_is_claimed(store: Store) {
    let mut other = job();
    other.request.provider_id = "other".to_owned();
    let (stalled, other) = (insert(&store, job()).await, insert(&store, other).await);
    for _ in 0..2 {
        submit(&store, &claim_next(&store).await).await;
    }
    let busy = vec!["offline".to_owned()];
    let busy = BusyProviders { submissions: busy.clone(), steps: busy };
    let claim = async |busy: &BusyProviders| store.claim(&store.worker, busy).await.unwrap();
    assert_eq!(claim(&busy).await.unwrap().job.id, other.id);
    assert_eq!(claim(&busy).await, None);
    assert_eq!(store.next_due(&busy).await.unwrap(), None);
    assert_eq!(claim(&BusyProviders::default()).await.unwrap().job.id, stalled.id);
}
