//! A concurrency limit with a bounded wait queue.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::metrics;

/// Limits how many calls are in flight, and how many wait for a permit.
#[derive(Debug)]
pub struct ConcurrencyLimit {
    permits: Arc<Semaphore>,
    max_queued: usize,
    queued: AtomicUsize,
}

/// The right to have a call in flight; dropping it releases it.
pub(crate) type Permit = OwnedSemaphorePermit;

/// All permits are in use and the queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full;

impl ConcurrencyLimit {
    /// Creates a limit for `max_in_flight` calls, 0 for no limit, with a queue of `max_queued` waiting calls.
    pub fn new(max_in_flight: usize, max_queued: usize) -> Self {
        let permits =
            if max_in_flight == 0 { Semaphore::MAX_PERMITS } else { max_in_flight.min(Semaphore::MAX_PERMITS) };
        Self { permits: Arc::new(Semaphore::new(permits)), max_queued, queued: AtomicUsize::new(0) }
    }

    /// Returns whether a call would get a permit without waiting.
    pub(super) fn has_permit(&self) -> bool {
        self.permits.available_permits() > 0
    }

    /// Returns whether a call would get a permit or room in the queue.
    pub(super) fn has_room(&self) -> bool {
        self.has_permit() || self.queued.load(Ordering::Relaxed) < self.max_queued
    }

    /// Acquires a permit, in the order of arrival. Dropping the future leaves the queue.
    ///
    /// # Errors
    /// [`Full`], at once.
    pub(super) async fn acquire(&self) -> Result<Permit, Full> {
        if let Ok(permit) = self.permits.clone().try_acquire_owned() {
            return Ok(permit);
        }
        let _queued = Queued::enter(self)?;
        // The semaphore is never closed.
        self.permits.clone().acquire_owned().await.map_err(|_| Full)
    }
}

/// A place in the queue; dropping it leaves the queue.
struct Queued<'a>(&'a AtomicUsize);

impl<'a> Queued<'a> {
    fn enter(limit: &'a ConcurrencyLimit) -> Result<Self, Full> {
        let increment = |queued| (queued < limit.max_queued).then_some(queued + 1);
        limit.queued.fetch_update(Ordering::Relaxed, Ordering::Relaxed, increment).map_err(|_| Full)?;
        metrics::queued().increment(1.0);
        Ok(Self(&limit.queued))
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
        metrics::queued().decrement(1.0);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, poll};

    use super::*;

    #[tokio::test]
    async fn queue_is_bounded_fair_and_left_on_drop() {
        let limit = ConcurrencyLimit::new(1, 2);
        let permit = limit.acquire().await.unwrap();
        let (mut dropped, mut first) = (Box::pin(limit.acquire()), Box::pin(limit.acquire()));
        assert!(poll!(&mut dropped).is_pending() && poll!(&mut first).is_pending());
        assert!(!limit.has_room() && matches!(limit.acquire().await, Err(Full)));
        drop(dropped);
        assert!(limit.has_room());
        let mut second = Box::pin(limit.acquire());
        assert!(poll!(&mut second).is_pending());
        drop(permit);
        assert!(poll!(&mut second).is_pending(), "permits are granted in the order of arrival");
        drop(first.now_or_never().unwrap().unwrap());
        assert!(second.now_or_never().unwrap().is_ok());
    }

    #[tokio::test]
    async fn zero_means_no_limit() {
        let limit = ConcurrencyLimit::new(0, 0);
        let permits = futures_util::future::join_all((0..10_000).map(|_| limit.acquire())).await;
        assert!(permits.iter().all(Result::is_ok));
    }
}
