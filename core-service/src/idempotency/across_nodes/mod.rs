//! Repeated calls that reach different nodes (processes that share the database): one node executes the call, the others wait for its
//! outcome in the database.
//!
//! The single flight of a node (`single_flight`) shares the calls that reach the same node; what it executes then goes through here. If the
//! executing node dies, the next node executes the call again: the first call may have reached the provider, but its outcome is lost with
//! the node.

mod rows;
#[cfg(test)]
mod tests;

use std::{fmt, time::Duration};

use futures_util::FutureExt as _;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use self::rows::{Claim, Claimed, Finish, Release};
use super::{Idempotency, Key};
use crate::{
    database::{Database, Write},
    error::{Error, ProviderError},
    node::Node,
    storage_failure::storage_error,
};

/// The interval at which a waiting call looks for the outcome.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// How long the claim of a call without an idempotency key may take. After that, the call is executed without being shared.
const CONTENT_TIMEOUT: Duration = Duration::from_secs(1);

/// The delay before a failed write of an outcome is repeated, and how often it is tried.
const FAILURE_DELAY: Duration = Duration::from_secs(1);
const MAX_ATTEMPTS: u32 = 10;

/// The largest response that is stored, in bytes. Images are not part of it, only their keys.
const MAX_RESPONSE_BYTES: usize = 256 << 10;

/// The calls that the nodes of a database share. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct SharedCalls {
    database: Database,
    node: Node,
}

/// The role of a node in a call.
#[derive(Debug)]
pub(crate) enum Role {
    /// Executes the call.
    Execute(Execution),
    /// Returns this response of an earlier execution.
    Return {
        response: Vec<u8>,
        /// The id of the earlier execution.
        execution: String,
    },
}

/// The execution of a call by this node. If it is dropped before its outcome is stored, the next node executes the call.
pub(crate) struct Execution {
    calls: SharedCalls,
    id: String,
    has_ended: bool,
}

impl SharedCalls {
    pub(crate) fn new(database: Database, node: Node) -> Self {
        Self { database, node }
    }

    /// Decides whether this node executes a call or returns the response of an equal one. While another node executes an equal one, waits
    /// for its outcome. `invalid` is the id of an earlier execution whose response cannot be used any more.
    ///
    /// # Errors
    /// The failure of the execution that was waited for; [`Error::IdempotencyConflict`]; [`Error::Storage`], for a call without an
    /// idempotency key within seconds.
    pub(crate) async fn role(&self, call: &Idempotency, invalid: Option<String>) -> Result<Role, Error> {
        loop {
            let mut execution = Execution { calls: self.clone(), id: Uuid::new_v4().to_string(), has_ended: false };
            let claim = Claim {
                call: call.clone(),
                execution: execution.id.clone(),
                invalid: invalid.clone(),
                node: self.node.id().clone(),
                now: self.node.now(),
            };
            let claimed = match &call.scope.key {
                Key::Explicit(_) => self.write(claim).await?,
                // A claim that is written after the timeout is released by the drop of `execution`.
                Key::Content(_) => {
                    let late = |_| Error::Storage("shared call: the database does not answer in time".to_owned());
                    timeout(CONTENT_TIMEOUT, self.write(claim)).await.map_err(late)??
                }
            };
            if claimed == Claimed::New {
                return Ok(Role::Execute(execution));
            }
            execution.has_ended = true;
            match claimed {
                Claimed::New => {}
                Claimed::Conflict => return Err(Error::IdempotencyConflict(call.scope.explicit_key().to_owned())),
                Claimed::Finished { execution, response } => return Ok(Role::Return { response, execution }),
                Claimed::Running { execution } => {
                    if let Some(error) = self.wait(call, &execution).await? {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// Waits until an execution has ended or its node is dead. Returns its failure.
    async fn wait(&self, call: &Idempotency, execution: &str) -> Result<Option<Error>, Error> {
        loop {
            sleep(POLL_INTERVAL).await;
            let state = rows::state(&self.database, call, execution).await;
            match state.map_err(|error| storage_error("shared call", &error))? {
                rows::State::Running => {}
                rows::State::Over => return Ok(None),
                rows::State::Failed(error) => return Ok(Some(error)),
            }
        }
    }

    async fn write<W: Write>(&self, write: W) -> Result<W::Output, Error> {
        self.database.write(write).await.map_err(|error| storage_error("shared call", &error))
    }
}

impl Execution {
    /// Stores the response for repetitions within this time. One that is too large is not stored.
    pub(crate) async fn succeed(self, response: Vec<u8>, ttl: Duration) {
        if response.len() <= MAX_RESPONSE_BYTES {
            self.finish("finished", response, ttl).await;
        }
    }

    /// Stores a failure for those that wait for the execution. Failures other than those of a provider are not stored: they concern this
    /// node or this client only.
    pub(crate) async fn fail(self, error: &ProviderError) {
        // An error that cannot be encoded is not stored either.
        if let Ok(error) = serde_json::to_vec(error) {
            self.finish("failed", error, 4 * POLL_INTERVAL).await;
        }
    }

    async fn finish(mut self, state: &'static str, outcome: Vec<u8>, ttl: Duration) {
        for attempt in 1..=MAX_ATTEMPTS {
            let ttl = i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX);
            let expires_at = self.calls.node.now().saturating_add(ttl);
            let finish = Finish { execution: self.id.clone(), state, outcome: outcome.clone(), expires_at };
            match self.calls.write(finish).await {
                Ok(()) => {
                    self.has_ended = true;
                    return;
                }
                Err(error) => tracing::warn!(attempt, "the outcome of a repeatable call was not stored: {error}"),
            }
            sleep(FAILURE_DELAY).await;
        }
    }
}

impl Drop for Execution {
    fn drop(&mut self) {
        if !self.has_ended {
            // Polled once, so that the write is queued; it is executed without its caller. If the queue is full, the row stays until the
            // lease of this node ends.
            let release = Release { execution: self.id.clone() };
            let _ = self.calls.database.write(release).now_or_never();
        }
    }
}

impl fmt::Debug for Execution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Execution").field(&self.id).finish()
    }
}
