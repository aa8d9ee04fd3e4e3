//! Idempotency keys: explicit ones, and the content keys of SDK calls that count their retries and have no key.

use super::*;

pub(super) async fn a_repeated_call_returns_the_job_of_the_first(store: Store) {
    let call = call("", None, "body");
    let first = keyed(&call);
    assert_eq!(store.insert(&first, Some(&call), &LIMITS).await.unwrap(), Inserted::New);
    assert_eq!(insert_call(&store, &call).await.unwrap(), Inserted::Existing(Box::new(first.clone())));
    assert_eq!(list_ids(&store, 10, None, true).await, [first.id]);
}

pub(super) async fn another_request_under_the_same_key_conflicts(store: Store) {
    insert_call(&store, &call("", None, "one")).await.unwrap();
    let other = call("", None, "other");
    let conflict = StoreError::KeyConflict("key".to_owned());
    assert_eq!(store.find(&other).await, Err(conflict.clone()));
    assert_eq!(insert_call(&store, &other).await, Err(conflict));
}

pub(super) async fn of_concurrent_inserts_under_one_key_one_wins(store: Store) {
    let inserts = (0..8).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { insert_call(&store, &call("", None, "body")).await.unwrap() == Inserted::New })
    });
    let won = futures_util::future::join_all(inserts).await.into_iter().filter(|won| *won.as_ref().unwrap()).count();
    assert_eq!((won, list_ids(&store, 10, None, true).await.len()), (1, 1));
}

pub(super) async fn keys_of_different_owners_do_not_collide(store: Store) {
    assert_eq!(insert_call(&store, &call("alice", None, "one")).await, Ok(Inserted::New));
    assert_eq!(insert_call(&store, &call("bob", None, "two")).await, Ok(Inserted::New));
    assert!(store.find(&call("", None, "one")).await.unwrap().is_none());
}

pub(super) async fn an_sdk_call_without_a_key_takes_the_content_key_over(store: Store) {
    // An SDK call with retry count 0 is a new request, even with the content of an earlier one.
    let attempt = |retries| call("", Some(retries), "body");
    assert_eq!(insert_call(&store, &attempt(0)).await, Ok(Inserted::New));
    assert!(matches!(insert_call(&store, &attempt(1)).await, Ok(Inserted::Existing(_))));
    assert_eq!(insert_call(&store, &attempt(0)).await, Ok(Inserted::New));
    let newest = list_ids(&store, 1, None, false).await.remove(0);
    let Ok(Inserted::Existing(found)) = insert_call(&store, &attempt(1)).await else { panic!("a third job") };
    assert_eq!(found.id, newest);
    // The job that lost its key can still be changed.
    let first = claim_next(&store).await;
    let next = first.job.after(Event::SubmissionStarted(NOW), NOW).unwrap();
    store.commit(&first, next, AfterCommit::KeepLease).await.unwrap();
    let Ok(Inserted::Existing(found)) = insert_call(&store, &attempt(1)).await else { panic!("a third job") };
    assert_eq!(found.id, newest);
}

pub(super) async fn a_content_key_expires(store: Store) {
    let retry = call("", Some(1), "body");
    insert_call(&store, &call("", Some(0), "body")).await.unwrap();
    assert!(store.find(&retry).await.unwrap().is_some());
    store.set(NOW.after(SDK_WINDOW));
    assert!(store.find(&retry).await.unwrap().is_none());
    assert_eq!(insert_call(&store, &retry).await, Ok(Inserted::New));
}

pub(super) async fn a_deleted_job_frees_its_key_and_is_visible_only_to_the_next_claim(store: Store) {
    let call = call("", None, "one");
    let first = keyed(&call);
    store.insert(&first, Some(&call), &LIMITS).await.unwrap();
    let tombstone = first.tombstoned(NOW, None);
    store.amend(&first, &tombstone).await.unwrap();
    assert_eq!(store.get(&first.id, &Owners::All).await.unwrap(), None);
    assert_eq!(store.find(&call).await.unwrap(), None);
    assert_eq!(list_ids(&store, 10, None, true).await, []);
    assert_eq!(claim_next(&store).await.job, tombstone);
    assert_eq!(insert_call(&store, &super::call("", None, "other")).await, Ok(Inserted::New));
}
