//! Claims and leases.

use super::*;

pub(super) async fn concurrent_workers_claim_different_jobs(store: Store) {
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

pub(super) async fn the_job_that_is_due_longest_is_claimed_first(store: Store) {
    let late = insert(&store, job()).await;
    let mut early = job();
    early.due_at = Some(Timestamp(NOW.0 - 1));
    let early = insert(&store, early).await;
    assert_eq!(claim_next(&store).await.job.id, early.id);
    assert_eq!(claim_next(&store).await.job.id, late.id);
}

pub(super) async fn a_claimed_job_cannot_be_claimed_until_the_lease_of_its_worker_expires(store: Store) {
    insert(&store, job()).await;
    register(&store, &store.worker).await;
    let first = claim_next(&store).await;
    let other = WorkerId::new();
    store.set(Timestamp(NOW.after(LEASE).0 - 1));
    register(&store, &other).await;
    assert_eq!(try_claim(&store).await, None);
    store.set(NOW.after(LEASE));
    assert!(store.renew(&other, LEASE).await.unwrap().has_released);
    assert!(!store.renew(&other, LEASE).await.unwrap().has_released);
    let second = store.claim(&other, &BusyProviders::default()).await.unwrap().unwrap();
    assert_eq!(second.job, first.job);
    assert!(second.fence > first.fence);
    assert_eq!(store.renew(&store.worker, LEASE).await, Err(StoreError::Stale));
}

pub(super) async fn a_renewed_lease_expires_later(store: Store) {
    insert(&store, job()).await;
    register(&store, &store.worker).await;
    claim_next(&store).await;
    store.set(NOW.after(LEASE / 2));
    assert_eq!(store.renew(&store.worker, LEASE).await, Ok(Renewed::default()));
    store.set(NOW.after(LEASE));
    register(&store, &WorkerId::new()).await;
    assert_eq!(try_claim(&store).await, None);
    store.set(NOW.after(2 * LEASE));
    register(&store, &WorkerId::new()).await;
    assert!(try_claim(&store).await.is_some());
}

pub(super) async fn a_worker_that_ends_its_lease_releases_its_jobs(store: Store) {
    insert(&store, job()).await;
    register(&store, &store.worker).await;
    let claim = claim_next(&store).await;
    store.deregister(&store.worker).await.unwrap();
    let next = claim.job.after(Event::SubmissionStarted(NOW), NOW).unwrap();
    assert_eq!(store.commit(&claim, next, AfterCommit::KeepLease).await, Err(StoreError::Stale), "the lease has ended");
    let other = WorkerId::new();
    register(&store, &other).await;
    assert_eq!(store.claim(&other, &BusyProviders::default()).await.unwrap().unwrap().job, claim.job);
}

pub(super) async fn a_renewal_returns_the_claimed_jobs_that_are_final(store: Store) {
    register(&store, &store.worker).await;
    let (cancelled, deleted) = (insert(&store, job()).await, insert(&store, job()).await);
    insert(&store, job()).await;
    for _ in 0..3 {
        claim_next(&store).await;
    }
    // Final as well, but not claimed by the worker.
    insert(&store, job().cancelled(NOW, None).unwrap()).await;
    assert_eq!(store.renew(&store.worker, LEASE).await, Ok(Renewed::default()));
    store.amend(&cancelled, &cancelled.cancelled(NOW, None).unwrap()).await.unwrap();
    store.amend(&deleted, &deleted.tombstoned(NOW, None)).await.unwrap();
    let mut ids = store.renew(&store.worker, LEASE).await.unwrap().final_jobs;
    ids.sort();
    assert_eq!(ids, [cancelled.id, deleted.id]);
}

pub(super) async fn a_released_job_can_be_claimed_at_once(store: Store) {
    insert(&store, job()).await;
    store.release(&claim_next(&store).await).await.unwrap();
    claim_next(&store).await;
}

pub(super) async fn a_job_that_is_not_due_is_not_claimed(store: Store) {
    insert(&store, job().with_due(None)).await;
    insert(&store, job().with_due(Some(NOW.after(LEASE)))).await;
    assert_eq!(try_claim(&store).await, None);
    store.set(NOW.after(LEASE));
    assert!(try_claim(&store).await.is_some());
}

pub(super) async fn next_due_is_that_of_the_jobs_that_no_worker_has(store: Store) {
    let next_due = async || store.next_due(&BusyProviders::default()).await.unwrap();
    assert_eq!(next_due().await, None);
    insert(&store, job().with_due(None)).await;
    assert_eq!(next_due().await, None);
    insert(&store, job().with_due(Some(NOW.after(2 * LEASE)))).await;
    assert_eq!(next_due().await, Some(NOW.after(2 * LEASE)));
    insert(&store, job()).await;
    assert_eq!(next_due().await, Some(NOW));
    let claim = claim_next(&store).await;
    assert_eq!(next_due().await, Some(NOW.after(2 * LEASE)));
    store.release(&claim).await.unwrap();
    assert_eq!(next_due().await, Some(NOW));
}

pub(super) async fn a_lost_lease_can_neither_commit_nor_release_nor_purge(store: Store) {
    insert(&store, job()).await;
    register(&store, &store.worker).await;
    let frozen = claim_next(&store).await;
    store.set(NOW.after(LEASE));
    let other = WorkerId::new();
    register(&store, &other).await;
    // It is refused even before another worker has claimed the job.
    assert_eq!(store.purge(&frozen).await, Err(StoreError::Stale));
    let claim = store.claim(&other, &BusyProviders::default()).await.unwrap().unwrap();
    assert_eq!(store.purge(&frozen).await, Err(StoreError::Stale));
    let next = frozen.job.after(Event::SubmissionStarted(NOW), NOW).unwrap();
    assert_eq!(store.commit(&frozen, next, AfterCommit::ReleaseLease).await, Err(StoreError::Stale));
    store.release(&frozen).await.unwrap();
    assert_eq!(try_claim(&store).await, None);
    store.purge(&claim).await.unwrap();
}

pub(super) async fn a_purged_job_is_gone(store: Store) {
    let job = insert(&store, job()).await;
    store.amend(&job, &job.tombstoned(NOW, None)).await.unwrap();
    store.purge(&claim_next(&store).await).await.unwrap();
    store.set(NOW.after(DEADLINE));
    assert_eq!(try_claim(&store).await, None);
    assert_eq!(store.next_due(&BusyProviders::default()).await.unwrap(), None);
}

pub(super) async fn times_beyond_a_bound_are_shortened_for_unfinished_jobs(store: Store) {
    let (far, near) = (NOW.after(100 * LEASE), NOW.after(LEASE));
    let waiting = insert(&store, job().with_due(Some(far))).await;
    let due_soon = insert(&store, job().with_due(Some(near))).await;
    let expiring = insert(&store, job()).await;
    let claim = claim_next(&store).await;
    assert_eq!(claim.job.id, expiring.id);
    let cancelled = expiring.cancelled(NOW, Some(100 * LEASE)).unwrap();
    store.commit(&claim, cancelled, AfterCommit::ReleaseLease).await.unwrap();
    // The lease of a process that was killed before the clock was set back.
    store.set(far);
    register(&store, &WorkerId::new()).await;
    store.set(NOW);
    store.bound_times(near, near).await.unwrap();
    let due = async |id| store.read(id).await.unwrap().unwrap().due_at;
    assert_eq!((due(&waiting.id).await, due(&due_soon.id).await), (Some(NOW), Some(near)));
    assert_eq!(due(&expiring.id).await, Some(far), "the end of its retention");
    store.set(near);
    assert_eq!(claim_next(&store).await.job.id, waiting.id);
}
