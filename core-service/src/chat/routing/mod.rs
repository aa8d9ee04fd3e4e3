//! Many upstreams behind one model name: a provider around providers.
//!
//! A call goes to the admissible target of the lowest priority that its session, or else the policy, picks. Before the
//! first piece of an answer has reached the caller, a failure that surely cost nothing sends it to the next one, or after
//! a pause to the same one again, within the caller's deadline. After it, nothing is tried again.

pub mod assembly;
pub mod policy;

mod affinity;
mod breaker;
mod gate;
mod retry;
mod route;
mod target;

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::{Stream, StreamExt};
use tokio::time::{Instant, sleep_until, timeout_at};
use triptych_proto::{chat_stream::Piece, v1 as pb};

pub use self::{
    breaker::{BreakerSettings, State},
    gate::Gate,
    retry::RetrySettings,
    route::{ATTEMPTS, Route, SESSION},
    target::Target,
};
use self::{
    gate::{Full, Permit},
    policy::Policy,
    retry::{Again, pause},
    target::Pass,
};
use super::{ChatCall, ChatProvider};
use crate::{
    call::{Call, Chunks},
    error::ProviderError,
};

/// When a caller that found everything full may come back.
const COME_BACK: Duration = Duration::from_secs(1);

/// Several targets behind one name.
#[derive(Debug)]
pub struct Routed {
    targets: Vec<Arc<Target>>,
    policy: Arc<dyn Policy>,
    retry: RetrySettings,
    total: Arc<Gate>,
}

impl Routed {
    /// `total` bounds the calls under way over all names that share it.
    pub fn new(targets: Vec<Target>, policy: Arc<dyn Policy>, retry: RetrySettings, total: Arc<Gate>) -> Self {
        Self { targets: targets.into_iter().map(Arc::new).collect(), policy, retry, total }
    }

    /// Tries until an answer begins, a failure is final or the tries are used up.
    async fn route<T, F>(
        &self,
        call: ChatCall,
        streamed: bool,
        send: impl Fn(Arc<dyn ChatProvider>, ChatCall) -> F,
    ) -> Result<(T, Admitted), ProviderError>
    where
        F: Future<Output = Result<T, ProviderError>>,
    {
        let deadline = call.deadline;
        let route = Route::current();
        let total = enter(&self.total, deadline).await?;
        // Targets that this call need not ask again, until nothing else is left.
        let mut asked: Vec<&Arc<Target>> = Vec::new();
        let mut last: Option<ProviderError> = None;
        let mut repetitions = 0;
        let mut tries = 0;
        while tries <= self.retry.retries {
            let Some(target) = self.pick(&asked, route.session()) else {
                let Some(error) = last.as_ref().filter(|error| self.retry.again(error) == Again::Anywhere) else {
                    break;
                };
                let Some(wake) = pause(error, repetitions).map(|pause| Instant::now() + pause) else { break };
                if asked.is_empty() || deadline.is_some_and(|deadline| deadline <= wake) {
                    break;
                }
                sleep_until(wake).await;
                repetitions += 1;
                asked.clear();
                continue;
            };
            asked.push(target);
            let place = match enter(&target.gate, deadline).await {
                Ok(place) => place,
                Err(error @ ProviderError::Timeout(_)) => return Err(error),
                Err(error) => {
                    last.get_or_insert(error);
                    continue;
                }
            };
            // It may have gone to rest while the call waited for its place.
            let Some(mut pass) = target.begin(place) else { continue };
            tries += 1;
            let call = Call { model: target.model.clone(), deadline: target.deadline(deadline), ..call.clone() };
            route.at_work(true);
            let outcome = send(target.provider.clone(), call).await;
            route.at_work(outcome.is_ok());
            match outcome {
                Ok(answer) => {
                    pass.succeeded(streamed);
                    route.tried(&target.name, None);
                    return Ok((answer, Admitted { pass, _total: total }));
                }
                Err(error) => {
                    pass.failed(&error);
                    route.tried(&target.name, Some(&error));
                    tracing::info!(target.name, %error, tries, "a target failed");
                    let over = deadline.is_some_and(|deadline| deadline <= Instant::now());
                    if over || route.left() || self.retry.again(&error) == Again::Never {
                        return Err(error);
                    }
                    last = Some(error);
                }
            }
        }
        Err(last.unwrap_or_else(|| self.nobody()))
    }

    /// The target for the next try: of the lowest priority that has an admissible one, and with a free place if any has.
    fn pick(&self, asked: &[&Arc<Target>], session: &str) -> Option<&Arc<Target>> {
        let fresh = |target: &&Arc<Target>| !asked.iter().any(|other| Arc::ptr_eq(other, target));
        let mut able: Vec<_> = (self.targets.iter())
            .filter(|target| target.breaker.admits() && target.gate.has_room())
            .filter(fresh)
            .collect();
        let first = able.iter().map(|target| target.priority).min()?;
        able.retain(|target| target.priority == first);
        if able.iter().any(|target| target.gate.has_place()) {
            able.retain(|target| target.gate.has_place());
        }
        let candidates: Vec<&Target> = able.iter().map(|target| &***target).collect();
        let place = match session {
            _ if candidates.is_empty() => return None,
            "" => self.policy.choose(&candidates),
            session => affinity::place(session, &candidates),
        };
        able.get(place).copied()
    }

    /// Why nobody could be asked at all.
    fn nobody(&self) -> ProviderError {
        let mut back: Option<Instant> = None;
        let mut limited = true;
        for target in &self.targets {
            match target.state() {
                State::Open { until, asked } => {
                    back = Some(back.map_or(until, |back| back.min(until)));
                    limited &= asked;
                }
                // It works, so it was its bound that kept the call away.
                State::Closed => return ProviderError::Overloaded { retry_after: COME_BACK },
                State::HalfOpen => limited = false,
            }
        }
        match back {
            Some(back) if limited => ProviderError::RateLimited {
                message: "all upstreams of this model are pacing us".to_owned(),
                retry_after: Some(back.saturating_duration_since(Instant::now())),
            },
            Some(_) | None => {
                ProviderError::Unavailable("all upstreams of this model are resting after failures".to_owned())
            }
        }
    }
}

/// A call that a target is answering; dropping it frees its places.
struct Admitted {
    pass: Pass,
    _total: Permit,
}

/// A streamed answer. Its places are free as soon as it has ended, however long its reader keeps it.
struct Watched {
    pieces: Chunks<Piece>,
    admitted: Option<Admitted>,
}

impl Stream for Watched {
    type Item = Result<Piece, ProviderError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = ready!(self.pieces.as_mut().poll_next(context));
        match &next {
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                // Told to the breaker only: what the caller has begun to read is never begun anew.
                if let Some(mut admitted) = self.admitted.take() {
                    admitted.pass.failed(error);
                }
            }
            None => self.admitted = None,
        }
        Poll::Ready(next)
    }
}

async fn enter(gate: &Gate, deadline: Option<Instant>) -> Result<Permit, ProviderError> {
    let entered = match deadline {
        Some(deadline) => timeout_at(deadline, gate.enter())
            .await
            .map_err(|_| ProviderError::Timeout("no place among the calls under way became free in time".to_owned()))?,
        None => gate.enter().await,
    };
    entered.map_err(|Full| ProviderError::Overloaded { retry_after: COME_BACK })
}

#[async_trait]
impl ChatProvider for Routed {
    async fn complete(&self, call: ChatCall) -> Result<pb::CreateChatResponse, ProviderError> {
        let sent = self.route(call, false, |provider, call| async move { provider.complete(call).await });
        Ok(sent.await?.0)
    }

    async fn stream(&self, call: ChatCall, options: Option<pb::StreamOptions>) -> Result<Chunks<Piece>, ProviderError> {
        let send = |provider: Arc<dyn ChatProvider>, call| {
            let options = options.clone();
            async move { provider.stream(call, options).await }
        };
        let (pieces, admitted) = self.route(call, true, send).await?;
        Ok(Watched { pieces, admitted: Some(admitted) }.boxed())
    }

    fn targets(&self) -> Vec<pb::model::Target> {
        self.targets.iter().map(|target| target.shown()).collect()
    }
}

#[cfg(test)]
mod tests;
