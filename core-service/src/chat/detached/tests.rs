//! Callers who leave at once, and clocks that the tests set.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};

use futures_util::poll;
use tokio::{task::coop::poll_proceed, time::advance};
use tonic::metadata::MetadataMap;

use super::*;

const MINUTE: Duration = Duration::from_mins(1);

/// Notes whether it was read to its end. An upstream is at work from the beginning, if `begun`.
fn work(
    route: &RoutingContext,
    begun: bool,
    read: &Arc<AtomicBool>,
) -> impl Future<Output = Result<(), ProviderError>> + use<> {
    let (route, read) = (route.clone(), read.clone());
    async move {
        route.at_work(begun);
        sleep(MINUTE).await;
        read.store(true, Ordering::Relaxed);
        Ok(())
    }
}

/// Whether the answer was read to its end, and after how long the last task was over, when the caller left at once.
async fn left(rule: OnDisconnect, begun: bool, within: Duration) -> (bool, Duration) {
    let (detached, route) = (DetachedCalls::on(Handle::current()), RoutingContext::of(&MetadataMap::new()));
    let read = Arc::<AtomicBool>::default();
    let mut call = Box::pin(detached.complete(rule, &route, work(&route, begun, &read)));
    assert!(poll!(&mut call).is_pending());
    tokio::task::yield_now().await;
    drop(call);
    let begun = Instant::now();
    detached.finish(begun + within).await;
    (read.load(Ordering::Relaxed), begun.elapsed())
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_read_to_its_end_for_some_time_or_not_at_all() {
    let ten = Duration::from_secs(10);
    assert_eq!(left(OnDisconnect::Continue, true, MINUTE * 5).await, (true, MINUTE));
    assert_eq!(left(OnDisconnect::Grace(MINUTE * 2), true, MINUTE * 5).await, (true, MINUTE));
    let (read, over) = left(OnDisconnect::Grace(ten), true, MINUTE * 5).await;
    assert!(!read && over >= ten && over < ten + Duration::from_millis(5), "{over:?}");
    assert_eq!(left(OnDisconnect::Cancel, true, MINUTE * 5).await, (false, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_no_upstream_has_ends_with_its_caller_whatever_the_rule() {
    assert_eq!(left(OnDisconnect::Continue, false, MINUTE * 5).await, (false, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_never_pauses_is_read_on_for_no_longer_than_any_other() {
    let (detached, route) = (DetachedCalls::on(Handle::current()), RoutingContext::of(&MetadataMap::new()));
    route.at_work(true);
    let flood = poll_fn(|cx| {
        while let Poll::Ready(step) = poll_proceed(cx) {
            step.made_progress();
        }
        cx.waker().wake_by_ref();
        Poll::<Result<(), ProviderError>>::Pending
    });
    drop(poll!(pin!(detached.complete(OnDisconnect::Grace(MINUTE), &route, flood))));
    for _ in 0..10 {
        assert!(!detached.calls.is_empty());
        tokio::task::yield_now().await;
    }
    advance(MINUTE * 2).await;
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert!(detached.calls.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_end_waits_for_answers_but_not_for_ever() {
    assert_eq!(left(OnDisconnect::Continue, true, MINUTE / 2).await, (false, MINUTE / 2));
}

#[tokio::test(start_paused = true)]
async fn a_stream_reaches_a_caller_who_stays_and_is_read_on_for_one_who_leaves() {
    let (detached, route) = (DetachedCalls::on(Handle::current()), RoutingContext::of(&MetadataMap::new()));
    route.at_work(true);
    let pieces = || async { Ok(stream::iter((0..100).map(Ok)).boxed()) };
    let all: Vec<_> = detached.stream(OnDisconnect::Continue, &route, pieces()).await.unwrap().collect().await;
    assert_eq!(all, (0..100).map(Ok).collect::<Vec<_>>());

    let read = Arc::<AtomicBool>::default();
    let noted = read.clone();
    let endless = async move {
        let rest = stream::once(async move {
            noted.store(true, Ordering::Relaxed);
            Ok(100)
        });
        Ok(stream::iter((0..100).map(Ok)).chain(rest).boxed())
    };
    let mut pieces = detached.stream(OnDisconnect::Continue, &route, endless).await.unwrap();
    assert_eq!(pieces.next().await, Some(Ok(0)));
    advance(MINUTE).await;
    assert!(!read.load(Ordering::Relaxed), "a slow reader holds the upstream back");
    drop(pieces);
    detached.finish(Instant::now() + MINUTE).await;
    assert!(read.load(Ordering::Relaxed));
}

#[tokio::test]
async fn a_task_that_breaks_is_no_answer_that_is_complete() {
    let (detached, route) = (DetachedCalls::on(Handle::current()), RoutingContext::of(&MetadataMap::new()));
    let breaking = async { Ok(stream::iter([1, 2]).map(|number| Ok(1 / (2 - number))).boxed()) };
    let pieces: Vec<_> = detached.stream(OnDisconnect::Continue, &route, breaking).await.unwrap().collect().await;
    assert_eq!(pieces, [Ok(1), Err(lost())]);
    let whole = async { if AHEAD > 0 { panic!("as it happens") } else { Ok(()) } };
    assert_eq!(detached.complete(OnDisconnect::Continue, &route, whole).await, Err(lost()));
}
