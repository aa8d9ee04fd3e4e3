//! Joining on paused time: the work is a channel that the test feeds.

use futures_util::{FutureExt, TryStreamExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::*;
use crate::{context::RequestContext, keys::Caller};

const TTL: Duration = Duration::from_mins(10);

type Feed = mpsc::UnboundedSender<Result<u32, Error>>;
type Items = BoxStream<'static, Result<u32, Error>>;

fn joined() -> Joined<u32> {
    Joined::new(TTL, |_| 1)
}

fn call(caller: &str, tries: Option<u32>, key: &str, body: &str) -> Option<Idempotency> {
    let context = RequestContext {
        caller: Caller::named(caller),
        idempotency_key: key.to_owned(),
        sdk_retries: tries,
        ..RequestContext::default()
    };
    Idempotency::of(&context, "Test", &body.to_owned()).now_or_never().expect("a short request is hashed inline")
}

/// Enters with this key; the feed is there if the work was begun.
fn enter(
    joined: &Joined<u32>,
    caller: &str,
    tries: Option<u32>,
    key: &str,
    body: &str,
) -> Result<(Items, Option<Feed>), Error> {
    let mut feed = None;
    let items = joined.enter(call(caller, tries, key, body).expect("it cannot be joined"), || {
        let (sender, receiver) = mpsc::unbounded_channel();
        feed = Some(sender);
        UnboundedReceiverStream::new(receiver).boxed()
    })?;
    Ok((items, feed))
}

#[tokio::test(start_paused = true)]
async fn a_second_request_under_the_same_key_waits_for_the_firsts_answer_and_gets_it_later_too() {
    let joined = joined();
    let (first, feed) = enter(&joined, "a", None, "k", "body").unwrap();
    let feed = feed.unwrap();
    let (second, none) = enter(&joined, "a", None, "k", "body").unwrap();
    assert!(none.is_none());
    feed.send(Ok(1)).unwrap();
    feed.send(Ok(2)).unwrap();
    drop(feed);
    let both: (Vec<_>, Vec<_>) = tokio::try_join!(first.try_collect(), second.try_collect()).unwrap();
    assert_eq!(both, (vec![1, 2], vec![1, 2]));
    tokio::time::advance(TTL / 2).await;
    let (third, none) = enter(&joined, "a", None, "k", "body").unwrap();
    assert!(none.is_none());
    assert_eq!(third.try_collect::<Vec<_>>().await.unwrap(), [1, 2]);
    tokio::time::advance(TTL / 2).await;
    assert!(enter(&joined, "a", None, "k", "body").unwrap().1.is_some(), "kept beyond its time");
}

#[tokio::test(start_paused = true)]
async fn another_body_under_the_key_is_a_conflict_and_another_caller_is_another_matter() {
    let joined = joined();
    let (_items, feed) = enter(&joined, "a", None, "k", "body").unwrap();
    assert!(feed.is_some());
    assert_eq!(enter(&joined, "a", None, "k", "other").err(), Some(Error::IdempotencyConflict("k".to_owned())));
    assert!(enter(&joined, "b", None, "k", "other").unwrap().1.is_some());
    assert!(enter(&joined, "a", None, "k2", "other").unwrap().1.is_some());
}

#[tokio::test(start_paused = true)]
async fn an_sdks_retry_joins_its_first_try_and_two_first_tries_do_not() {
    let joined = joined();
    assert_eq!(call("a", None, "", "body"), None);
    let (_one, feed) = enter(&joined, "a", Some(0), "", "body").unwrap();
    assert!(feed.is_some());
    let (_two, feed) = enter(&joined, "a", Some(0), "", "body").unwrap();
    let feed = feed.expect("the same words twice are two requests");
    let (again, none) = enter(&joined, "a", Some(1), "", "body").unwrap();
    assert!(none.is_none());
    feed.send(Ok(7)).unwrap();
    drop(feed);
    assert_eq!(again.try_collect::<Vec<_>>().await.unwrap(), [7]);
    assert!(enter(&joined, "a", Some(2), "", "other").unwrap().1.is_some());
    assert!(enter(&joined, "b", Some(1), "", "body").unwrap().1.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_failure_reaches_all_who_wait_and_the_next_try_is_a_new_one() {
    let joined = joined();
    let failure = || Error::Provider(ProviderError::unavailable("gone".to_owned()));
    let (first, feed) = enter(&joined, "", None, "k", "body").unwrap();
    let (second, _) = enter(&joined, "", None, "k", "body").unwrap();
    feed.unwrap().send(Err(failure())).unwrap();
    for items in [first, second] {
        assert_eq!(items.try_collect::<Vec<_>>().await, Err(failure()));
    }
    assert!(enter(&joined, "", None, "k", "body").unwrap().1.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_panic_fails_all_who_wait_and_the_next_try_is_a_new_one() {
    let joined = joined();
    let call = || call("", None, "k", "body").unwrap();
    let panics = || stream::once(async { panic!("a defect") }).boxed();
    let first = joined.enter(call(), panics).unwrap();
    let second = joined.enter(call(), || panic!("it is under way")).unwrap();
    for items in [first, second] {
        let failed = tokio::time::timeout(TTL, items.try_collect::<Vec<_>>()).await.expect("nobody ends it");
        assert!(matches!(failed, Err(Error::Internal(_))), "{failed:?}");
    }
    let again = joined.enter(call(), || stream::iter([Ok(7)]).boxed()).unwrap();
    assert_eq!(again.try_collect::<Vec<_>>().await, Ok(vec![7]));
}

#[tokio::test(start_paused = true)]
async fn work_under_a_key_outlives_its_caller_and_an_sdks_for_a_moment_only() {
    let joined = joined();
    let (items, keyed) = enter(&joined, "", None, "k", "body").unwrap();
    drop(items);
    let (items, silent) = enter(&joined, "", Some(0), "", "body").unwrap();
    drop(items);
    let (keyed, silent) = (keyed.unwrap(), silent.unwrap());
    tokio::time::sleep(SDK_GRACE / 2).await;
    // Whoever comes back in time finds it going on, and keeps it so.
    let (items, none) = enter(&joined, "", Some(1), "", "body").unwrap();
    assert!(none.is_none());
    tokio::time::sleep(SDK_GRACE * 2).await;
    assert!(!silent.is_closed());
    drop(items);
    tokio::time::sleep(SDK_GRACE * 2).await;
    assert!(silent.is_closed() && !keyed.is_closed());
}

#[tokio::test(start_paused = true)]
async fn closing_ends_what_is_under_way() {
    let joined = joined();
    let (items, feed) = enter(&joined, "", None, "k", "body").unwrap();
    joined.close().await;
    assert!(feed.unwrap().is_closed());
    assert_eq!(items.try_collect::<Vec<_>>().now_or_never(), Some(Err(Error::ShuttingDown)));
}

#[tokio::test(start_paused = true)]
async fn the_oldest_answers_go_when_there_are_too_many_bytes() {
    let joined = Joined::<u32>::new(TTL, |_| MOST_BYTES / 2);
    for key in ["one", "two", "three"] {
        let (items, feed) = enter(&joined, "", None, key, "body").unwrap();
        feed.unwrap().send(Ok(1)).unwrap();
        items.try_collect::<Vec<_>>().await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(enter(&joined, "", None, "three", "body").unwrap().1.is_none());
    assert!(enter(&joined, "", None, "one", "body").unwrap().1.is_some());
    let off = Joined::<u32>::new(Duration::ZERO, |_| 1);
    assert!(!off.is_enabled());
}
