//! Several pictures from an upstream that makes one per call.

use std::sync::{Arc, OnceLock};

use futures_util::{Stream, StreamExt, stream};

use super::ImageEvent;
use crate::{call::Chunks, error::ProviderError};

/// Makes `n` pictures by one call each, `at_once` of them at a time. `make` gives the events of the picture of an index;
/// it need not wait for anything before it is polled. Its error fails that picture alone, unless it is one that would
/// befall all of them: then what has not begun fails with it. Dropping the stream drops every call under way.
pub fn fan_out<S>(n: u32, at_once: usize, make: impl Fn(u32) -> S + Send + 'static) -> Chunks<ImageEvent>
where
    S: Stream<Item = Result<ImageEvent, ProviderError>> + Send + 'static,
{
    let hopeless = Arc::new(OnceLock::new());
    let pictures = stream::iter(0..n).map(move |index| {
        let (work, hopeless) = (make(index).boxed(), Arc::clone(&hopeless));
        stream::unfold(Some(work), move |work| {
            let hopeless = Arc::clone(&hopeless);
            async move {
                let mut work = work?;
                let next = match hopeless.get() {
                    Some(error) => Some(Err(ProviderError::clone(error))),
                    None => work.next().await,
                };
                match next? {
                    Ok(event) => Some((Ok(event), Some(work))),
                    Err(error) => {
                        if befalls_all(&error) {
                            // The first one to say so is as good as any other.
                            let _ = hopeless.set(error.clone());
                        }
                        Some((Ok(ImageEvent::Failed { index, error }), None))
                    }
                }
            }
        })
        .boxed()
    });
    pictures.flatten_unordered(at_once.max(1)).boxed()
}

/// Whether the next picture's call would fail the same way.
fn befalls_all(error: &ProviderError) -> bool {
    match error {
        ProviderError::Refused { .. }
        | ProviderError::Credentials(_)
        | ProviderError::NotSupported(_)
        | ProviderError::Overloaded { .. } => true,
        // Content is judged by the picture that came of it; the others may be gone by the next call.
        ProviderError::ContentPolicy(_)
        | ProviderError::RateLimited { .. }
        | ProviderError::Timeout(_)
        | ProviderError::Unreachable(_)
        | ProviderError::Unavailable { .. }
        | ProviderError::Broken(_)
        | ProviderError::Unreadable(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use bytes::Bytes;
    use tokio::sync::Barrier;

    use super::*;

    fn finished(index: u32) -> ImageEvent {
        ImageEvent::Finished { index, picture: Bytes::new(), revised_prompt: String::new() }
    }

    /// What became of each picture, by index.
    async fn outcomes(events: Chunks<ImageEvent>) -> Vec<Option<ProviderError>> {
        let events: Vec<_> = events.map(Result::unwrap).collect().await;
        let mut told: Vec<_> = events
            .into_iter()
            .map(|event| match event {
                ImageEvent::Finished { index, .. } => (index, None),
                ImageEvent::Failed { index, error } => (index, Some(error)),
                ImageEvent::Preview { .. } | ImageEvent::Usage(_) => panic!("{event:?}"),
            })
            .collect();
        told.sort_by_key(|(index, _)| *index);
        told.into_iter().map(|(_, error)| error).collect()
    }

    #[tokio::test]
    async fn so_many_calls_are_under_way_and_no_more() {
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        // Nobody gets past it alone: three must be under way at once.
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
    async fn a_refused_picture_is_told_and_the_others_are_made() {
        let refused = || ProviderError::ContentPolicy("no".to_owned());
        let events = fan_out(3, 2, move |index| {
            stream::iter([if index == 1 { Err(refused()) } else { Ok(finished(index)) }, Ok(finished(7))]).take(1)
        });
        assert_eq!(outcomes(events).await, [None, Some(refused()), None]);
    }

    #[tokio::test]
    async fn after_a_failure_that_befalls_all_nothing_more_is_begun() {
        let begun = Arc::new(AtomicUsize::new(0));
        let wrong = || ProviderError::Credentials("wrong key".to_owned());
        let events = fan_out(10, 1, {
            let begun = Arc::clone(&begun);
            move |_| {
                let begun = Arc::clone(&begun);
                stream::once(async move {
                    begun.fetch_add(1, Ordering::SeqCst);
                    Err(wrong())
                })
            }
        });
        assert_eq!(outcomes(events).await, vec![Some(wrong()); 10]);
        assert_eq!(begun.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn dropping_the_stream_drops_the_calls() {
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
}
