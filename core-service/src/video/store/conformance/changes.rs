//! Commits of the lease holder, amendments (changes by callers, which take precedence), outbox rows, and published changes.

use super::*;

pub(super) async fn a_commit_writes_everything_and_ends_the_lease_on_request(store: Store) {
    insert(&store, job()).await;
    let claim = claim_next(&store).await;
    let mut next = claim.job.after(Event::SubmissionStarted(NOW), NOW).unwrap();
    next.submissions = 1;
    let claim = store.commit(&claim, next.clone(), AfterCommit::KeepLease).await.unwrap();
    assert_eq!(store.get(&next.id, &Owners::All).await.unwrap().as_ref(), Some(&next));
    assert_eq!(try_claim(&store).await, None);
    let next = next.after(Event::Accepted(UpstreamTask("t".to_owned()), NOW), NOW).unwrap();
    store.commit(&claim, next.clone(), AfterCommit::ReleaseLease).await.unwrap();
    assert_eq!(claim_next(&store).await.job, next);
}

pub(super) async fn a_commit_under_a_lost_lease_is_refused(store: Store) {
    insert(&store, job()).await;
    register(&store, &store.worker).await;
    let frozen = claim_next(&store).await;
    store.set(NOW.after(LEASE));
    let other = WorkerId::new();
    register(&store, &other).await;
    let new_claim = store.claim(&other, &BusyProviders::default()).await.unwrap().unwrap();
    let next = frozen.job.after(Event::SubmissionStarted(NOW), NOW).unwrap();
    assert_eq!(store.commit(&frozen, next.clone(), AfterCommit::ReleaseLease).await, Err(StoreError::Stale));
    assert_eq!(store.get(&next.id, &Owners::All).await.unwrap().as_ref(), Some(&frozen.job));
    store.commit(&new_claim, next, AfterCommit::ReleaseLease).await.unwrap();
}

pub(super) async fn a_commit_after_an_amendment_is_refused(store: Store) {
    insert(&store, job()).await;
    let claim = claim_next(&store).await;
    let cancelled = claim.job.cancelled(NOW, None).unwrap();
    store.amend(&claim.job, &cancelled).await.unwrap();
    let next = claim.job.after(Event::SubmissionStarted(NOW), NOW).unwrap();
    assert_eq!(store.commit(&claim, next, AfterCommit::KeepLease).await, Err(StoreError::Stale));
    assert_eq!(store.get(&claim.job.id, &Owners::All).await.unwrap(), Some(cancelled));
    // The lease is still valid and can be released.
    store.release(&claim).await.unwrap();
}

pub(super) async fn an_amendment_of_an_outdated_job_is_refused(store: Store) {
    let read = insert(&store, job()).await;
    let claim = claim_next(&store).await;
    store
        .commit(&claim, read.after(Event::SubmissionStarted(NOW), NOW).unwrap(), AfterCommit::ReleaseLease)
        .await
        .unwrap();
    assert_eq!(store.amend(&read, &read.cancelled(NOW, None).unwrap()).await, Err(StoreError::Stale));
    let unknown = job();
    assert_eq!(store.amend(&unknown, &unknown.cancelled(NOW, None).unwrap()).await, Err(StoreError::Stale));
}

pub(super) async fn every_change_of_state_has_its_event(store: Store) {
    let job = insert(&store, job_of("alice")).await;
    let claim = claim_next(&store).await;
    let submitting = claim.job.after(Event::SubmissionStarted(NOW), NOW).unwrap();
    let claim = store.commit(&claim, submitting, AfterCommit::KeepLease).await.unwrap();
    let rendering = claim.job.after(Event::Accepted(UpstreamTask("t".to_owned()), NOW), NOW).unwrap();
    let claim = store.commit(&claim, rendering, AfterCommit::KeepLease).await.unwrap();
    let progressed = claim.job.after(Event::Progressed(40), NOW).unwrap();
    store.commit(&claim, progressed.clone(), AfterCommit::KeepLease).await.unwrap();
    let cancelled = progressed.cancelled(NOW, None).unwrap();
    // A refused write leaves no event.
    assert_eq!(store.amend(&claim.job, &cancelled).await, Err(StoreError::Stale));
    store.amend(&progressed, &cancelled).await.unwrap();
    let tombstone = cancelled.tombstoned(NOW, None);
    store.amend(&cancelled, &tombstone).await.unwrap();
    let events = store.events(&job.id).await.unwrap();
    let seen: Vec<_> = events.iter().map(|event| (event.kind.as_str(), event.revision)).collect();
    // Revision 4 is the progress, which changes no state and so has no event.
    assert_eq!(seen, [("queued", 1), ("submitting", 2), ("rendering", 3), ("cancelled", 5), ("deleted", 6)]);
    assert!(events.iter().all(|event| event.owner == Owner::new("alice") && event.created_at == NOW));
    store.release(&claim).await.unwrap();
    store.purge(&claim_next(&store).await).await.unwrap();
    assert_eq!(store.events(&job.id).await.unwrap(), []);
}

pub(super) async fn changes_are_published_after_they_are_committed(store: Store) {
    let mut all = store.changes();
    let job = insert(&store, job()).await;
    let mut of_job = store.changes_of(&job.id);
    let claim = claim_next(&store).await;
    let next = claim.job.after(Event::SubmissionStarted(NOW), NOW).unwrap();
    let claim = store.commit(&claim, next.clone(), AfterCommit::KeepLease).await.unwrap();
    // The due time is no change that a caller can see.
    store.commit(&claim, next.with_due(None), AfterCommit::ReleaseLease).await.unwrap();
    let cancelled = next.cancelled(NOW, None).unwrap();
    store.amend(&next, &cancelled).await.unwrap();
    for kind in [ChangeKind::Created, ChangeKind::Committed, ChangeKind::Amended] {
        assert_eq!(all.next().now_or_never().flatten().unwrap().kind, kind);
    }
    let change = of_job.next().now_or_never().unwrap();
    assert_eq!((change.kind, &*change.job), (ChangeKind::Amended, &cancelled));
    assert!(of_job.next().now_or_never().is_none() && all.next().now_or_never().is_none());
}
