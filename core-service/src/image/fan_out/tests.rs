//! Concurrency, errors and cancellation of the calls, one for each image.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::Barrier;

use super::*;
use crate::image::Usage;

fn finished(index: u32) -> ImageEvent {
    ImageEvent::Finished { index, picture: Bytes::new(), revised_prompt: String::new() }
}

/// Collects the error of each image, if any, by index.
async fn outcomes(events: Chunks<ImageEvent>) -> Vec<Option<ProviderError>> {
    let events: Vec<_> = events.map(Result::unwrap).collect().await;
    let mut outcomes: Vec<_> = events
        .into_iter()
        .filter_map(|event| match event {
            ImageEvent::Finished { index, .. } => Some((index, None)),
            ImageEvent::Failed { index, error } => Some((index, Some(error))),
            ImageEvent::Usage(_) => None,
            ImageEvent::Preview { .. } => panic!("{event:?}"),
        })
        .collect();
    outcomes.sort_by_key(|(index, _)| *index);
    outcomes.into_iter().map(|(_, error)| error).collect()
}

#[tokio::test]
async fn concurrent_calls_are_limited() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    // Opens only when three calls run concurrently.
    let barrier = Arc::new(Barrier::new(3));
    let events = fan_out(9, 3, {
        let (now, most) = (Arc::clone(&now), Arc::clone(&most));
        move |index| {
            let (now, most, barrier) = (Arc::clone(&now), Arc::clone(&most), Arc::clone(&barrier));
            stream::once(async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                barrier.wait().await;
                now.fetch_sub(1, Ordering::SeqCst);
                Ok(finished(index))
            })
        }
    });
    assert_eq!(outcomes(events).await, vec![None; 9]);
    assert_eq!(most.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn rejected_image_fails_alone() {
    let refused = || ProviderError::ContentPolicy("no".to_owned());
    let events =
        fan_out(3, 2, move |index| stream::iter([if index == 1 { Err(refused()) } else { Ok(finished(index)) }]));
    assert_eq!(outcomes(events).await, [None, Some(refused()), None]);
}

#[tokio::test]
async fn no_call_starts_after_an_error_common_to_all() {
    let started = Arc::new(AtomicUsize::new(0));
    let wrong = || ProviderError::Credentials("wrong key".to_owned());
    let events = fan_out(10, 1, {
        let started = Arc::clone(&started);
        move |_| {
            let started = Arc::clone(&started);
            stream::once(async move {
                started.fetch_add(1, Ordering::SeqCst);
                Err(wrong())
            })
        }
    });
    assert_eq!(outcomes(events).await, vec![Some(wrong()); 10]);
    assert_eq!(started.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn running_calls_finish_after_an_error_common_to_all() {
    let wrong = || ProviderError::Credentials("wrong key".to_owned());
    let broken = || ProviderError::Broken("gone".to_owned());
    let cases = [
        vec![Ok(ImageEvent::Usage(Usage::default())), Ok(finished(1))],
        vec![Ok(finished(1))],
        // An error after the final event is ignored.
        vec![Ok(finished(1)), Err(broken())],
    ];
    for events in cases {
        let barrier = Arc::new(Barrier::new(2));
        let pictures = fan_out(3, 3, move |index| {
            let (barrier, events) = (Arc::clone(&barrier), events.clone());
            match index {
                0 => stream::once(async move {
                    barrier.wait().await;
                    Err(wrong())
                })
                .boxed(),
                // Starts before the first call fails, and yields its events afterwards.
                1 => stream::once(async move {
                    barrier.wait().await;
                    tokio::task::yield_now().await;
                })
                .flat_map(move |()| stream::iter(events.clone()))
                .boxed(),
                _ => stream::iter([Ok(ImageEvent::Usage(Usage::default())), Ok(finished(index))]).boxed(),
            }
        });
        assert_eq!(outcomes(pictures).await, [Some(wrong()), None, None]);
    }
}

#[tokio::test]
async fn dropping_the_stream_drops_the_running_calls() {
    let alive = Arc::new(());
    let events = fan_out(4, 4, {
        let alive = Arc::clone(&alive);
        move |index| {
            let alive = Arc::clone(&alive);
            stream::once(async move {
                if index > 0 {
                    std::future::pending::<()>().await;
                }
                drop(alive);
                Ok(finished(index))
            })
        }
    });
    let mut events = events;
    assert!(events.next().await.is_some());
    assert!(Arc::strong_count(&alive) > 1);
    drop(events);
    assert_eq!(Arc::strong_count(&alive), 1);
}
