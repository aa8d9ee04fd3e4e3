//! The limits of API keys and their teams: which models they may call, how often, and how much at the same time.
//!
//! A call is admitted once, after its model is known and before anything that costs money. This holds for all modalities and both
//! APIs.
//!
//! The state is in memory: a restart begins with unused limits. If several nodes share the database, each permits its share of a limit: of
//! *n* nodes, each counts a call *n* times. All nodes together never permit more than the limit, unless it is smaller than their number,
//! and permit less if the load is not spread evenly.

mod rate;

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::{Extensions, Response, metadata::MetadataMap};

use self::rate::{Rate, Refused};
use crate::{
    config::AccountLimits,
    error::{Error, LimitExceeded},
    name_pattern,
    node_count::NodeCount,
    rate_limits::{RateLimits, RateState},
};

/// The delay before a retry after too many calls were in flight: it is unknown when one of them ends.
const CALLS_DELAY: Duration = Duration::from_secs(1);

/// How many entries the metadata of a response has: the state of the rate limits, the attempts and the cost.
const RESPONSE_METADATA: usize = 8;

/// The limits of a key or team with their state. All calls of the key or team share it.
#[derive(Debug)]
pub struct Limiter {
    /// Names the key or team in messages: "key `alice`".
    subject: String,
    settings: AccountLimits,
    requests: Option<Rate>,
    tokens: Option<Rate>,
    calls: Option<Arc<Semaphore>>,
    nodes: NodeCount,
}

/// A call that was admitted. It counts as in flight until the last clone is dropped. The default is a call without limits.
#[derive(Debug, Clone, Default)]
pub struct Admission(Option<Arc<Admitted>>);

#[derive(Debug, Default)]
struct Admitted {
    calls: Vec<OwnedSemaphorePermit>,
    /// Those that limit tokens.
    limiters: Vec<Arc<Limiter>>,
    estimated_tokens: u32,
    state: RateLimits,
}

impl Limiter {
    /// Returns a limiter whose limits are unused, of which this node permits its share; `None` if nothing is limited.
    pub fn new(subject: String, settings: &AccountLimits, nodes: NodeCount) -> Option<Arc<Self>> {
        (*settings != AccountLimits::default()).then(|| {
            let AccountLimits { requests_per_minute, tokens_per_minute, concurrent_calls, .. } = *settings;
            let calls = (concurrent_calls > 0).then(|| Arc::new(Semaphore::new(concurrent_calls as usize)));
            Arc::new(Self {
                subject,
                settings: settings.clone(),
                requests: Rate::per_minute(requests_per_minute),
                tokens: Rate::per_minute(tokens_per_minute),
                calls,
                nodes,
            })
        })
    }

    /// Returns the key or team: "key `alice`".
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Returns whether this limiter has these limits, so that it can be kept, with its state, when the settings change. Budgets and the
    /// limit of videos in flight are not compared: the database has their state.
    pub fn is_for(&self, subject: &str, settings: &AccountLimits) -> bool {
        let limits_of = |settings: &AccountLimits| {
            let AccountLimits { requests_per_minute, tokens_per_minute, concurrent_calls, .. } = *settings;
            (requests_per_minute, tokens_per_minute, concurrent_calls)
        };
        self.subject == subject
            && self.settings.models == settings.models
            && limits_of(&self.settings) == limits_of(settings)
    }

    /// Returns whether the model with this name may be called.
    pub fn permits(&self, model: &str) -> bool {
        let models = &self.settings.models;
        models.is_empty() || models.iter().any(|pattern| name_pattern::matches(pattern, model))
    }

    /// Checks that the model with this name may be called.
    ///
    /// # Errors
    /// [`Error::ModelNotAllowed`].
    pub fn check_model(&self, model: &str) -> Result<(), Error> {
        if self.permits(model) {
            return Ok(());
        }
        Err(Error::ModelNotAllowed { model: model.to_owned(), subject: self.subject.clone() })
    }

    /// Returns what this node counts for an amount: the amount times the number of nodes.
    fn counted(&self, amount: NonZeroU32) -> NonZeroU32 {
        amount.saturating_mul(NonZeroU32::new(self.nodes.get()).unwrap_or(NonZeroU32::MIN))
    }

    fn exceeded(&self, limit: &'static str, value: u32, retry_after: Duration) -> Error {
        Error::LimitExceeded(Box::new(LimitExceeded { subject: self.subject.clone(), limit, value, retry_after }))
    }

    fn take_call(&self) -> Result<Option<OwnedSemaphorePermit>, Error> {
        let Some(calls) = &self.calls else { return Ok(None) };
        let value = self.settings.concurrent_calls;
        let permit = Arc::clone(calls).try_acquire_many_owned(self.nodes.get().min(value));
        permit.map(Some).map_err(|_| self.exceeded("concurrent_calls", value, CALLS_DELAY))
    }
}

/// Admits a call of a model if all limiters permit it. A refused call counts against the rates that were checked before the one
/// that refuses it. `estimated_tokens` is called only if a limit counts tokens, and returns 0 for calls that have none.
///
/// # Errors
/// [`Error::ModelNotAllowed`]; [`Error::LimitExceeded`]; [`Error::InvalidField`] for a call with more tokens than a limit permits
/// in a minute.
pub fn admit(
    limiters: &[Arc<Limiter>],
    model: &str,
    estimated_tokens: impl FnOnce() -> u32,
) -> Result<Admission, Error> {
    if limiters.is_empty() {
        return Ok(Admission::default());
    }
    let has_token_limit = limiters.iter().any(|limiter| limiter.tokens.is_some());
    let estimated_tokens = if has_token_limit { estimated_tokens() } else { 0 };
    let mut admitted = Admitted { estimated_tokens, ..Admitted::default() };
    for limiter in limiters {
        limiter.check_model(model)?;
        let most = limiter.tokens.as_ref().map_or(u32::MAX, |rate| rate.limit().get());
        if estimated_tokens > most {
            let subject = &limiter.subject;
            let message = format!(
                "the prompt and the requested maximum are about {estimated_tokens} tokens, but the {subject} may use {most} \
                 tokens per minute; send a shorter prompt or a lower maximum"
            );
            return Err(Error::invalid("chat", message));
        }
    }
    for limiter in limiters {
        admitted.calls.extend(limiter.take_call()?);
    }
    for limiter in limiters {
        if let Some(rate) = &limiter.requests {
            let taken = rate.take(limiter.counted(NonZeroU32::MIN)).map_err(|Refused { retry_after }| {
                limiter.exceeded("requests_per_minute", rate.limit().get(), retry_after)
            })?;
            admitted.state.requests = Some(tighter(admitted.state.requests, taken));
        }
    }
    for limiter in limiters {
        if let (Some(rate), Some(amount)) = (&limiter.tokens, NonZeroU32::new(estimated_tokens)) {
            let taken = rate.take(limiter.counted(amount)).map_err(|Refused { retry_after }| {
                limiter.exceeded("tokens_per_minute", rate.limit().get(), retry_after)
            })?;
            admitted.state.tokens = Some(tighter(admitted.state.tokens, taken));
            admitted.limiters.push(Arc::clone(limiter));
        }
    }
    Ok(Admission(Some(Arc::new(admitted))))
}

/// Returns whether one of the limiters counts calls or tokens per minute.
pub(crate) fn have_rates(limiters: &[Arc<Limiter>]) -> bool {
    limiters.iter().any(|limiter| limiter.requests.is_some() || limiter.tokens.is_some())
}

/// Returns the state of the rate limits, and counts nothing.
pub(crate) fn peek(limiters: &[Arc<Limiter>]) -> RateLimits {
    let mut state = RateLimits::default();
    for limiter in limiters {
        for (rate, known) in [(&limiter.requests, &mut state.requests), (&limiter.tokens, &mut state.tokens)] {
            if let Some(rate) = rate {
                *known = Some(tighter(*known, rate.peek()));
            }
        }
    }
    state
}

/// Returns the state with less left.
fn tighter(earlier: Option<RateState>, state: RateState) -> RateState {
    earlier.filter(|earlier| earlier.remaining <= state.remaining).unwrap_or(state)
}

impl Admission {
    /// Returns the state of the rate limits after the call was admitted; `None` without limits.
    pub fn state(&self) -> Option<&RateLimits> {
        self.0.as_ref().map(|admitted| &admitted.state)
    }

    /// Returns whether the call has limits.
    pub fn is_limited(&self) -> bool {
        self.0.is_some()
    }

    /// Adds the state of the rate limits to the metadata of a response or status.
    pub(crate) fn write(&self, metadata: &mut MetadataMap) {
        if let Some(state) = self.state() {
            state.write(metadata);
        }
    }

    /// Returns a response with the state of the rate limits.
    pub(crate) fn response<T>(&self, message: T) -> Response<T> {
        let mut metadata = MetadataMap::with_capacity(RESPONSE_METADATA);
        self.write(&mut metadata);
        Response::from_parts(metadata, message, Extensions::default())
    }

    /// Counts the tokens of the response beyond the estimate, as far as the limits have any left. An estimate that was too high is
    /// not corrected.
    pub fn record_tokens(&self, total: u64) {
        let Some(admitted) = &self.0 else { return };
        let total = u32::try_from(total).unwrap_or(u32::MAX);
        if let Some(beyond) = NonZeroU32::new(total.saturating_sub(admitted.estimated_tokens)) {
            for limiter in &admitted.limiters {
                if let Some(rate) = &limiter.tokens {
                    rate.take_up_to(limiter.counted(beyond));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
