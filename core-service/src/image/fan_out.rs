//! Several pictures from an upstream that makes one per call.

use std::sync::{Arc, OnceLock};

use futures_util::{Stream, StreamExt, stream};

use super::ImageEvent;
use crate::{call::Chunks, error::ProviderError};

/// Makes `n` pictures by one call each, `at_once` of them at a time. `make` gives the events of the picture of an index;
/// it need not wait for anything before it is polled. Its error fails that picture alone, unless it is one that would
/// befall all of them: then what has not begun fails with it. What has begun may be paid already and goes on to its own
/// end. Dropping the stream drops every call under way.
pub fn fan_out<S>(n: u32, at_once: usize, make: impl Fn(u32) -> S + Send + 'static) -> Chunks<ImageEvent>
where
    S: Stream<Item = Result<ImageEvent, ProviderError>> + Send + 'static,
{
    let hopeless = Arc::new(OnceLock::new());
    let pictures = stream::iter(0..n).map(move |index| {
        let (picture, hopeless) = (Picture::new(make(index)), Arc::clone(&hopeless));
        stream::unfold(Some(picture), move |picture| {
            let hopeless = Arc::clone(&hopeless);
            async move {
                let mut picture = picture?;
                match picture.next(&hopeless).await? {
                    Ok(event) => Some((Ok(event), Some(picture))),
                    Err(error) => {
                        if befalls_all(&error) {
                            // The first one to say so is as good as any other.
                            let _ = hopeless.set(error.clone());
                        }
                        // An error stands for what was not told yet, and of this picture all was told.
                        (!picture.told).then_some((Ok(ImageEvent::Failed { index, error }), None))
                    }
                }
            }
        })
        .boxed()
    });
    pictures.flatten_unordered(at_once.max(1)).boxed()
}

/// One picture's call.
struct Picture {
    events: Chunks<ImageEvent>,
    begun: bool,
    /// Whether it was said what became of the picture.
    told: bool,
}

impl Picture {
    fn new(events: impl Stream<Item = Result<ImageEvent, ProviderError>> + Send + 'static) -> Self {
        Self { events: events.boxed(), begun: false, told: false }
    }

    async fn next(&mut self, hopeless: &OnceLock<ProviderError>) -> Option<Result<ImageEvent, ProviderError>> {
        if let Some(error) = hopeless.get().filter(|_| !self.begun) {
            return Some(Err(error.clone()));
        }
        self.begun = true;
        let next = self.events.next().await;
        self.told |= matches!(next, Some(Ok(ImageEvent::Finished { .. } | ImageEvent::Failed { .. })));
        next
    }
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
    use crate::image::Usage;

    fn finished(index: u32) -> ImageEvent {
        ImageEvent::Finished { index, picture: Bytes::new(), revised_prompt: String::new() }
    }

    /// What became of each picture, by index.
    async fn outcomes(events: Chunks<ImageEvent>) -> Vec<Option<ProviderError>> {
        let events: Vec<_> = events.map(Result::unwrap).collect().await;
        let mut told: Vec<_> = events
            .into_iter()
            .filter_map(|event| match event {
                ImageEvent::Finished { index, .. } => Some((index, None)),
                ImageEvent::Failed { index, error } => Some((index, Some(error))),
                ImageEvent::Usage(_) => None,
                ImageEvent::Preview { .. } => panic!("{event:?}"),
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
    async fn what_is_under_way_when_one_fails_for_all_goes_on_to_its_own_end() {
        let wrong = || ProviderError::Credentials("wrong key".to_owned());
        let broken = || ProviderError::Broken("gone".to_owned());
        let cases = [
            vec![Ok(ImageEvent::Usage(Usage::default())), Ok(finished(1))],
            vec![Ok(finished(1))],
            // What breaks behind a picture takes nothing of it back.
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
                    // Begun before the first one fails, and at its events only afterwards.
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
