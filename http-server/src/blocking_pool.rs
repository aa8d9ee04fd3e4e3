//! Bounded use of the blocking threads.

use std::{num::NonZeroUsize, sync::Arc, thread::available_parallelism};

use tokio::{
    sync::Semaphore,
    task::{JoinError, spawn_blocking},
};
use tokio_util::task::AbortOnDropHandle;
use tracing::Span;

/// A limit on the blocking threads of the runtime that work of one purpose occupies, so that work of other purposes, file
/// operations among them, does not wait for it. The limits in sum must stay below the threads of the runtime, by default 512.
/// Clones share the limit.
#[derive(Debug, Clone)]
pub struct BlockingPool(Arc<Semaphore>);

impl BlockingPool {
    /// Creates a pool that runs at most this much work at once. Starts no threads.
    pub fn new(threads: NonZeroUsize) -> Self {
        Self(Arc::new(Semaphore::new(threads.get())))
    }

    /// Creates a pool that runs one piece of work for each CPU available to the process: for computation.
    pub fn per_cpu() -> Self {
        Self::new(available_parallelism().unwrap_or(NonZeroUsize::MIN))
    }

    /// Runs `work` on a blocking thread, in the current span, after the work that was here before. Work that has not started
    /// does not start if the future is dropped. Work that has started runs to its end and occupies its thread until then.
    ///
    /// # Errors
    /// If the work panics, or the runtime shuts down before it starts.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
        // Never closed, so that a permit is always obtained.
        let permit = Arc::clone(&self.0).acquire_owned().await;
        let span = Span::current();
        let work = spawn_blocking(move || {
            let _permit = permit;
            span.in_scope(work)
        });
        // Work that waits for a thread does not start after the future is dropped.
        AbortOnDropHandle::new(work).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::task::yield_now;

    use super::*;

    #[tokio::test]
    async fn work_waits_for_a_thread_of_its_own_pool_only() {
        let (busy, idle) = (BlockingPool::new(NonZeroUsize::MIN), BlockingPool::new(NonZeroUsize::MIN));
        let (finish, finished) = mpsc::channel::<()>();
        let (started, starts) = tokio::sync::oneshot::channel();
        let first = tokio::spawn({
            let busy = busy.clone();
            async move {
                busy.run(move || {
                    started.send(()).unwrap();
                    finished.recv().unwrap();
                })
                .await
            }
        });
        starts.await.unwrap();
        let second = tokio::spawn({
            let busy = busy.clone();
            async move { busy.run(|| 2).await }
        });
        assert_eq!(idle.run(|| 1).await.unwrap(), 1);
        yield_now().await;
        assert!(!second.is_finished());
        // The first caller leaves; its work still occupies the thread.
        first.abort();
        yield_now().await;
        assert_eq!(busy.0.available_permits(), 0);
        finish.send(()).unwrap();
        assert_eq!(second.await.unwrap().unwrap(), 2);
        assert!(busy.run(|| panic!("a defect")).await.unwrap_err().is_panic());
        assert_eq!(busy.run(|| 3).await.unwrap(), 3);
    }
}
