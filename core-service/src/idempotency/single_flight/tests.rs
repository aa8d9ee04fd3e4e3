//! Runs on paused time, except for the expiry of responses, which the cache measures in real time. The work of a flight is a
//! channel that the test feeds.

use futures_util::{FutureExt, TryStreamExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::*;
use crate::{context::RequestContext, keys::Caller};

const TTL: Duration = Duration::from_mins(10);

type Feed = mpsc::UnboundedSender<Result<u32, Error>>;
type Items = BoxStream<'static, Result<u32, Error>>;

fn single_flight() -> SingleFlight<u32> {
    SingleFlight::new(TTL, |_| 1)
}

/// Returns the identity of a call; `None` if it is not repeatable. `retries` is the retry count of an OpenAI SDK, `None` for other
/// clients; an empty `key` is none.
fn call(caller: &str, retries: Option<u32>, key: &str, body: &str) -> Option<Idempotency> {
    let context = RequestContext {
        caller: Caller::named(caller),
        idempotency_key: key.to_owned(),
        sdk_retries: retries,
        ..RequestContext::default()
    };
    Idempotency::from_request(&context, "Test", &body.to_owned())
        .now_or_never()
        .expect("short requests are hashed inline")
}

/// Joins or starts a flight. Returns the feed of its work if it was started.
fn join(
    flights: &SingleFlight<u32>,
    caller: &str,
    retries: Option<u32>,
    key: &str,
    body: &str,
) -> Result<(Items, Option<Feed>), Error> {
    let mut feed = None;
    let items = flights.join_or_start(call(caller, retries, key, body).expect("the call is not repeatable"), || {
        let (sender, receiver) = mpsc::unbounded_channel();
        feed = Some(sender);
        UnboundedReceiverStream::new(receiver).boxed()
    })?;
    Ok((items, feed))
}

#[tokio::test(start_paused = true)]
async fn repeated_key_joins_the_running_flight_and_gets_the_cached_response_later() {
    let flights = single_flight();
    let (first, feed) = join(&flights, "a", None, "k", "body").unwrap();
    let feed = feed.unwrap();
    let (second, none) = join(&flights, "a", None, "k", "body").unwrap();
    assert!(none.is_none());
    feed.send(Ok(1)).unwrap();
    feed.send(Ok(2)).unwrap();
    drop(feed);
    let both: (Vec<_>, Vec<_>) = tokio::try_join!(first.try_collect(), second.try_collect()).unwrap();
    assert_eq!(both, (vec![1, 2], vec![1, 2]));
    let (third, none) = join(&flights, "a", None, "k", "body").unwrap();
    assert!(none.is_none());
    assert_eq!(third.try_collect::<Vec<_>>().await.unwrap(), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn reused_key_with_different_body_conflicts_and_keys_of_other_callers_do_not() {
    let flights = single_flight();
    let (_items, feed) = join(&flights, "a", None, "k", "body").unwrap();
    assert!(feed.is_some());
    assert_eq!(join(&flights, "a", None, "k", "other").err(), Some(Error::IdempotencyConflict("k".to_owned())));
    assert!(join(&flights, "b", None, "k", "other").unwrap().1.is_some());
    assert!(join(&flights, "a", None, "k2", "other").unwrap().1.is_some());
}

#[tokio::test(start_paused = true)]
async fn sdk_retry_joins_its_first_attempt_and_two_first_attempts_stay_separate() {
    let flights = single_flight();
    assert_eq!(call("a", None, "", "body"), None);
    let (_one, feed) = join(&flights, "a", Some(0), "", "body").unwrap();
    assert!(feed.is_some());
    let (_two, feed) = join(&flights, "a", Some(0), "", "body").unwrap();
    let feed = feed.expect("two first attempts are two requests");
    let (again, none) = join(&flights, "a", Some(1), "", "body").unwrap();
    assert!(none.is_none());
    feed.send(Ok(7)).unwrap();
    drop(feed);
    assert_eq!(again.try_collect::<Vec<_>>().await.unwrap(), [7]);
    assert!(join(&flights, "a", Some(2), "", "other").unwrap().1.is_some());
    assert!(join(&flights, "b", Some(1), "", "body").unwrap().1.is_some());
}

#[tokio::test(start_paused = true)]
async fn failure_reaches_every_waiter_and_is_not_cached() {
    let flights = single_flight();
    let failure = || Error::Provider(ProviderError::unavailable("gone".to_owned()));
    let (first, feed) = join(&flights, "", None, "k", "body").unwrap();
    let (second, _) = join(&flights, "", None, "k", "body").unwrap();
    feed.unwrap().send(Err(failure())).unwrap();
    for items in [first, second] {
        assert_eq!(items.try_collect::<Vec<_>>().await, Err(failure()));
    }
    assert!(join(&flights, "", None, "k", "body").unwrap().1.is_some());
}

#[tokio::test(start_paused = true)]
async fn panic_fails_every_waiter_and_is_not_cached() {
    let flights = single_flight();
    let call = || call("", None, "k", "body").unwrap();
    let panics = || stream::once(async { panic!("simulated defect") }).boxed();
    let first = flights.join_or_start(call(), panics).unwrap();
    let second = flights.join_or_start(call(), || panic!("started twice")).unwrap();
    for items in [first, second] {
        let failed = tokio::time::timeout(TTL, items.try_collect::<Vec<_>>()).await.expect("the flight never ends");
        assert!(matches!(failed, Err(Error::Internal(_))), "{failed:?}");
    }
    let again = flights.join_or_start(call(), || stream::iter([Ok(7)]).boxed()).unwrap();
    assert_eq!(again.try_collect::<Vec<_>>().await, Ok(vec![7]));
}

#[tokio::test(start_paused = true)]
async fn work_with_key_outlives_its_callers_and_without_key_ends_after_the_grace_period() {
    let flights = single_flight();
    let (items, keyed) = join(&flights, "", None, "k", "body").unwrap();
    drop(items);
    let (items, keyless) = join(&flights, "", Some(0), "", "body").unwrap();
    drop(items);
    let (keyed, keyless) = (keyed.unwrap(), keyless.unwrap());
    tokio::time::sleep(SDK_GRACE / 2).await;
    // A client that returns within the grace period joins the flight and keeps it running.
    let (items, none) = join(&flights, "", Some(1), "", "body").unwrap();
    assert!(none.is_none());
    tokio::time::sleep(SDK_GRACE * 2).await;
    assert!(!keyless.is_closed());
    drop(items);
    tokio::time::sleep(SDK_GRACE * 2).await;
    assert!(keyless.is_closed() && !keyed.is_closed());
}

#[tokio::test(start_paused = true)]
async fn closing_ends_running_flights() {
    let flights = single_flight();
    let (items, feed) = join(&flights, "", None, "k", "body").unwrap();
    flights.close().await;
    assert!(feed.unwrap().is_closed());
    assert_eq!(items.try_collect::<Vec<_>>().now_or_never(), Some(Err(Error::ShuttingDown)));
}

/// Completes a flight with one item.
async fn complete(flights: &SingleFlight<u32>, key: &str) {
    let (items, feed) = join(flights, "", None, key, "body").unwrap();
    feed.expect("the response is cached").send(Ok(1)).unwrap();
    items.try_collect::<Vec<_>>().await.unwrap();
    // The flight lands in its task, after the last item.
    while flights.cached(&call("", None, key, "body").unwrap()).is_none() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn responses_expire_after_their_ttl() {
    let flights = SingleFlight::<u32>::new(Duration::from_millis(50), |_| 1);
    complete(&flights, "k").await;
    let cached = |flights: &SingleFlight<u32>| flights.cached(&call("", None, "k", "body").unwrap()).is_some();
    while cached(&flights) {
        tokio::task::yield_now().await;
    }
    assert!(join(&flights, "", None, "k", "body").unwrap().1.is_some());
}

#[test]
fn ttl_of_a_response_without_key_is_the_retry_window_of_sdks() {
    for (key, retries, expected) in [("k", None, TTL), ("", Some(1), SDK_WINDOW)] {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let _runtime = runtime.enter();
        let flights = single_flight();
        let _items = join(&flights, "", retries, key, "body").unwrap();
        let scope = call("", retries, key, "body").unwrap().scope;
        let flight = Arc::clone(&flights.shared.flights()[&scope]);
        let response = Arc::new(flight.response(|_| 1).unwrap());
        let now = std::time::Instant::now();
        assert_eq!(ResponseTtl.expire_after_create(&scope, &response, now), Some(expected));
    }
}

#[tokio::test]
async fn forgotten_response_is_not_returned_again() {
    let flights = single_flight();
    complete(&flights, "k").await;
    let cached = flights.cached(&call("", None, "k", "body").unwrap()).unwrap();
    assert_eq!(cached.items(), [1]);
    flights.forget(&cached);
    let (_items, feed) = join(&flights, "", None, "k", "body").unwrap();
    assert!(feed.is_some());
}

#[tokio::test]
async fn responses_beyond_the_byte_limit_are_evicted_and_running_flights_are_not() {
    let flights = SingleFlight::<u32>::new(TTL, |_| MAX_BYTES / 2);
    let (running, feed) = join(&flights, "", None, "running", "body").unwrap();
    for key in ["one", "two", "three"] {
        complete(&flights, key).await;
    }
    flights.shared.responses.run_pending_tasks();
    let is_cached = |key: &str| flights.cached(&call("", None, key, "body").unwrap()).is_some();
    assert_eq!(["one", "two", "three"].map(is_cached), [false, true, true]);
    let (joined, none) = join(&flights, "", None, "running", "body").unwrap();
    assert!(none.is_none());
    feed.unwrap().send(Ok(7)).unwrap();
    let both: (Vec<_>, Vec<_>) = tokio::try_join!(running.try_collect(), joined.try_collect()).unwrap();
    assert_eq!(both, (vec![7], vec![7]));
}

#[tokio::test]
async fn responses_beyond_the_number_limit_are_evicted() {
    let flights = single_flight();
    for number in 0..=MAX_RESPONSES {
        complete(&flights, &number.to_string()).await;
    }
    flights.shared.responses.run_pending_tasks();
    assert_eq!(flights.shared.responses.entry_count(), MAX_RESPONSES as u64);
}

#[test]
fn zero_ttl_disables_sharing() {
    assert!(!SingleFlight::<u32>::new(Duration::ZERO, |_| 1).is_enabled());
}
