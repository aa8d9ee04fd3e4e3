//! The table `shared_calls`: one row for each repeatable call that a node executes or has executed.

use async_trait::async_trait;
use sqlx::Row as _;

use super::super::{Fingerprint, Idempotency};
use crate::{
    database::{Database, DbConnection, Write},
    error::{Error, ProviderError},
    node::NodeId,
};

/// How long the row of an execution stays if its node never ends it, in milliseconds. The row of a dead node can be replaced earlier.
const MAX_RUN_MILLIS: i64 = 24 * 60 * 60 * 1000;

/// Claims a call for an execution, unless an equal one is running or has a response.
pub(super) struct Claim {
    pub(super) call: Idempotency,
    /// The id of the new execution.
    pub(super) execution: String,
    /// The id of an earlier execution whose response cannot be used any more.
    pub(super) invalid: Option<String>,
    pub(super) node: NodeId,
    /// Milliseconds since 1970.
    pub(super) now: i64,
}

/// The result of a claim.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Claimed {
    /// The claiming node executes the call.
    New,
    /// The key belongs to a different request.
    Conflict,
    Running {
        execution: String,
    },
    Finished {
        execution: String,
        response: Vec<u8>,
    },
}

#[async_trait]
impl Write for Claim {
    type Output = Claimed;

    async fn run(&mut self, connection: &mut DbConnection) -> Result<Claimed, sqlx::Error> {
        let Self { call, execution, invalid, node, now } = self;
        let expired = sqlx::query("DELETE FROM shared_calls WHERE expires_at <= $1").bind(*now);
        expired.execute(&mut *connection).await?;
        let (owner, key) = (call.scope.owner.as_str().to_owned(), call.scope.key.to_column());
        // The writes of all nodes run one after the other, so nothing comes between this look-up and the insert.
        let query = sqlx::query(
            "SELECT fingerprint, execution, state, outcome FROM shared_calls WHERE owner = $1 AND idempotency_key = $2 \
             AND (state <> 'running' OR node IN (SELECT id FROM nodes))",
        );
        let known = query.bind(owner.clone()).bind(key.clone()).fetch_optional(&mut *connection).await?;
        if let Some(known) = known.filter(|_| call.may_be_repetition) {
            let (fingerprint, known_execution): (&str, String) =
                (known.try_get("fingerprint")?, known.try_get("execution")?);
            match known.try_get("state")? {
                _ if invalid.as_ref() == Some(&known_execution) => {}
                // The next attempt of a failed call starts new work.
                "failed" => {}
                _ if Fingerprint::from_hex(fingerprint) != Some(call.fingerprint) => return Ok(Claimed::Conflict),
                "running" => return Ok(Claimed::Running { execution: known_execution }),
                _ => {
                    return Ok(Claimed::Finished { execution: known_execution, response: known.try_get("outcome")? });
                }
            }
        }
        let query = sqlx::query(
            "INSERT INTO shared_calls (owner, idempotency_key, fingerprint, execution, node, state, outcome, expires_at) \
             VALUES ($1, $2, $3, $4, $5, 'running', NULL, $6) ON CONFLICT (owner, idempotency_key) DO UPDATE SET \
             fingerprint = excluded.fingerprint, execution = excluded.execution, node = excluded.node, state = excluded.state, \
             outcome = NULL, expires_at = excluded.expires_at",
        );
        let query = query.bind(owner).bind(key).bind(call.fingerprint.to_hex()).bind(execution.clone());
        query.bind(node.as_str().to_owned()).bind(*now + MAX_RUN_MILLIS).execute(connection).await?;
        Ok(Claimed::New)
    }
}

/// The state of an execution that another call waits for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum State {
    Running,
    /// It has a response, was ended or replaced without one, its node is dead, or its failure cannot be read.
    Over,
    Failed(Error),
}

/// Reads the state of an execution.
pub(super) async fn state(database: &Database, call: &Idempotency, execution: &str) -> Result<State, sqlx::Error> {
    let query = sqlx::query(
        "SELECT state, outcome, CAST(CASE WHEN node IN (SELECT id FROM nodes) THEN 1 ELSE 0 END AS BIGINT) AS is_alive FROM shared_calls \
         WHERE owner = $1 AND idempotency_key = $2 AND execution = $3",
    );
    let query = query.bind(call.scope.owner.as_str()).bind(call.scope.key.to_column()).bind(execution);
    let Some(row) = query.fetch_optional(database.readers()).await? else { return Ok(State::Over) };
    let is_alive = row.try_get::<i64, _>("is_alive")? != 0;
    Ok(match row.try_get("state")? {
        "running" if is_alive => State::Running,
        "failed" => {
            let error: Vec<u8> = row.try_get("outcome")?;
            // An error that only a later version can read ends the wait, so that this node executes the call.
            let error = serde_json::from_slice::<ProviderError>(&error).map(Error::Provider);
            error.map_or(State::Over, State::Failed)
        }
        _ => State::Over,
    })
}

/// Stores the outcome of an execution, unless another one has replaced it.
pub(super) struct Finish {
    pub(super) execution: String,
    /// `finished` or `failed`.
    pub(super) state: &'static str,
    /// The response, or the error as JSON.
    pub(super) outcome: Vec<u8>,
    pub(super) expires_at: i64,
}

#[async_trait]
impl Write for Finish {
    type Output = ();

    async fn run(&mut self, connection: &mut DbConnection) -> Result<(), sqlx::Error> {
        let Self { execution, state, outcome, expires_at } = self;
        let query = sqlx::query(
            "UPDATE shared_calls SET state = $1, outcome = $2, expires_at = $3 WHERE execution = $4 AND state = 'running'",
        );
        let query = query.bind(*state).bind(outcome.clone()).bind(*expires_at).bind(execution.clone());
        query.execute(connection).await.map(drop)
    }
}

/// Removes the row of an execution that ends without an outcome, so that the next call executes the work.
pub(super) struct Release {
    pub(super) execution: String,
}

#[async_trait]
impl Write for Release {
    type Output = ();

    fn must_be_durable(&self) -> bool {
        false
    }

    async fn run(&mut self, connection: &mut DbConnection) -> Result<(), sqlx::Error> {
        let query = sqlx::query("DELETE FROM shared_calls WHERE execution = $1 AND state = 'running'");
        query.bind(self.execution.clone()).execute(connection).await.map(drop)
    }
}
