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

pub(super) async fn a_claimed_job_cannot_be_claimed_until_its_lease_expires(store: Store) {
    insert(&store, job()).await;
    let first = claim_next(&store).await;
    store.set(Timestamp(NOW.after(LEASE).0 - 1));
    assert_eq!(try_claim(&store).await, None);
    store.set(NOW.after(LEASE));
    let second = claim_next(&store).await;
    assert_eq!(second.job, first.job);
    assert!(second.fence > first.fence);
}

pub(super) async fn a_renewed_lease_expires_later(store: Store) {
    insert(&store, job()).await;
    let first = claim_next(&store).await;
    store.set(NOW.after(LEASE / 2));
    store.renew(&first, LEASE).await.unwrap();
    store.set(NOW.after(LEASE));
    assert_eq!(try_claim(&store).await, None);
    store.set(NOW.after(2 * LEASE));
    assert!(try_claim(&store).await.is_some());
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

pub(super) async fn next_due_considers_leases(store: Store) {
    assert_eq!(store.next_due(&BusyProviders::default()).await.unwrap(), None);
    insert(&store, job().with_due(None)).await;
    assert_eq!(store.next_due(&BusyProviders::default()).await.unwrap(), None);
    insert(&store, job().with_due(Some(NOW.after(2 * LEASE)))).await;
    assert_eq!(store.next_due(&BusyProviders::default()).await.unwrap(), Some(NOW.after(2 * LEASE)));
    insert(&store, job()).await;
    assert_eq!(store.next_due(&BusyProviders::default()).await.unwrap(), Some(NOW));
    claim_next(&store).await;
    assert_eq!(store.next_due(&BusyProviders::default()).await.unwrap(), Some(NOW.after(LEASE)));
}

pub(super) async fn a_lost_lease_can_neither_renew_nor_purge(store: Store) {
    insert(&store, job()).await;
    let frozen = claim_next(&store).await;
    store.set(NOW.after(LEASE));
    claim_next(&store).await;
    assert_eq!(store.renew(&frozen, LEASE).await, Err(StoreError::Stale));
    assert_eq!(store.purge(&frozen).await, Err(StoreError::Stale));
    store.release(&frozen).await.unwrap();
    assert_eq!(try_claim(&store).await, None);
}

pub(super) async fn a_purged_job_is_gone(store: Store) {
    let job = insert(&store, job()).await;
    store.amend(&job, &job.tombstoned(NOW, None)).await.unwrap();
    store.purge(&claim_next(&store).await).await.unwrap();
    store.set(NOW.after(DEADLINE));
    assert_eq!(try_claim(&store).await, None);
    assert_eq!(store.next_due(&BusyProviders::default()).await.unwrap(), None);
}
