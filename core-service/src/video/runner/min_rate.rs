//! The minimum rate of a copy: a provider that sends one byte now and then must not occupy a place of `jobs.concurrency` for hours.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use tokio::time::{Instant, timeout};

use crate::{
    call::Chunks,
    error::{Error, ProviderError},
};

/// The time over which the rate is measured. Only the time that the stream takes counts, not that of the media store.
const WINDOW: Duration = Duration::from_mins(1);

/// The bytes that must arrive in a window, 1 MiB.
const MIN_BYTES: u64 = 1 << 20;

/// A stream of chunks, and its rate in the current window.
struct Measured {
    chunks: Chunks<Bytes>,
    /// The time that the stream took in this window.
    waited: Duration,
    /// The bytes in this window.
    received: u64,
}

/// Fails a stream that brings less than 1 MiB in a minute, its last window excepted.
pub(super) fn with_min_rate(chunks: Chunks<Bytes>) -> impl Stream<Item = Result<Bytes, Error>> + Send {
    let measured = Measured { chunks, waited: Duration::ZERO, received: 0 };
    stream::try_unfold(measured, async |mut measured| {
        let chunk = measured.next().await?;
        Ok(chunk.map(|chunk| (chunk, measured)))
    })
}

impl Measured {
    /// Returns the next chunk, `None` at the end. Checks the rate whenever a window is over.
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            let start = Instant::now();
            let next = timeout(WINDOW.saturating_sub(self.waited), self.chunks.next()).await;
            self.waited += start.elapsed();
            let window_ended = self.waited >= WINDOW || next.is_err();
            // `None`: the window ended before a chunk. `Some(None)`: the stream has ended.
            let chunk = next.ok().map(Option::transpose).transpose()?;
            self.received += chunk.iter().flatten().map(|chunk| chunk.len() as u64).sum::<u64>();
            if window_ended {
                if self.received < MIN_BYTES && !matches!(chunk, Some(None)) {
                    let message =
                        format!("the provider sends a finished file with less than {MIN_BYTES} bytes a minute");
                    return Err(ProviderError::Timeout(message).into());
                }
                (self.waited, self.received) = (Duration::ZERO, 0);
            }
            if let Some(chunk) = chunk {
                return Ok(chunk);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    /// Sends `count` chunks of `size` bytes, each after a delay.
    fn chunks(count: usize, size: usize, delay: Duration) -> Chunks<Bytes> {
        let chunks = stream::iter(0..count).then(move |_| async move {
            sleep(delay).await;
            Ok(Bytes::from(vec![0; size]))
        });
        chunks.boxed()
    }

    #[tokio::test(start_paused = true)]
    async fn slow_stream_fails_within_a_window() {
        let start = Instant::now();
        let received: Vec<_> = with_min_rate(chunks(10_000, 1, Duration::from_secs(7))).collect().await;
        assert!(matches!(received.last(), Some(Err(Error::Provider(ProviderError::Timeout(_))))), "{received:?}");
        assert_eq!(start.elapsed(), WINDOW);
    }

    #[tokio::test(start_paused = true)]
    async fn stream_with_the_minimum_rate_is_copied_to_its_end() {
        // 32 KiB per second are almost 2 MiB in a minute; a small file ends within its first window.
        for (count, size) in [(300, 32 << 10), (1, 10)] {
            let stream = with_min_rate(chunks(count, size, Duration::from_secs(1)));
            let received: Vec<_> = stream.collect().await;
            assert_eq!(received.iter().filter(|chunk| chunk.is_ok()).count(), count, "{:?}", received.last());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn time_of_the_reader_does_not_count() {
        let mut stream = std::pin::pin!(with_min_rate(chunks(3, 10, Duration::from_secs(1))));
        for _ in 0..3 {
            sleep(Duration::from_hours(1)).await;
            assert!(stream.next().await.unwrap().is_ok());
        }
        assert!(stream.next().await.is_none());
    }
}
