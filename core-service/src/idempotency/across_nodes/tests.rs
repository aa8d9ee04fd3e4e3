//! Two nodes with one database. On SQLite, which only one node uses, two connections of this process stand for them.

use futures_util::FutureExt;

use super::*;
use crate::{context::RequestContext, database::testing, keys::Caller, node_count::NodeCount};

const TTL: Duration = Duration::from_mins(10);

struct Fixture {
    directory: tempfile::TempDir,
    database: Database,
    nodes: Vec<SharedCalls>,
}

impl Fixture {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let database = testing::open(directory.path()).await;
        let mut fixture = Self { directory, database, nodes: Vec::new() };
        for _ in 0..2 {
            fixture.join().await;
        }
        fixture
    }

    async fn join(&mut self) {
        let database = testing::open(self.directory.path()).await;
        let (node, _) = Node::join(database.clone(), NodeCount::default()).await.unwrap();
        // A node on SQLite ends the leases of all others.
        for node in self.nodes.iter().map(|calls| &calls.node) {
            let query = sqlx::query("INSERT INTO nodes (id, lease_until) VALUES ($1, 1) ON CONFLICT DO NOTHING");
            query.bind(node.id().as_str()).execute(self.database.writer()).await.unwrap();
        }
        self.nodes.push(SharedCalls::new(database, node));
    }

    /// Ends the lease of a node.
    async fn kill(&self, node: usize) {
        let query = sqlx::query("DELETE FROM nodes WHERE id = $1").bind(self.nodes[node].node.id().as_str());
        query.execute(self.database.writer()).await.unwrap();
    }

    async fn execution(&self, node: usize, call: &Idempotency) -> Execution {
        match self.nodes[node].role(call, None).await.unwrap() {
            Role::Execute(execution) => execution,
            Role::Return { .. } => panic!("there is a response"),
        }
    }

    /// Returns the response of an earlier execution, and the id of that execution.
    async fn response(&self, node: usize, call: &Idempotency) -> (Vec<u8>, String) {
        match self.nodes[node].role(call, None).await.unwrap() {
            Role::Return { response, execution } => (response, execution),
            Role::Execute(execution) => panic!("{execution:?}"),
        }
    }
}

/// Returns the identity of a call. `retries` is the retry count of an OpenAI SDK; an empty `key` is none.
fn call(key: &str, retries: Option<u32>, body: &str) -> Idempotency {
    let context = RequestContext {
        caller: Caller::named("a"),
        idempotency_key: key.to_owned(),
        sdk_retries: retries,
        ..RequestContext::default()
    };
    Idempotency::from_request(&context, "Test", &body.to_owned()).now_or_never().unwrap().unwrap()
}

#[tokio::test]
async fn second_node_waits_for_the_response_of_the_first() {
    let fixture = Fixture::new().await;
    let call = call("k", None, "body");
    let execution = fixture.execution(0, &call).await;
    let finish = async {
        sleep_until_waiting().await;
        execution.succeed(b"response".to_vec(), TTL).await;
    };
    let ((response, _), ()) = tokio::join!(fixture.response(1, &call), finish);
    assert_eq!(response, b"response");
    assert_eq!(fixture.response(0, &call).await.0, b"response");
}

/// Gives a waiting call the time to find that another node executes it.
async fn sleep_until_waiting() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn failure_of_the_provider_is_shared_with_those_that_wait_and_not_with_later_calls() {
    let fixture = Fixture::new().await;
    let call = call("k", None, "body");
    let execution = fixture.execution(0, &call).await;
    let error = ProviderError::ContentPolicy("no".to_owned());
    let state = async |execution: &str| rows::state(&fixture.database, &call, execution).await.unwrap();
    let id = execution.id.clone();
    assert_eq!(state(&id).await, rows::State::Running);
    execution.fail(&error).await;
    assert_eq!(state(&id).await, rows::State::Failed(error.into()));
    let later = fixture.execution(1, &call).await;
    assert_eq!(state(&id).await, rows::State::Over);
    drop(later);
}

#[tokio::test]
async fn call_of_a_dead_node_or_a_dropped_execution_is_executed_by_the_next() {
    let fixture = Fixture::new().await;
    let call = call("k", None, "body");
    let first = fixture.execution(0, &call).await;
    fixture.kill(0).await;
    let second = fixture.execution(1, &call).await;
    // The first node was only stopped for a while.
    first.succeed(b"late".to_vec(), TTL).await;
    assert_eq!(rows::state(&fixture.database, &call, &second.id).await.unwrap(), rows::State::Running);
    drop(second);
    let third = fixture.execution(1, &call).await;
    third.succeed(b"third".to_vec(), TTL).await;
    assert_eq!(fixture.response(1, &call).await.0, b"third");
}

#[tokio::test]
async fn key_of_another_request_conflicts_and_first_attempts_of_sdks_are_separate() {
    let fixture = Fixture::new().await;
    let _execution = fixture.execution(0, &call("k", None, "body")).await;
    let conflict = fixture.nodes[1].role(&call("k", None, "other"), None).await.unwrap_err();
    assert_eq!(conflict, Error::IdempotencyConflict("k".to_owned()));
    let first = fixture.execution(0, &call("", Some(0), "body")).await;
    let second = fixture.execution(1, &call("", Some(0), "body")).await;
    drop(first);
    second.succeed(b"second".to_vec(), TTL).await;
    let retry = call("", Some(1), "body");
    assert_eq!(fixture.response(0, &retry).await.0, b"second");
}

#[tokio::test]
async fn response_that_is_invalid_or_expired_is_not_returned() {
    let fixture = Fixture::new().await;
    let call = call("k", None, "body");
    fixture.execution(0, &call).await.succeed(b"1".to_vec(), TTL).await;
    let (_, execution) = fixture.response(1, &call).await;
    let role = fixture.nodes[1].role(&call, Some(execution)).await.unwrap();
    let Role::Execute(execution) = role else { panic!("{role:?}") };
    execution.succeed(b"2".to_vec(), Duration::ZERO).await;
    fixture.execution(0, &call).await.succeed(vec![0; MAX_RESPONSE_BYTES + 1], TTL).await;
    let _too_large = fixture.execution(0, &call).await;
}

testing::on_postgres! {
    second_node_waits_for_the_response_of_the_first,
    failure_of_the_provider_is_shared_with_those_that_wait_and_not_with_later_calls,
    call_of_a_dead_node_or_a_dropped_execution_is_executed_by_the_next,
    key_of_another_request_conflicts_and_first_attempts_of_sdks_are_separate,
    response_that_is_invalid_or_expired_is_not_returned,
}
