//! Routing of one model name to several upstreams. The router is itself a chat provider, which calls those of its targets. A
//! *target* is an upstream with its own name for the model.
//!
//! A call goes to an available target of the lowest priority, chosen by the session id or else by the policy. Until the
//! first chunk of the response has reached the caller, a failure that is safe to retry sends the call to the next target,
//! and, when all were tried, after a delay to the same targets again, within the caller's deadline. After the first chunk
//! there are no retries.

pub mod policy;

mod affinity;
mod attempts;
mod context;
mod target;

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use async_trait::async_trait;
use futures_util::{Stream, StreamExt};
use tokio::time::{Instant, sleep_until};
use triptych_proto::{chat_stream::ChatChunk, v1 as pb};
use triptych_telemetry::Modality;

use self::{attempts::Attempts, policy::Policy};
pub use self::{
    context::{ATTEMPTS, RoutingContext, SESSION},
    target::Target,
};
use super::{ChatCall, ChatProvider};
use crate::{
    call::{Call, Chunks},
    error::ProviderError,
    upstream::{AdmittedCall, ConcurrencyLimit, Permit, RetryScope, RetrySettings, acquire, rejection},
};

/// Routes the calls of one model name to several targets.
#[derive(Debug)]
pub struct Routed {
    targets: Vec<Arc<Target>>,
    /// Chooses a target for calls without a session.
    policy: Arc<dyn Policy>,
    retry: RetrySettings,
    /// The limit of the calls in flight of all routed models together. Each target has a limit of its own as well.
    shared_limit: Arc<ConcurrencyLimit>,
}

impl Routed {
    /// Creates a router. `shared_limit` limits the calls in flight of all model names that share it.
    pub fn new(
        targets: Vec<Target>,
        policy: Arc<dyn Policy>,
        retry: RetrySettings,
        shared_limit: Arc<ConcurrencyLimit>,
    ) -> Self {
        Self { targets: targets.into_iter().map(Arc::new).collect(), policy, retry, shared_limit }
    }

    /// Makes attempts until a response begins, a failure is final, or no attempt is left. `send` makes one of them: it sends the
    /// call to the provider of the target.
    async fn route<T, F>(
        &self,
        call: ChatCall,
        send: impl Fn(Arc<dyn ChatProvider>, ChatCall) -> F,
    ) -> Result<(T, RoutedCall), ProviderError>
    where
        F: Future<Output = Result<T, ProviderError>>,
    {
        let deadline = call.context.deadline;
        let context = RoutingContext::current();
        let mut attempts = Attempts::new(self.retry);
        loop {
            let untried = self.pick(context.session(), |target| attempts.may_try(target));
            let next = untried.or_else(|| self.pick(context.session(), |target| attempts.may_retry(target)));
            let Some(target) = next else {
                let before_deadline = |at: &Instant| deadline.is_none_or(|deadline| *at < deadline);
                let Some(retry_at) = attempts.next_retry_at().filter(before_deadline) else { break };
                sleep_until(retry_at).await;
                continue;
            };
            let permit = match target.admission.acquire(&call.context).await {
                Ok(permit) => permit,
                Err(error @ ProviderError::Timeout(_)) => return Err(error),
                Err(error) => {
                    attempts.record_rejection(target, Some(&error));
                    continue;
                }
            };
            // After the permit of the target: a call that waits for one target must not block calls to another.
            let shared_permit = acquire(&self.shared_limit, &call.context).await?;
            let Some(mut admitted) = target.admission.start(permit, deadline) else {
                attempts.record_rejection(target, None);
                continue;
            };
            attempts.start(target);
            let mut call = Call { model: target.upstream_model(&call.model), ..call.clone() };
            call.context.deadline = target.deadline(deadline);
            call.context.report.add_attempt(&target.name);
            admitted.trace(&mut call.context, Modality::Chat, &target.model);
            context.set_in_progress(true);
            let result = send(target.provider.clone(), call).await;
            context.set_in_progress(result.is_ok());
            context.add_attempt(&target.name, result.as_ref().err());
            match result {
                Ok(response) => {
                    return Ok((
                        response,
                        RoutedCall { target: Arc::clone(target), admitted, _shared_permit: shared_permit },
                    ));
                }
                Err(error) => {
                    admitted.record_failure(&error);
                    let has_expired = deadline.is_some_and(|deadline| deadline <= Instant::now());
                    let scope = attempts.record_failure(target, &error);
                    if scope == RetryScope::Never || has_expired || context.is_disconnected() {
                        return Err(error);
                    }
                }
            }
        }
        Err(attempts.into_failure().unwrap_or_else(|| {
            self.targets.iter().for_each(|target| target.admission.count_refusal());
            rejection(self.targets.iter().map(|target| target.state()))
        }))
    }

    /// Chooses a target among those that `may` be tried: an available one of the lowest priority, without waiting in a
    /// queue if possible.
    fn pick(&self, session: &str, may: impl Fn(&Arc<Target>) -> bool) -> Option<&Arc<Target>> {
        let mut available: Vec<_> =
            self.targets.iter().filter(|target| target.admission.is_available() && may(target)).collect();
        let priority = available.iter().map(|target| target.priority).min()?;
        available.retain(|target| target.priority == priority);
        if available.iter().any(|target| target.admission.has_permit()) {
            available.retain(|target| target.admission.has_permit());
        }
        let candidates: Vec<&Target> = available.iter().map(|target| &***target).collect();
        let index = match session {
            // The last permits may have been taken since the check above.
            _ if candidates.is_empty() => return None,
            "" => self.policy.choose(&candidates),
            session => affinity::choose(session, &candidates),
        };
        available.get(index).copied()
    }
}

/// A call that a target is serving; dropping it releases its permits.
struct RoutedCall {
    target: Arc<Target>,
    admitted: AdmittedCall,
    /// The permit of [`Routed::shared_limit`].
    _shared_permit: Permit,
}

/// A streamed response that reports its result to the circuit breaker. Its permits are released when it ends, even if its
/// reader keeps it.
struct ObservedStream {
    chunks: Chunks<ChatChunk>,
    /// `None` after the end of the response.
    call: Option<RoutedCall>,
}

impl Stream for ObservedStream {
    type Item = Result<ChatChunk, ProviderError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = ready!(self.chunks.as_mut().poll_next(cx));
        match &next {
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                if let Some(mut call) = self.call.take() {
                    call.admitted.record_failure(error);
                }
            }
            None => {
                if let Some(mut call) = self.call.take() {
                    call.admitted.record_success();
                }
            }
        }
        Poll::Ready(next)
    }
}

#[async_trait]
impl ChatProvider for Routed {
    async fn complete(&self, call: ChatCall) -> Result<pb::CreateChatResponse, ProviderError> {
        let sent = self.route(call, |provider, call| async move { provider.complete(call).await });
        let (response, mut call) = sent.await?;
        call.admitted.record_success();
        Ok(response)
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
        let (chunks, mut call) = self.route(call, send).await?;
        call.target.response_started(&mut call.admitted);
        Ok(ObservedStream { chunks, call: Some(call) }.boxed())
    }

    fn targets(&self) -> Vec<pb::model::Target> {
        self.targets.iter().map(|target| target.to_proto()).collect()
    }
}

#[cfg(test)]
mod tests;
