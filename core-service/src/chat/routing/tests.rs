//! Retries, fallbacks, circuit breakers and policies of a router whose targets are scripted, with a paused clock.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures_util::{FutureExt, poll, stream};

use super::{policy::Weighted, *};
use crate::{
    context::RequestContext,
    upstream::{BreakerSettings, BreakerState},
};

/// A provider that fails with these errors in order, then succeeds.
#[derive(Debug, Default)]
struct Scripted {
    errors: Mutex<VecDeque<ProviderError>>,
    /// The models of the calls received.
    calls: Mutex<Vec<String>>,
    /// Never responds.
    hangs: bool,
    /// Streams end without an error after their first chunk.
    streams_complete: bool,
}

impl Scripted {
    fn failing(errors: impl IntoIterator<Item = ProviderError>) -> Arc<Self> {
        Arc::new(Self { errors: Mutex::new(errors.into_iter().collect()), ..Self::default() })
    }

    fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn respond(&self, model: String) -> Result<(), ProviderError> {
        self.calls.lock().unwrap().push(model);
        if self.hangs {
            std::future::pending::<()>().await;
        }
        let error = self.errors.lock().unwrap().pop_front();
        error.map_or(Ok(()), Err)
    }
}

#[async_trait]
impl ChatProvider for Scripted {
    async fn complete(&self, call: ChatCall) -> Result<pb::CreateChatResponse, ProviderError> {
        self.respond(call.model).await.map(|()| pb::CreateChatResponse::default())
    }

    async fn stream(
        &self,
        call: ChatCall,
        _options: Option<pb::StreamOptions>,
    ) -> Result<Chunks<ChatChunk>, ProviderError> {
        self.respond(call.model).await?;
        let end = (!self.streams_complete).then(|| Err(broken()));
        Ok(stream::iter([Ok(pb::StreamChatResponse::default().into())].into_iter().chain(end)).boxed())
    }
}

fn unavailable() -> ProviderError {
    ProviderError::unavailable("unavailable".to_owned())
}

fn broken() -> ProviderError {
    ProviderError::Broken("broken".to_owned())
}

fn limited(seconds: Option<u64>) -> ProviderError {
    ProviderError::RateLimited { message: "rate limited".to_owned(), retry_after: seconds.map(Duration::from_secs) }
}

const BREAKER: BreakerSettings = BreakerSettings { failure_threshold: 3, cooldown: Duration::from_secs(10) };

/// Returns a target of this name, with model `model-of-NAME` and no concurrency limit.
fn target(name: &str, provider: &Arc<Scripted>) -> Target {
    Target::new(name, format!("model-of-{name}"), provider.clone(), Arc::new(ConcurrencyLimit::new(0, 0)), BREAKER)
}

/// Returns a router with two retries and no concurrency limit.
fn routed(targets: Vec<Target>) -> Routed {
    let retry = RetrySettings { retries: 2, retry_unsafe: false };
    Routed::new(targets, Arc::new(Weighted), retry, Arc::new(ConcurrencyLimit::new(0, 0)))
}

fn call() -> ChatCall {
    Call {
        model: "public".to_owned(),
        request: Arc::default(),
        context: RequestContext { request_id: "req_1".to_owned(), ..RequestContext::default() },
    }
}

/// Returns the result of a non-streaming call, and its attempts in the form of [`ATTEMPTS`]. An empty `session` is none.
async fn complete(routed: &Routed, call: ChatCall, session: &str) -> (Result<(), ProviderError>, String) {
    let mut metadata = tonic::metadata::MetadataMap::new();
    if !session.is_empty() {
        metadata.insert(SESSION, session.parse().unwrap());
    }
    let context = RoutingContext::from_metadata(&metadata);
    let result = context.scope(routed.complete(call)).await.map(|_| ());
    let mut written = tonic::metadata::MetadataMap::new();
    context.write_attempts(&mut written);
    (result, written.get(ATTEMPTS).map_or_else(String::new, |value| value.to_str().unwrap().to_owned()))
}

#[tokio::test(start_paused = true)]
async fn unavailable_target_sends_the_call_to_the_next_priority() {
    let (a, b) = (Scripted::failing([unavailable()]), Scripted::failing([]));
    let routed = routed(vec![target("a", &a), Target { priority: 1, ..target("b", &b) }]);
    let started = Instant::now();
    assert_eq!(complete(&routed, call(), "").await, (Ok(()), "a=unavailable,b=ok".to_owned()));
    assert_eq!(started.elapsed(), Duration::ZERO, "another target is tried without delay");
    assert_eq!((a.calls(), b.calls()), (vec!["model-of-a".to_owned()], vec!["model-of-b".to_owned()]));
    assert_eq!(complete(&routed, call(), "").await, (Ok(()), "a=ok".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn call_that_may_have_executed_is_not_retried() {
    let (a, b) = (Scripted::failing([broken()]), Scripted::failing([]));
    let routed = routed(vec![target("a", &a), Target { priority: 1, ..target("b", &b) }]);
    assert_eq!(complete(&routed, call(), "").await, (Err(broken()), "a=broken".to_owned()));
    assert!(b.calls().is_empty());
}

#[tokio::test(start_paused = true)]
async fn single_target_is_retried_after_its_retry_after() {
    let a = Scripted::failing([limited(Some(3)), unavailable()]);
    let routed = routed(vec![target("a", &a)]);
    let started = Instant::now();
    assert_eq!(complete(&routed, call(), "").await.1, "a=rate_limited,a=unavailable,a=ok");
    assert!(started.elapsed() >= Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn retries_stop_at_the_limit_and_at_the_deadline() {
    let a = Scripted::failing((0..9).map(|_| limited(None)));
    let single = routed(vec![target("a", &a)]);
    assert_eq!(complete(&single, call(), "").await.0, Err(limited(None)));
    assert_eq!(a.calls().len(), 3);

    let b = Scripted::failing([limited(Some(3))]);
    let single = routed(vec![target("b", &b)]);
    let started = Instant::now();
    let mut with_deadline = call();
    with_deadline.context.deadline = Some(Instant::now() + Duration::from_secs(2));
    assert_eq!(complete(&single, with_deadline, "").await.0, Err(limited(Some(3))));
    assert_eq!(started.elapsed(), Duration::ZERO, "a retry after the deadline is not waited for");
}

#[tokio::test(start_paused = true)]
async fn first_attempt_at_each_target_does_not_count_as_a_retry() {
    let always_unavailable = || Scripted::failing((0..9).map(|_| unavailable()));
    let replicas = [always_unavailable(), always_unavailable(), always_unavailable()];
    let cloud = Scripted::failing([]);
    let names = ["a", "b", "c"];
    let mut targets: Vec<_> = names.iter().zip(&replicas).map(|(name, replica)| target(name, replica)).collect();
    targets.push(Target { priority: 1, ..target("cloud", &cloud) });
    for retries in [2, 0] {
        let all = std::mem::take(&mut targets);
        let retry = RetrySettings { retries, retry_unsafe: false };
        let routed = Routed::new(all, Arc::new(Weighted), retry, Arc::new(ConcurrencyLimit::new(0, 0)));
        let (result, attempts) = complete(&routed, call(), "").await;
        assert!(result.is_ok() && attempts.ends_with("cloud=ok") && attempts.matches(',').count() == 3, "{attempts}");
        targets = routed.targets.into_iter().filter_map(Arc::into_inner).collect();
        targets.sort_unstable_by_key(|target| target.name.clone());
    }
}

#[tokio::test(start_paused = true)]
async fn attempts_at_other_targets_count_as_retries_if_the_call_may_have_executed() {
    let always_broken = || Scripted::failing((0..9).map(|_| broken()));
    let all = ["a", "b", "c", "d"].map(|name| target(name, &always_broken()));
    let retry = RetrySettings { retries: 2, retry_unsafe: true };
    let routed = Routed::new(all.into(), Arc::new(Weighted), retry, Arc::new(ConcurrencyLimit::new(0, 0)));
    let (result, attempts) = complete(&routed, call(), "").await;
    assert_eq!((result, attempts.matches("=broken").count()), (Err(broken()), 3), "{attempts}");
}

#[tokio::test(start_paused = true)]
async fn rejected_credentials_of_one_target_do_not_hide_another_that_recovers() {
    let rejected = || ProviderError::Credentials("no".to_owned());
    for rejected_first in [true, false] {
        let (a, b) = (Scripted::failing([unavailable()]), Scripted::failing([rejected(), rejected()]));
        let (first, second) = if rejected_first { (1, 0) } else { (0, 1) };
        let routed =
            routed(vec![Target { priority: first, ..target("a", &a) }, Target { priority: second, ..target("b", &b) }]);
        let (result, attempts) = complete(&routed, call(), "").await;
        assert_eq!((result, b.calls().len()), (Ok(()), 1), "{attempts}");
    }
    let (a, b) = (Scripted::failing((0..9).map(|_| unavailable())), Scripted::failing([rejected()]));
    let routed = routed(vec![target("a", &a), Target { priority: 1, ..target("b", &b) }]);
    assert_eq!(complete(&routed, call(), "").await.0, Err(unavailable()), "the failure that may pass is returned");
}

#[tokio::test(start_paused = true)]
async fn timeout_at_the_client_deadline_does_not_open_the_breaker() {
    let slow = Arc::new(Scripted { hangs: true, ..Scripted::default() });
    let routed = routed(vec![target("a", &slow)]);
    for _ in 0..2 * BREAKER.failure_threshold {
        let admission = &routed.targets[0].admission;
        let permit = admission.acquire(&RequestContext::default()).await.unwrap();
        let mut call = admission.start(permit, Some(Instant::now())).unwrap();
        call.record_failure(&ProviderError::Timeout("too late".to_owned()));
    }
    assert_eq!(routed.targets[0].state(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn streams_that_break_in_the_middle_open_the_breaker() {
    let (breaking, complete) =
        (Scripted::failing([]), Arc::new(Scripted { streams_complete: true, ..Scripted::default() }));
    for (provider, opens) in [(&breaking, true), (&complete, false)] {
        let routed = routed(vec![target("a", provider)]);
        for _ in 0..BREAKER.failure_threshold {
            let chunks: Vec<_> = routed.stream(call(), None).await.unwrap().collect().await;
            assert!(chunks[0].is_ok());
        }
        assert_eq!(matches!(routed.targets[0].state(), BreakerState::Open { .. }), opens);
    }
}

#[tokio::test(start_paused = true)]
async fn retry_after_of_a_503_reaches_the_caller_and_opens_the_breaker() {
    let unavailable =
        ProviderError::Unavailable { message: "unavailable".to_owned(), retry_after: Some(Duration::from_secs(30)) };
    let a = Scripted::failing([unavailable.clone()]);
    let routed = routed(vec![target("a", &a)]);
    assert_eq!(complete(&routed, call(), "").await.0, Err(unavailable.clone()));
    let rejected = complete(&routed, call(), "").await.0.unwrap_err();
    assert_eq!((rejected.retry_after(), a.calls().len()), (unavailable.retry_after(), 1), "{rejected:?}");
}

#[tokio::test(start_paused = true)]
async fn calls_queued_for_one_target_do_not_block_another() {
    let hanging = Arc::new(Scripted { hangs: true, ..Scripted::default() });
    let (shared_limit, retry) =
        (Arc::new(ConcurrencyLimit::new(3, 0)), RetrySettings { retries: 2, retry_unsafe: false });
    // One of five calls is in flight and four wait; none of them may hold one of the other two shared permits.
    let single_permit = Target::new("a", "m", hanging.clone(), Arc::new(ConcurrencyLimit::new(1, 9)), BREAKER);
    let idle = Scripted::failing([]);
    let a = Routed::new(vec![single_permit], Arc::new(Weighted), retry, Arc::clone(&shared_limit));
    let b = Routed::new(vec![target("b", &idle)], Arc::new(Weighted), retry, shared_limit);
    let mut calls: Vec<_> = (0..5).map(|_| Box::pin(a.complete(call()))).collect();
    for call in &mut calls {
        assert!(poll!(call).is_pending());
    }
    assert!(b.complete(call()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn target_gets_no_calls_until_its_retry_after_ends() {
    let (a, b) = (Scripted::failing([limited(Some(30))]), Scripted::failing([]));
    let routed = routed(vec![target("a", &a), Target { priority: 1, ..target("b", &b) }]);
    assert_eq!(complete(&routed, call(), "").await.1, "a=rate_limited,b=ok");
    assert_eq!(complete(&routed, call(), "").await.1, "b=ok");
    tokio::time::advance(Duration::from_secs(30)).await;
    assert_eq!(complete(&routed, call(), "").await.1, "a=ok");
}

#[tokio::test(start_paused = true)]
async fn rejection_by_all_breakers_carries_the_rest_of_the_cooldown() {
    let a = Scripted::failing([limited(Some(30))]);
    let routed = routed(vec![target("a", &a)]);
    assert_eq!(complete(&routed, call(), "").await.0, Err(limited(Some(30))));
    let rejected = complete(&routed, call(), "").await.0.unwrap_err();
    let wait = Some(Duration::from_secs(30));
    assert!(matches!(rejected, ProviderError::RateLimited { retry_after, .. } if retry_after == wait), "{rejected:?}");
    assert_eq!(a.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn calls_of_a_session_go_to_one_target_and_sessions_spread() {
    let (a, b) = (Scripted::failing([]), Scripted::failing([]));
    let routed = routed(vec![target("a", &a), target("b", &b)]);
    for session in 0..64 {
        let session = format!("session-{session}");
        let first = complete(&routed, call(), &session).await.1;
        for _ in 0..3 {
            assert_eq!(complete(&routed, call(), &session).await.1, first);
        }
    }
    assert!(a.calls().len() > 60 && b.calls().len() > 60, "{} and {}", a.calls().len(), b.calls().len());
}

#[tokio::test(start_paused = true)]
async fn stream_that_has_started_is_not_retried() {
    let (a, b) = (Scripted::failing([]), Scripted::failing([]));
    let routed = routed(vec![target("a", &a), Target { priority: 1, ..target("b", &b) }]);
    let chunks: Vec<_> = routed.stream(call(), None).await.unwrap().collect().await;
    assert_eq!(chunks, [Ok(pb::StreamChatResponse::default().into()), Err(broken())]);
    assert!(b.calls().is_empty());
}

#[tokio::test(start_paused = true)]
async fn full_queue_rejects_at_once_and_dropped_calls_free_their_places() {
    let hanging = Arc::new(Scripted { hangs: true, ..Scripted::default() });
    let limit = Arc::new(ConcurrencyLimit::new(1, 1));
    let routed = routed(vec![Target::new("a", "m", hanging.clone(), limit, BREAKER)]);
    let mut in_flight = Box::pin(routed.complete(call()));
    let mut queued = Box::pin(routed.complete(call()));
    assert!(poll!(&mut in_flight).is_pending() && poll!(&mut queued).is_pending());
    assert_eq!(hanging.calls().len(), 1);
    let rejected = routed.complete(call()).now_or_never().unwrap();
    assert!(matches!(rejected, Err(ProviderError::Overloaded { .. })), "{rejected:?}");
    drop(queued);
    let mut next = Box::pin(routed.complete(call()));
    assert!(poll!(&mut next).is_pending(), "the queue has room again");
    drop(in_flight);
    assert!(poll!(&mut next).is_pending());
    assert_eq!(hanging.calls().len(), 2, "a call dropped from the queue is not sent");
}

#[tokio::test(start_paused = true)]
async fn deadline_is_the_earlier_of_total_timeout_and_client_deadline() {
    let provider = Scripted::failing([]);
    let with_timeout = Target { total_timeout: Some(Duration::from_secs(9)), ..target("a", &provider) };
    let after = |seconds| Some(Instant::now() + Duration::from_secs(seconds));
    assert_eq!(with_timeout.deadline(None), after(9));
    assert_eq!(with_timeout.deadline(after(5)), after(5));
    assert_eq!(with_timeout.deadline(after(30)), after(9));
    assert_eq!(target("b", &provider).deadline(None), None);
}

#[test]
fn first_token_policy_shares_unmeasured_targets_by_weight() {
    let provider = Scripted::failing([]);
    let (a, b) = (target("a", &provider), Target { weight: 3, ..target("b", &provider) });
    let b_times = (0..4000).filter(|_| policy::FirstToken.choose(&[&a, &b]) == 1).count();
    assert!((2800..3200).contains(&b_times), "{b_times} of 4000");
}

#[test]
fn least_in_flight_policy_prefers_the_higher_weight_among_idle_targets() {
    let provider = Scripted::failing([]);
    let (a, b) = (target("a", &provider), Target { weight: 3, ..target("b", &provider) });
    assert!((0..100).all(|_| policy::LeastInFlight.choose(&[&a, &b]) == 1));
}

#[test]
fn weighted_policy_shares_calls_by_weight() {
    let provider = Scripted::failing([]);
    let (a, b) = (target("a", &provider), Target { weight: 3, ..target("b", &provider) });
    let b_times = (0..4000).filter(|_| Weighted.choose(&[&a, &b]) == 1).count();
    assert!((2800..3200).contains(&b_times), "{b_times} of 4000");
}
