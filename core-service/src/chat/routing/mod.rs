//! Many upstreams behind one model name: a provider around providers.
//!
//! A call goes to the admissible target of the lowest priority that its session, or else the policy, picks. Before the
//! first piece of an answer has reached the caller, a failure that surely cost nothing sends it to the next one, and where
//! none is left, after a pause to the same ones again, within the caller's deadline. After it, nothing is tried again.

pub mod assembly;
pub mod policy;

mod affinity;
mod breaker;
mod context;
mod gate;
mod retry;
mod target;
mod tries;

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
use triptych_proto::{chat_stream::ChatChunk, v1 as pb};

pub use self::{
    breaker::{BreakerSettings, Cause, State},
    context::{ATTEMPTS, RoutingContext, SESSION},
    gate::Gate,
    retry::RetrySettings,
    target::Target,
};
use self::{
    gate::{Full, Permit},
    policy::Policy,
    retry::Again,
    target::Pass,
    tries::Tries,
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
        send: impl Fn(Arc<dyn ChatProvider>, ChatCall) -> F,
    ) -> Result<(T, Admitted), ProviderError>
    where
        F: Future<Output = Result<T, ProviderError>>,
    {
        let deadline = call.context.deadline;
        let route = RoutingContext::current();
        let mut tries = Tries::new(self.retry);
        loop {
            let fresh = self.pick(route.session(), |target| tries.is_fresh(target));
            let next = fresh.or_else(|| self.pick(route.session(), |target| tries.is_ripe(target)));
            let Some(target) = next else {
                let in_time = |wake: &Instant| deadline.is_none_or(|deadline| *wake < deadline);
                let Some(wake) = tries.wake().filter(in_time) else { break };
                sleep_until(wake).await;
                continue;
            };
            let place = match enter(&target.gate, deadline).await {
                Ok(place) => place,
                Err(error @ ProviderError::Timeout(_)) => return Err(error),
                Err(error) => {
                    tries.passed_over(target, Some(&error));
                    continue;
                }
            };
            // After the target's own: who waits for one target keeps nobody from another.
            let total = enter(&self.total, deadline).await?;
            // It may have gone to rest while the call waited for its places.
            let Some(mut pass) = target.begin(place, deadline) else {
                tries.passed_over(target, None);
                continue;
            };
            tries.begin(target);
            let mut call = Call { model: target.model.clone(), ..call.clone() };
            call.context.deadline = target.deadline(deadline);
            route.at_work(true);
            let outcome = send(target.provider.clone(), call).await;
            route.at_work(outcome.is_ok());
            match outcome {
                Ok(answer) => {
                    route.tried(&target.name, None);
                    return Ok((answer, Admitted { pass, _total: total }));
                }
                Err(error) => {
                    pass.failed(&error);
                    route.tried(&target.name, Some(&error));
                    tracing::info!(target.name, %error, "a target failed");
                    let over = deadline.is_some_and(|deadline| deadline <= Instant::now());
                    if tries.failed(target, &error) == Again::Never || over || route.left() {
                        return Err(error);
                    }
                }
            }
        }
        Err(tries.into_told().unwrap_or_else(|| self.nobody()))
    }

    /// The target for the next try among those that `may` be asked: of the lowest priority that has an admissible one,
    /// and with a free place if any has.
    fn pick(&self, session: &str, may: impl Fn(&Arc<Target>) -> bool) -> Option<&Arc<Target>> {
        let mut able: Vec<_> = (self.targets.iter())
            .filter(|target| target.breaker.admits() && target.gate.has_room() && may(target))
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
                State::Open { until, cause } => {
                    back = Some(back.map_or(until, |back| back.min(until)));
                    limited &= cause == Cause::Pace;
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
            Some(_) | None => ProviderError::Unavailable {
                message: "all upstreams of this model are resting".to_owned(),
                retry_after: back.map(|back| back.saturating_duration_since(Instant::now())),
            },
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
    pieces: Chunks<ChatChunk>,
    admitted: Option<Admitted>,
}

impl Stream for Watched {
    type Item = Result<ChatChunk, ProviderError>;

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
            None => {
                if let Some(mut admitted) = self.admitted.take() {
                    admitted.pass.succeeded();
                }
            }
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
        let sent = self.route(call, |provider, call| async move { provider.complete(call).await });
        let (answer, mut admitted) = sent.await?;
        admitted.pass.succeeded();
        Ok(answer)
    }

    async fn stream(
        &self,
        call: ChatCall,
        options: Option<pb::StreamOptions>,
    ) -> Result<Chunks<ChatChunk>, ProviderError> {
        let send = |provider: Arc<dyn ChatProvider>, call| {
            let options = options.clone();
            async move { provider.stream(call, options).await }
        };
        let (pieces, mut admitted) = self.route(call, send).await?;
        admitted.pass.begun_to_answer();
        Ok(Watched { pieces, admitted: Some(admitted) }.boxed())
    }

    fn targets(&self) -> Vec<pb::model::Target> {
        self.targets.iter().map(|target| target.shown()).collect()
    }
}

#[cfg(test)]
mod tests;
