use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use futures_util::{FutureExt, poll, stream};

use super::{policy::Weighted, *};
use crate::context::RequestContext;

/// Answers as the test says, in order; after that, well.
#[derive(Debug, Default)]
struct Scripted {
    replies: Mutex<VecDeque<ProviderError>>,
    asked: Mutex<Vec<String>>,
    silent: bool,
    /// Streams do not break after their first piece.
    well: bool,
}

impl Scripted {
    fn failing(errors: impl IntoIterator<Item = ProviderError>) -> Arc<Self> {
        Arc::new(Self { replies: Mutex::new(errors.into_iter().collect()), ..Self::default() })
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn answer(&self, model: String) -> Result<(), ProviderError> {
        self.asked.lock().unwrap().push(model);
        if self.silent {
            std::future::pending::<()>().await;
        }
        let failure = self.replies.lock().unwrap().pop_front();
        failure.map_or(Ok(()), Err)
    }
}

#[async_trait]
impl ChatProvider for Scripted {
    async fn complete(&self, call: ChatCall) -> Result<pb::CreateChatResponse, ProviderError> {
        self.answer(call.model).await.map(|()| pb::CreateChatResponse::default())
    }

    async fn stream(
        &self,
        call: ChatCall,
        _options: Option<pb::StreamOptions>,
    ) -> Result<Chunks<ChatChunk>, ProviderError> {
        self.answer(call.model).await?;
        let end = (!self.well).then(|| Err(broken()));
        Ok(stream::iter([Ok(pb::StreamChatResponse::default().into())].into_iter().chain(end)).boxed())
    }
}

fn away() -> ProviderError {
    ProviderError::unavailable("away".to_owned())
}

fn broken() -> ProviderError {
    ProviderError::Broken("broken".to_owned())
}

fn limited(seconds: Option<u64>) -> ProviderError {
    ProviderError::RateLimited { message: "slower".to_owned(), retry_after: seconds.map(Duration::from_secs) }
}

const BREAKER: BreakerSettings = BreakerSettings { failures: 3, cooldown: Duration::from_secs(10) };

fn target(name: &str, provider: &Arc<Scripted>) -> Target {
    Target::new(name, format!("model-of-{name}"), provider.clone(), Arc::new(Gate::new(0, 0)), BREAKER)
}

fn routed(targets: Vec<Target>) -> Routed {
    let retry = RetrySettings { retries: 2, retry_unsafe: false };
    Routed::new(targets, Arc::new(Weighted), retry, Arc::new(Gate::new(0, 0)))
}

fn call() -> ChatCall {
    Call {
        model: "public".to_owned(),
        request: Arc::default(),
        context: RequestContext { request_id: "req_1".to_owned(), ..RequestContext::default() },
    }
}

/// The outcome of a whole answer, and what was tried for it.
async fn complete(routed: &Routed, call: ChatCall, session: &str) -> (Result<(), ProviderError>, String) {
    let mut metadata = tonic::metadata::MetadataMap::new();
    if !session.is_empty() {
        metadata.insert(SESSION, session.parse().unwrap());
    }
    let route = RoutingContext::of(&metadata);
    let outcome = route.scope(routed.complete(call)).await.map(|_| ());
    let mut told = tonic::metadata::MetadataMap::new();
    route.tell(&mut told);
    (outcome, told.get(ATTEMPTS).map_or_else(String::new, |value| value.to_str().unwrap().to_owned()))
}

#[tokio::test(start_paused = true)]
async fn a_refused_call_goes_to_the_next_priority_and_says_so() {
    let (a, b) = (Scripted::failing([away()]), Scripted::failing([]));
    let routed = routed(vec![target("a", &a), Target { priority: 1, ..target("b", &b) }]);
    let begun = Instant::now();
    assert_eq!(complete(&routed, call(), "").await, (Ok(()), "a=unavailable,b=ok".to_owned()));
    assert_eq!(begun.elapsed(), Duration::ZERO, "another target is asked at once");
    assert_eq!((a.asked(), b.asked()), (vec!["model-of-a".to_owned()], vec!["model-of-b".to_owned()]));
    assert_eq!(complete(&routed, call(), "").await, (Ok(()), "a=ok".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_may_have_been_taken_is_final() {
    let (a, b) = (Scripted::failing([broken()]), Scripted::failing([]));
    let routed = routed(vec![target("a", &a), Target { priority: 1, ..target("b", &b) }]);
    assert_eq!(complete(&routed, call(), "").await, (Err(broken()), "a=broken".to_owned()));
    assert!(b.asked().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_lone_target_is_asked_again_after_the_pause_it_asked_for() {
    let a = Scripted::failing([limited(Some(3)), away()]);
    let routed = routed(vec![target("a", &a)]);
    let begun = Instant::now();
    assert_eq!(complete(&routed, call(), "").await.1, "a=rate_limited,a=unavailable,a=ok");
    assert!(begun.elapsed() >= Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn tries_end_with_their_number_and_with_the_deadline() {
    let a = Scripted::failing((0..9).map(|_| limited(None)));
    let lone = routed(vec![target("a", &a)]);
    assert_eq!(complete(&lone, call(), "").await.0, Err(limited(None)));
    assert_eq!(a.asked().len(), 3);

    let b = Scripted::failing([limited(Some(3))]);
    let lone = routed(vec![target("b", &b)]);
    let begun = Instant::now();
    let mut hurried = call();
    hurried.context.deadline = Some(Instant::now() + Duration::from_secs(2));
    assert_eq!(complete(&lone, hurried, "").await.0, Err(limited(Some(3))));
    assert_eq!(begun.elapsed(), Duration::ZERO, "waiting in vain helps nobody");
}

#[tokio::test(start_paused = true)]
async fn every_target_is_asked_once_before_the_tries_are_counted() {
    let away_often = || Scripted::failing((0..9).map(|_| away()));
    let replicas = [away_often(), away_often(), away_often()];
    let cloud = Scripted::failing([]);
    let names = ["a", "b", "c"];
    let mut targets: Vec<_> = names.iter().zip(&replicas).map(|(name, replica)| target(name, replica)).collect();
    targets.push(Target { priority: 1, ..target("cloud", &cloud) });
    for retries in [2, 0] {
        let all = std::mem::take(&mut targets);
        let retry = RetrySettings { retries, retry_unsafe: false };
        let routed = Routed::new(all, Arc::new(Weighted), retry, Arc::new(Gate::new(0, 0)));
        let (outcome, tried) = complete(&routed, call(), "").await;
        assert!(outcome.is_ok() && tried.ends_with("cloud=ok") && tried.matches(',').count() == 3, "{tried}");
        targets = routed.targets.into_iter().filter_map(Arc::into_inner).collect();
        targets.sort_unstable_by_key(|target| target.name.clone());
    }
}

#[tokio::test(start_paused = true)]
async fn what_may_be_paid_twice_is_counted_wherever_it_goes() {
    let broken_often = || Scripted::failing((0..9).map(|_| broken()));
    let all = ["a", "b", "c", "d"].map(|name| target(name, &broken_often()));
    let retry = RetrySettings { retries: 2, retry_unsafe: true };
    let routed = Routed::new(all.into(), Arc::new(Weighted), retry, Arc::new(Gate::new(0, 0)));
    let (outcome, tried) = complete(&routed, call(), "").await;
    assert_eq!((outcome, tried.matches("=broken").count()), (Err(broken()), 3), "{tried}");
}

#[tokio::test(start_paused = true)]
async fn one_target_that_rejects_us_hides_no_other_that_heals() {
    let locked = || ProviderError::Credentials("no".to_owned());
    for locked_first in [true, false] {
        let (a, b) = (Scripted::failing([away()]), Scripted::failing([locked(), locked()]));
        let (first, second) = if locked_first { (1, 0) } else { (0, 1) };
        let routed =
            routed(vec![Target { priority: first, ..target("a", &a) }, Target { priority: second, ..target("b", &b) }]);
        let (outcome, tried) = complete(&routed, call(), "").await;
        assert_eq!((outcome, b.asked().len()), (Ok(()), 1), "{tried}");
    }
    let (a, b) = (Scripted::failing((0..9).map(|_| away())), Scripted::failing([locked()]));
    let routed = routed(vec![target("a", &a), Target { priority: 1, ..target("b", &b) }]);
    assert_eq!(complete(&routed, call(), "").await.0, Err(away()), "which is worth coming back for");
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_would_not_wait_says_nothing_about_a_target() {
    let slow = Arc::new(Scripted { silent: true, ..Scripted::default() });
    let routed = routed(vec![target("a", &slow)]);
    for _ in 0..2 * BREAKER.failures {
        let place = routed.targets[0].gate.enter().await.unwrap();
        let mut pass = routed.targets[0].begin(place, Some(Instant::now())).unwrap();
        pass.failed(&ProviderError::Timeout("too late".to_owned()));
    }
    assert_eq!(routed.targets[0].state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn streams_that_break_in_the_middle_are_failures_in_a_row() {
    let (breaking, well) = (Scripted::failing([]), Arc::new(Scripted { well: true, ..Scripted::default() }));
    for (provider, rests) in [(&breaking, true), (&well, false)] {
        let routed = routed(vec![target("a", provider)]);
        for _ in 0..BREAKER.failures {
            let pieces: Vec<_> = routed.stream(call(), None).await.unwrap().collect().await;
            assert!(pieces[0].is_ok());
        }
        assert_eq!(matches!(routed.targets[0].state(), State::Open { .. }), rests);
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_away_tells_the_caller_until_when() {
    let gone = ProviderError::Unavailable { message: "away".to_owned(), retry_after: Some(Duration::from_secs(30)) };
    let a = Scripted::failing([gone.clone()]);
    let routed = routed(vec![target("a", &a)]);
    assert_eq!(complete(&routed, call(), "").await.0, Err(gone.clone()));
    let refused = complete(&routed, call(), "").await.0.unwrap_err();
    assert_eq!((refused.retry_after(), a.asked().len()), (gone.retry_after(), 1), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_one_target_keeps_nobody_from_another() {
    let silent = Arc::new(Scripted { silent: true, ..Scripted::default() });
    let (total, retry) = (Arc::new(Gate::new(3, 0)), RetrySettings { retries: 2, retry_unsafe: false });
    let bounded = Target::new("a", "m", silent.clone(), Arc::new(Gate::new(1, 9)), BREAKER);
    let idle = Scripted::failing([]);
    let a = Routed::new(vec![bounded], Arc::new(Weighted), retry, Arc::clone(&total));
    let b = Routed::new(vec![target("b", &idle)], Arc::new(Weighted), retry, total);
    let mut calls: Vec<_> = (0..5).map(|_| Box::pin(a.complete(call()))).collect();
    for call in &mut calls {
        assert!(poll!(call).is_pending());
    }
    assert!(b.complete(call()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_target_that_asked_for_a_rest_is_left_alone_until_it_is_over() {
    let (a, b) = (Scripted::failing([limited(Some(30))]), Scripted::failing([]));
    let routed = routed(vec![target("a", &a), Target { priority: 1, ..target("b", &b) }]);
    assert_eq!(complete(&routed, call(), "").await.1, "a=rate_limited,b=ok");
    assert_eq!(complete(&routed, call(), "").await.1, "b=ok");
    tokio::time::advance(Duration::from_secs(30)).await;
    assert_eq!(complete(&routed, call(), "").await.1, "a=ok");
}

#[tokio::test(start_paused = true)]
async fn where_all_rest_the_caller_hears_until_when() {
    let a = Scripted::failing([limited(Some(30))]);
    let routed = routed(vec![target("a", &a)]);
    assert_eq!(complete(&routed, call(), "").await.0, Err(limited(Some(30))));
    let refused = complete(&routed, call(), "").await.0.unwrap_err();
    let wait = Some(Duration::from_secs(30));
    assert!(matches!(refused, ProviderError::RateLimited { retry_after, .. } if retry_after == wait), "{refused:?}");
    assert_eq!(a.asked().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_session_stays_where_it_is_and_sessions_spread() {
    let (a, b) = (Scripted::failing([]), Scripted::failing([]));
    let routed = routed(vec![target("a", &a), target("b", &b)]);
    for session in 0..64 {
        let session = format!("session-{session}");
        let first = complete(&routed, call(), &session).await.1;
        for _ in 0..3 {
            assert_eq!(complete(&routed, call(), &session).await.1, first);
        }
    }
    assert!(a.asked().len() > 60 && b.asked().len() > 60, "{} and {}", a.asked().len(), b.asked().len());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_has_begun_is_never_begun_anew() {
    let (a, b) = (Scripted::failing([]), Scripted::failing([]));
    let routed = routed(vec![target("a", &a), Target { priority: 1, ..target("b", &b) }]);
    let pieces: Vec<_> = routed.stream(call(), None).await.unwrap().collect().await;
    assert_eq!(pieces, [Ok(pb::StreamChatResponse::default().into()), Err(broken())]);
    assert!(b.asked().is_empty());
}

#[tokio::test(start_paused = true)]
async fn beyond_the_bound_callers_are_refused_at_once_and_leaving_frees_the_place() {
    let silent = Arc::new(Scripted { silent: true, ..Scripted::default() });
    let gate = Arc::new(Gate::new(1, 1));
    let routed = routed(vec![Target::new("a", "m", silent.clone(), gate, BREAKER)]);
    let mut answered = Box::pin(routed.complete(call()));
    let mut queued = Box::pin(routed.complete(call()));
    assert!(poll!(&mut answered).is_pending() && poll!(&mut queued).is_pending());
    assert_eq!(silent.asked().len(), 1);
    let refused = routed.complete(call()).now_or_never().unwrap();
    assert_eq!(refused, Err(ProviderError::Overloaded { retry_after: COME_BACK }));
    drop(queued);
    let mut next = Box::pin(routed.complete(call()));
    assert!(poll!(&mut next).is_pending(), "the queue has room again");
    drop(answered);
    assert!(poll!(&mut next).is_pending());
    assert_eq!(silent.asked().len(), 2, "only those who stayed were sent");
}

#[tokio::test(start_paused = true)]
async fn the_bound_of_a_target_and_the_callers_deadline_hold_both() {
    let provider = Scripted::failing([]);
    let bounded = Target { total: Some(Duration::from_secs(9)), ..target("a", &provider) };
    let after = |seconds| Some(Instant::now() + Duration::from_secs(seconds));
    assert_eq!(bounded.deadline(None), after(9));
    assert_eq!(bounded.deadline(after(5)), after(5));
    assert_eq!(bounded.deadline(after(30)), after(9));
    assert_eq!(target("b", &provider).deadline(None), None);
}

#[test]
fn targets_of_which_nothing_is_known_share_by_weight() {
    let provider = Scripted::failing([]);
    let (a, b) = (target("a", &provider), Target { weight: 3, ..target("b", &provider) });
    for policy in [&policy::FirstToken as &dyn Policy, &policy::LeastInFlight] {
        let b_times = (0..4000).filter(|_| policy.choose(&[&a, &b]) == 1).count();
        assert!(b_times > 1000, "{b_times} of 4000, {policy:?}");
    }
}

#[test]
fn weights_are_shares() {
    let provider = Scripted::failing([]);
    let (a, b) = (target("a", &provider), Target { weight: 3, ..target("b", &provider) });
    let b_times = (0..4000).filter(|_| Weighted.choose(&[&a, &b]) == 1).count();
    assert!((2800..3200).contains(&b_times), "{b_times} of 4000");
}
