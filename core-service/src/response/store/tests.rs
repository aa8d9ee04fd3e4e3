//! The store of responses in a real database, on a clock that advances with every reading.

use tempfile::TempDir;

use super::*;
use crate::{
    idempotency::Idempotency,
    keys::{Caller, Owner, Owners},
    node::NodeId,
};

const LIMITS: QueueLimits = QueueLimits { per_owner: 2, total: 3 };

async fn store(max_bytes: u64) -> (TempDir, ResponseStore) {
    let directory = tempfile::tempdir().unwrap();
    let database = crate::database::testing::open(directory.path()).await;
    let time = std::sync::atomic::AtomicI64::new(1_000_000);
    // Each reading is a millisecond later, so that the order of use is that of the calls.
    let clock = Clock::from_fn(move || Timestamp(time.fetch_add(1, std::sync::atomic::Ordering::SeqCst)));
    (directory, ResponseStore::with_clock(database, max_bytes, clock))
}

fn new(store: &ResponseStore, id: &str, owner: &str, status: ResponseStatus) -> NewResponse {
    NewResponse {
        id: id.to_owned(),
        owner: Owner::new(owner),
        status,
        background: !status.is_final(),
        created_at: store.now(),
        origin: CallOrigin { request_id: "req_1".to_owned(), ..CallOrigin::default() },
        request: "{}".to_owned(),
        response: r#"{"a":1}"#.to_owned(),
        input_items: "[]".to_owned(),
        output_items: "[]".to_owned(),
        events: vec![event(0)],
        predecessors: Vec::new(),
        call: None,
    }
}

fn event(sequence_number: u64) -> StoredEvent {
    StoredEvent { sequence_number, kind: "response.created".to_owned(), data: format!("{{\"n\":{sequence_number}}}") }
}

fn finished(id: &str, from: ResponseStatus, to: ResponseStatus) -> Finished {
    let (response, output_items) = (r#"{"a":22}"#.to_owned(), "[3]".to_owned());
    Finished { id: id.to_owned(), from, to, response, output_items, events: vec![event(2)] }
}

async fn ids(store: &ResponseStore) -> Vec<String> {
    let query = sqlx::query_scalar("SELECT id FROM responses ORDER BY id");
    query.fetch_all(store.database.readers()).await.unwrap()
}

/// The node that claims responses.
fn node() -> NodeId {
    NodeId::new("node")
}

/// Gives the node a lease. Only the row counts here, not the end of the lease.
async fn register(store: &ResponseStore) {
    let query = sqlx::query("INSERT INTO nodes (id, lease_until) VALUES ($1, 0)");
    query.bind(node().as_str()).execute(store.database.writer()).await.unwrap();
}

/// Compares the total with the texts that are stored.
async fn assert_total_is_exact(store: &ResponseStore) {
    let query = sqlx::query_scalar(
        "SELECT COALESCE((SELECT SUM(LENGTH(request) + LENGTH(response) + LENGTH(input_items) + LENGTH(output_items)) \
         FROM responses), 0) + COALESCE((SELECT SUM(LENGTH(data)) FROM response_events), 0)",
    );
    let stored: i64 = query.fetch_one(store.database.readers()).await.unwrap();
    assert_eq!(store.total_bytes().await.unwrap(), stored);
}

#[tokio::test]
async fn response_is_claimed_once_and_its_events_are_read_in_order() {
    let (_directory, store) = store(1 << 30).await;
    store.insert(new(&store, "resp_1", "a", ResponseStatus::Queued), LIMITS).await.unwrap();
    assert!(!store.append("resp_1", vec![event(1)], None).await.unwrap(), "not in progress");
    let claimed = store.claim(&node()).await.unwrap().unwrap();
    assert_eq!(
        (claimed.id.as_str(), claimed.status, claimed.request.as_str()),
        ("resp_1", ResponseStatus::InProgress, "{}")
    );
    assert_eq!(store.claim(&node()).await.unwrap(), None);
    assert_eq!(store.interrupted(None, 10).await.unwrap(), std::slice::from_ref(&claimed), "the node has no lease");
    register(&store).await;
    assert_eq!(store.interrupted(None, 10).await.unwrap(), []);
    assert_eq!(store.interrupted(Some(&node()), 10).await.unwrap(), [claimed]);

    assert!(store.append("resp_1", vec![event(1)], Some(r#"{"b":1}"#.to_owned())).await.unwrap());
    assert_total_is_exact(&store).await;
    let (status, events) = store.events("resp_1", 1, 10).await.unwrap();
    assert_eq!((status, events), (ResponseStatus::InProgress, vec![event(1)]));

    let end = finished("resp_1", ResponseStatus::InProgress, ResponseStatus::Completed);
    assert!(store.finish(end.clone()).await.unwrap());
    assert!(!store.finish(end).await.unwrap(), "it has ended");
    assert_total_is_exact(&store).await;
    let stored = store.get("resp_1", &Owners::All).await.unwrap();
    assert_eq!((stored.status, stored.request.as_str()), (ResponseStatus::Completed, ""));
    let (_, events) = store.events("resp_1", 0, 2).await.unwrap();
    assert_eq!(events, [event(0), event(1)]);
}

#[tokio::test]
async fn owners_take_turns_and_the_exceeded_limit_of_the_queue_is_named() {
    let (_directory, store) = store(1 << 30).await;
    for (id, owner) in [("resp_1", "a"), ("resp_2", "a"), ("resp_3", "b")] {
        store.insert(new(&store, id, owner, ResponseStatus::Queued), LIMITS).await.unwrap();
    }
    for (owner, setting) in [("a", "responses.max_queued_per_owner"), ("b", "responses.max_queued")] {
        let refused = store.insert(new(&store, "resp_4", owner, ResponseStatus::Queued), LIMITS).await.unwrap_err();
        assert!(
            refused.to_string().contains(setting) && refused.to_string().contains("responses are queued"),
            "{refused}"
        );
    }
    let mut order = Vec::new();
    while let Some(claimed) = store.claim(&node()).await.unwrap() {
        order.push(claimed.id);
    }
    assert_eq!(order, ["resp_1", "resp_3", "resp_2"]);
}

#[tokio::test]
async fn responses_of_other_owners_do_not_exist() {
    let (_directory, store) = store(1 << 30).await;
    store.insert(new(&store, "resp_1", "a", ResponseStatus::Completed), LIMITS).await.unwrap();
    let other = Owners::Only(Owner::new("b"));
    let missing = Error::ResponseNotFound("resp_1".to_owned());
    assert_eq!(store.get("resp_1", &other).await.unwrap_err(), missing);
    assert_eq!(store.input_items("resp_1", &other).await.unwrap_err(), missing);
    assert_eq!(store.chained("resp_1", &other).await.unwrap(), None);
    assert_eq!(store.delete("resp_1", &other).await.unwrap_err(), missing);
    assert!(store.get("resp_1", &Owners::Only(Owner::new("a"))).await.is_ok());
    store.delete("resp_1", &Owners::All).await.unwrap();
    assert_eq!((ids(&store).await.len(), store.total_bytes().await.unwrap()), (0, 0));
    assert_eq!(store.events("resp_1", 0, 1).await.unwrap_err(), missing);
}

#[tokio::test]
async fn expired_responses_are_removed_and_a_continued_one_stays() {
    let (_directory, store) = store(1 << 30).await;
    for id in ["resp_1", "resp_2"] {
        store.insert(new(&store, id, "a", ResponseStatus::Completed), LIMITS).await.unwrap();
    }
    store.insert(new(&store, "resp_3", "a", ResponseStatus::Queued), LIMITS).await.unwrap();
    for _ in 0..100 {
        let _ = store.now();
    }
    let next = new(&store, "resp_4", "a", ResponseStatus::Completed);
    store.insert(NewResponse { predecessors: vec!["resp_1".to_owned()], ..next }, LIMITS).await.unwrap();
    let retention = Duration::from_millis(50);
    assert_eq!(store.remove_expired(retention, 10).await.unwrap(), 1);
    assert_eq!(
        ids(&store).await,
        ["resp_1", "resp_3", "resp_4"],
        "neither those in the queue nor those that were continued"
    );
    assert_total_is_exact(&store).await;
}

#[tokio::test]
async fn total_size_is_bounded_and_the_longest_unused_are_removed_first() {
    let (_directory, store) = store(1000).await;
    for n in 0..5 {
        let large = NewResponse {
            response: "x".repeat(300),
            ..new(&store, &format!("resp_{n}"), "a", ResponseStatus::Completed)
        };
        store.insert(large, LIMITS).await.unwrap();
        assert!(store.total_bytes().await.unwrap() <= 1000);
    }
    assert_eq!(ids(&store).await, ["resp_2", "resp_3", "resp_4"]);
    let huge = NewResponse { response: "x".repeat(5000), ..new(&store, "resp_5", "a", ResponseStatus::Completed) };
    store.insert(huge, LIMITS).await.unwrap();
    assert_eq!(ids(&store).await, ["resp_5"], "the response itself is kept");
    assert_total_is_exact(&store).await;
}

#[tokio::test]
async fn repeated_key_finds_the_response_and_another_request_conflicts() {
    let (_directory, store) = store(1 << 30).await;
    let identity = async |text: &str| {
        let context = crate::context::RequestContext {
            caller: Caller::named("a"),
            idempotency_key: "k".to_owned(),
            ..crate::context::RequestContext::default()
        };
        Idempotency::from_request(&context, "CreateResponse", &text.to_owned()).await
    };
    let first = NewResponse { call: identity("x").await, ..new(&store, "resp_1", "a", ResponseStatus::Queued) };
    assert_eq!(store.insert(first.clone(), LIMITS).await.unwrap(), Inserted::New);
    let again = NewResponse { id: "resp_2".to_owned(), ..first };
    let found = store.insert(again.clone(), LIMITS).await.unwrap();
    assert!(matches!(found, Inserted::Existing(stored) if stored.id == "resp_1"));
    let call = identity("x").await.unwrap();
    assert_eq!(store.repeated(&call).await.unwrap().unwrap().id, "resp_1");
    let conflict = Error::IdempotencyConflict("k".to_owned());
    let other = NewResponse { call: identity("y").await, ..again };
    assert_eq!(store.insert(other.clone(), LIMITS).await.unwrap_err(), conflict);
    assert_eq!(store.repeated(&other.call.unwrap()).await.unwrap_err(), conflict);
}

crate::database::testing::on_postgres! {
    response_is_claimed_once_and_its_events_are_read_in_order,
    owners_take_turns_and_the_exceeded_limit_of_the_queue_is_named,
    responses_of_other_owners_do_not_exist,
    expired_responses_are_removed_and_a_continued_one_stays,
    total_size_is_bounded_and_the_longest_unused_are_removed_first,
    repeated_key_finds_the_response_and_another_request_conflicts,
}
