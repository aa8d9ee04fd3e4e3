//! Bounded work with a short queue in front of it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How much may be under way at once, and how many callers may wait for it.
#[derive(Debug)]
pub struct Gate {
    places: Arc<Semaphore>,
    queue: usize,
    queued: AtomicUsize,
}

/// A place; dropping it frees it.
pub(super) type Permit = OwnedSemaphorePermit;

/// Neither a place nor room in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full;

impl Gate {
    /// `most` calls at once, 0 for no bound, and behind them a queue of this length.
    pub fn new(most: usize, queue: usize) -> Self {
        let most = if most == 0 { Semaphore::MAX_PERMITS } else { most.min(Semaphore::MAX_PERMITS) };
        Self { places: Arc::new(Semaphore::new(most)), queue, queued: AtomicUsize::new(0) }
    }

    /// Whether a call would get a place at once.
    pub(super) fn has_place(&self) -> bool {
        self.places.available_permits() > 0
    }

    /// Whether a call would get a place or may wait for one.
    pub(super) fn has_room(&self) -> bool {
        self.has_place() || self.queued.load(Ordering::Relaxed) < self.queue
    }

    /// Gets a place, in the order of arrival. Dropping the future leaves the queue.
    pub(super) async fn enter(&self) -> Result<Permit, Full> {
        if let Ok(permit) = self.places.clone().try_acquire_owned() {
            return Ok(permit);
        }
        let _waiting = Waiting::begin(self)?;
        // The semaphore is never closed.
        self.places.clone().acquire_owned().await.map_err(|_| Full)
    }
}

/// One caller in the queue, for as long as it lives.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(gate: &'a Gate) -> Result<Self, Full> {
        let more = |queued| (queued < gate.queue).then_some(queued + 1);
        gate.queued.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).map_err(|_| Full)?;
        Ok(Self(&gate.queued))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, poll};

    use super::*;

    #[tokio::test]
    async fn the_queue_is_short_fair_and_left_by_whoever_hangs_up() {
        let gate = Gate::new(1, 2);
        let place = gate.enter().await.unwrap();
        let (mut gone, mut first) = (Box::pin(gate.enter()), Box::pin(gate.enter()));
        assert!(poll!(&mut gone).is_pending() && poll!(&mut first).is_pending());
        assert!(!gate.has_room() && matches!(gate.enter().await, Err(Full)));
        drop(gone);
        assert!(gate.has_room());
        let mut second = Box::pin(gate.enter());
        assert!(poll!(&mut second).is_pending());
        drop(place);
        assert!(poll!(&mut second).is_pending(), "the first comes first");
        drop(first.now_or_never().unwrap().unwrap());
        assert!(second.now_or_never().unwrap().is_ok());
    }

    #[tokio::test]
    async fn without_a_bound_everybody_enters() {
        let gate = Gate::new(0, 0);
        let places = futures_util::future::join_all((0..10_000).map(|_| gate.enter())).await;
        assert!(places.iter().all(Result::is_ok));
    }
}
