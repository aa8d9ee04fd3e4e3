//! Messages between two nodes that share a PostgreSQL database. None of them polls here.

use std::{sync::Arc, time::Duration};

use super::{messages::Unsent, poll::PollSchedule, *};
use crate::{
    database::{Database, testing::url_of},
    keys::Owner,
    video::{
        job::{Job, JobId},
        store::{Change, ChangeKind, Inserted, JobLimits, JobStore as _},
        testing::request,
        time::Timestamp,
    },
};

const NOW: Timestamp = Timestamp(1_800_000_000_000);

/// A node that does not listen yet.
struct Node {
    store: SqlStore,
    notifications: Notifications,
}

/// Connects two nodes to one database. `None` without PostgreSQL.
async fn two_nodes(directory: &tempfile::TempDir) -> Option<[Node; 2]> {
    let url = url_of(directory.path()).await?;
    let connect = async || {
        let database = Database::connect(&url, 2).await.unwrap();
        Node { notifications: database.notifications(&url).unwrap(), store: SqlStore::new(database) }
    };
    Some([connect().await, connect().await])
}

async fn insert(store: &SqlStore) -> Job {
    let job = Job::new(JobId::new(), Owner::default(), request(), store.now(), Duration::from_secs(10));
    assert_eq!(store.insert(&job, None, &JobLimits::default()).await, Ok(Inserted::New));
    job
}

/// Runs a test while one node sends its changes and the other receives them, until the test ends.
async fn run(nodes: &[Node; 2], schedule: &PollSchedule, test: impl Future<Output = ()>) {
    let [here, there] = nodes;
    tokio::select! {
        biased;
        () = here.store.send_changes(&here.notifications, "here") => unreachable!(),
        () = there.store.receive_changes(&there.notifications, "there", schedule) => unreachable!(),
        () = test => {}
    }
}

#[tokio::test]
async fn change_reaches_a_subscriber_at_another_node_by_a_message() {
    let directory = tempfile::tempdir().unwrap();
    let Some(nodes) = two_nodes(&directory).await else { return };
    let [here, there] = &nodes;
    let (job, other) = (insert(&here.store).await, insert(&here.store).await);
    let (mut changes, mut none) = (there.store.changes_of(&job.id), there.store.changes_of(&other.id));
    let schedule = PollSchedule::default();
    run(&nodes, &schedule, async {
        // The listener is connected.
        schedule.requested().await;
        let deleted = Job { revision: job.revision + 1, deleted: true, ..job.clone() };
        here.store.amend(&job, &deleted).await.unwrap();
        let change = changes.next().await;
        assert_eq!((change.kind, change.job.revision), (ChangeKind::Observed, deleted.revision));
        assert!(futures_util::poll!(std::pin::pin!(none.next())).is_pending());
        assert!(futures_util::poll!(std::pin::pin!(schedule.requested())).is_pending(), "no poll is needed");
    })
    .await;
}

#[tokio::test]
async fn listener_whose_session_ends_listens_again_and_requests_a_poll_for_what_it_missed() {
    let directory = tempfile::tempdir().unwrap();
    let Some(nodes) = two_nodes(&directory).await else { return };
    let [here, there] = &nodes;
    let job = insert(&here.store).await;
    let mut changes = there.store.changes_of(&job.id);
    let schedule = PollSchedule::default();
    run(&nodes, &schedule, async {
        schedule.requested().await;
        let end = "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity \
                   WHERE datname = current_database() AND query LIKE 'LISTEN%'";
        let ended: i64 = sqlx::query_scalar(end).fetch_one(here.store.database.readers()).await.unwrap();
        assert_eq!(ended, 1);
        schedule.requested().await;
        let deleted = Job { revision: job.revision + 1, deleted: true, ..job.clone() };
        here.store.amend(&job, &deleted).await.unwrap();
        assert!(changes.next().await.job.deleted);
    })
    .await;
}

#[tokio::test]
async fn message_of_another_version_requests_a_poll() {
    let directory = tempfile::tempdir().unwrap();
    let Some(nodes) = two_nodes(&directory).await else { return };
    let schedule = PollSchedule::default();
    run(&nodes, &schedule, async {
        schedule.requested().await;
        nodes[0].notifications.send(r#"{"sender":"here","kind":"unknown"}"#).await.unwrap();
        schedule.requested().await;
    })
    .await;
}

#[test]
fn many_changes_are_divided_into_messages_and_too_many_are_a_request_to_poll() {
    let changes = |count| (0..count).map(|_| Job::new(JobId::new(), Owner::default(), request(), NOW, Duration::ZERO));
    let mut unsent = Unsent::default();
    let add = |unsent: &mut Unsent, job: Job| {
        let job = Job { revision: u64::MAX, ..job };
        unsent.add(Some(&Change { job: Arc::new(job), kind: ChangeKind::Committed }));
    };
    changes(250).for_each(|job| add(&mut unsent, job));
    let messages = unsent.take(&"f".repeat(32));
    assert_eq!(messages.len(), 3);
    assert!(messages.iter().all(|message| message.len() < 8000));
    assert!(unsent.take("").is_empty(), "each change is sent once");
    changes(1001).for_each(|job| add(&mut unsent, job));
    assert_eq!(unsent.take("here"), [r#"{"sender":"here","jobs":null}"#]);
    unsent.add(None);
    assert_eq!(unsent.take("here"), [r#"{"sender":"here","jobs":null}"#]);
}
