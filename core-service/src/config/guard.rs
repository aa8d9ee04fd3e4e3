//! Retries, circuit breaker and concurrency limit of connected providers: those that call an upstream, in contrast to the
//! built-in engines. Together they are the guard of a provider: the wrappers `image::guarded` and `video::guarded` apply them.

use std::time::Duration;

use serde::Deserialize;

/// Retries and circuit breaker of each model, and a concurrency limit of all models together. The defaults equal those of
/// `chat.routing`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GuardSettings {
    /// Attempts beyond the first, after failures that are safe to retry.
    pub retries: u32,
    /// Consecutive failures that open the circuit breaker of a model, at least 1. In the configuration: `failures`.
    #[serde(rename = "failures")]
    pub failure_threshold: u32,
    /// How long the breaker stays open before it becomes half-open.
    #[serde(with = "humantime_serde")]
    pub cooldown: Duration,
    /// Calls in flight over all models; 0: no limit.
    pub max_in_flight: usize,
    /// Calls that may wait when `max_in_flight` is reached; further ones are refused. In the configuration: `queue`.
    #[serde(rename = "queue")]
    pub queue_limit: usize,
}

impl Default for GuardSettings {
    fn default() -> Self {
        Self { retries: 2, failure_threshold: 5, cooldown: Duration::from_secs(15), max_in_flight: 0, queue_limit: 0 }
    }
}
