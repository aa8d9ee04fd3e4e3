//! A concurrency limit for work on blocking threads.

use std::{num::NonZeroUsize, sync::Arc, thread::available_parallelism};

use tokio::{
    sync::Semaphore,
    task::{JoinError, spawn_blocking},
};
use tokio_util::task::AbortOnDropHandle;
use tracing::Span;

/// A concurrency limit for one kind of work in the blocking pool of the tokio runtime. Clones share the limit.
///
/// All users of `spawn_blocking`, also `tokio::fs`, share the threads of that pool (by default 512). Each kind of long work
/// has a limiter, so that it cannot occupy all of them. The sum of all limits must be below the number of threads.
#[derive(Debug, Clone)]
pub struct BlockingLimiter(Arc<Semaphore>);

impl BlockingLimiter {
    /// Creates a limiter that runs at most `max_concurrent` closures at the same time. Starts no threads.
    pub fn new(max_concurrent: NonZeroUsize) -> Self {
        Self(Arc::new(Semaphore::new(max_concurrent.get())))
    }

    /// Creates a limiter that runs at most one closure per available CPU, for CPU-bound work.
    pub fn per_cpu() -> Self {
        Self::new(available_parallelism().unwrap_or(NonZeroUsize::MIN))
    }

    /// Runs `work` on a blocking thread, in the current span. Waits for a permit first; waiting calls get permits in order.
    ///
    /// If the future is dropped before `work` starts, `work` never runs. If it is dropped later, `work` still runs to its end
    /// and holds its permit until then.
    ///
    /// # Errors
    /// If `work` panics, or the runtime shuts down before `work` starts.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
        // An error would mean that the semaphore is closed, which never happens.
        let permit = Arc::clone(&self.0).acquire_owned().await;
        let span = Span::current();
        let task = spawn_blocking(move || {
            let _permit = permit;
            span.in_scope(work)
        });
        // Aborting has an effect only while the task is in the queue of the blocking pool.
        AbortOnDropHandle::new(task).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::{
        sync::oneshot,
        task::{JoinHandle, yield_now},
    };

    use super::*;

    fn single() -> BlockingLimiter {
        BlockingLimiter::new(NonZeroUsize::MIN)
    }

    /// Starts a call that holds a permit until the sender sends or is dropped.
    async fn occupy(limiter: &BlockingLimiter) -> (JoinHandle<()>, mpsc::Sender<()>) {
        let (release, released) = mpsc::channel();
        let (started, has_started) = oneshot::channel();
        let limiter = limiter.clone();
        let call = tokio::spawn(async move {
            let work = move || {
                started.send(()).unwrap();
                let _ = released.recv();
            };
            limiter.run(work).await.unwrap();
        });
        has_started.await.unwrap();
        (call, release)
    }

    #[tokio::test]
    async fn call_waits_for_a_permit_of_its_own_limiter_only() {
        let (occupied, other) = (single(), single());
        let (_first, release) = occupy(&occupied).await;
        let second = tokio::spawn({
            let occupied = occupied.clone();
            async move { occupied.run(|| 2).await }
        });
        assert_eq!(other.run(|| 1).await.unwrap(), 1);
        yield_now().await;
        assert!(!second.is_finished());
        release.send(()).unwrap();
        assert_eq!(second.await.unwrap().unwrap(), 2);
    }

    #[tokio::test]
    async fn running_work_holds_its_permit_after_the_call_was_dropped() {
        let limiter = single();
        let (call, release) = occupy(&limiter).await;
        call.abort();
        assert!(call.await.unwrap_err().is_cancelled());
        assert_eq!(limiter.0.available_permits(), 0);
        release.send(()).unwrap();
        assert_eq!(limiter.run(|| 1).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn panic_is_an_error_and_releases_the_permit() {
        let limiter = single();
        assert!(limiter.run(|| panic!("a defect")).await.unwrap_err().is_panic());
        assert_eq!(limiter.run(|| 1).await.unwrap(), 1);
    }
}
