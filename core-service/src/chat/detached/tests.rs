//! Calls whose clients disconnect at once, with a paused clock.

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

/// Work of one minute that sets `completed` at its end. With `in_progress`, an upstream has the request from the start.
fn work(
    routing: &RoutingContext,
    in_progress: bool,
    completed: &Arc<AtomicBool>,
) -> impl Future<Output = Result<(), ProviderError>> + use<> {
    let (routing, completed) = (routing.clone(), completed.clone());
    async move {
        routing.set_in_progress(in_progress);
        sleep(MINUTE).await;
        completed.store(true, Ordering::Relaxed);
        Ok(())
    }
}

/// Starts a call with [`work`] of one minute and disconnects its client at once. Returns whether the work completed, and after how
/// long `finish` with this timeout returned.
async fn disconnect(on_disconnect: OnDisconnect, in_progress: bool, timeout: Duration) -> (bool, Duration) {
    let (detached, routing) =
        (DetachedCalls::on(Handle::current()), RoutingContext::from_metadata(&MetadataMap::new()));
    let completed = Arc::<AtomicBool>::default();
    let work = work(&routing, in_progress, &completed);
    let mut call = Box::pin(detached.complete(on_disconnect, &routing, work));
    assert!(poll!(&mut call).is_pending());
    tokio::task::yield_now().await;
    drop(call);
    let started = Instant::now();
    detached.finish(started + timeout).await;
    (completed.load(Ordering::Relaxed), started.elapsed())
}

#[tokio::test(start_paused = true)]
async fn call_completes_or_is_cancelled_as_on_disconnect_says() {
    let ten_seconds = Duration::from_secs(10);
    assert_eq!(disconnect(OnDisconnect::Continue, true, MINUTE * 5).await, (true, MINUTE));
    assert_eq!(disconnect(OnDisconnect::Grace(MINUTE * 2), true, MINUTE * 5).await, (true, MINUTE));
    let (completed, elapsed) = disconnect(OnDisconnect::Grace(ten_seconds), true, MINUTE * 5).await;
    // Timers of tokio have a resolution of one millisecond.
    let in_time = (ten_seconds..ten_seconds + Duration::from_millis(5)).contains(&elapsed);
    assert!(!completed && in_time, "{elapsed:?}");
    assert_eq!(disconnect(OnDisconnect::Cancel, true, MINUTE * 5).await, (false, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn call_without_a_request_at_an_upstream_ends_with_its_client() {
    assert_eq!(disconnect(OnDisconnect::Continue, false, MINUTE * 5).await, (false, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn grace_period_also_ends_work_that_is_always_ready() {
    let (detached, routing) =
        (DetachedCalls::on(Handle::current()), RoutingContext::from_metadata(&MetadataMap::new()));
    routing.set_in_progress(true);
    // Takes steps until its cooperative budget is used up, and wakes itself.
    let flood = poll_fn(|cx| {
        while let Poll::Ready(step) = poll_proceed(cx) {
            step.made_progress();
        }
        cx.waker().wake_by_ref();
        Poll::<Result<(), ProviderError>>::Pending
    });
    drop(poll!(pin!(detached.complete(OnDisconnect::Grace(MINUTE), &routing, flood))));
    for _ in 0..10 {
        assert!(!detached.tasks.is_empty());
        tokio::task::yield_now().await;
    }
    advance(MINUTE * 2).await;
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert!(detached.tasks.is_empty());
}

#[tokio::test(start_paused = true)]
async fn finish_cancels_calls_at_its_deadline() {
    assert_eq!(disconnect(OnDisconnect::Continue, true, MINUTE / 2).await, (false, MINUTE / 2));
}

#[tokio::test(start_paused = true)]
async fn stream_reaches_a_connected_client_and_is_read_to_its_end_after_a_disconnect() {
    let (detached, routing) =
        (DetachedCalls::on(Handle::current()), RoutingContext::from_metadata(&MetadataMap::new()));
    routing.set_in_progress(true);
    let chunks = || async { Ok(stream::iter((0..100).map(Ok)).boxed()) };
    let all: Vec<_> = detached.stream(OnDisconnect::Continue, &routing, chunks()).await.unwrap().collect().await;
    assert_eq!(all, (0..100).map(Ok).collect::<Vec<_>>());

    let read = Arc::<AtomicBool>::default();
    let last_read = read.clone();
    let long = async move {
        let rest = stream::once(async move {
            last_read.store(true, Ordering::Relaxed);
            Ok(100)
        });
        Ok(stream::iter((0..100).map(Ok)).chain(rest).boxed())
    };
    let mut chunks = detached.stream(OnDisconnect::Continue, &routing, long).await.unwrap();
    assert_eq!(chunks.next().await, Some(Ok(0)));
    advance(MINUTE).await;
    assert!(!read.load(Ordering::Relaxed), "a slow reader slows the upstream down");
    drop(chunks);
    detached.finish(Instant::now() + MINUTE).await;
    assert!(read.load(Ordering::Relaxed));
}

#[tokio::test]
async fn panic_of_the_task_is_a_failure_of_the_call() {
    let (detached, routing) =
        (DetachedCalls::on(Handle::current()), RoutingContext::from_metadata(&MetadataMap::new()));
    // The second item divides by zero.
    let panicking = async { Ok(stream::iter([1, 2]).map(|number| Ok(1 / (2 - number))).boxed()) };
    let chunks: Vec<_> = detached.stream(OnDisconnect::Continue, &routing, panicking).await.unwrap().collect().await;
    assert_eq!(chunks, [Ok(1), Err(task_ended())]);
    // Always panics; `else` only gives the block its type.
    let panicking = async { if BUFFERED_CHUNKS > 0 { panic!("expected by the test") } else { Ok(()) } };
    assert_eq!(detached.complete(OnDisconnect::Continue, &routing, panicking).await, Err(task_ended()));
}
