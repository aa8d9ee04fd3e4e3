//! A concurrency limit with a bounded wait queue, in which calls of a higher priority are before those of a lower one.

mod wait_queue;

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::oneshot;

use self::wait_queue::{Ticket, WaitQueue};
use crate::{metrics, priority::Priority};

/// Limits how many calls are in flight, and how many wait for a permit.
#[derive(Debug)]
pub struct ConcurrencyLimit {
    /// `None`: there is no limit.
    permits: Option<Arc<Permits>>,
}

/// The permits of a limit, and the calls that wait for one.
#[derive(Debug)]
struct Permits {
    /// The permits that are free: none while a call waits. Taken without the lock of the queue; returned with it, so that a call
    /// that found none free and holds the lock misses no return.
    free: AtomicUsize,
    max_queued: usize,
    /// The length of the queue, for reads without its lock.
    queued: AtomicUsize,
    /// Through its sender, a waiting call gets its permit. A std mutex: never held across an await.
    queue: Mutex<WaitQueue<oneshot::Sender<Permit>>>,
}

/// The right to have a call in flight; dropping it hands it to the next waiting call, or returns it.
#[derive(Debug)]
pub(crate) struct Permit(Option<Arc<Permits>>);

/// All permits are in use and the queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full;

impl ConcurrencyLimit {
    /// Creates a limit for `max_in_flight` calls, 0 for no limit, with a queue of `max_queued` waiting calls.
    pub fn new(max_in_flight: usize, max_queued: usize) -> Self {
        let permits = Permits {
            free: AtomicUsize::new(max_in_flight),
            max_queued,
            queued: AtomicUsize::new(0),
            queue: Mutex::default(),
        };
        Self { permits: (max_in_flight > 0).then(|| Arc::new(permits)) }
    }

    /// Returns whether a call would get a permit without waiting.
    pub(super) fn has_permit(&self) -> bool {
        self.permits.as_ref().is_none_or(|permits| permits.free.load(Ordering::Relaxed) > 0)
    }

    /// Returns whether a call would get a permit or room in the queue.
    pub(super) fn has_room(&self) -> bool {
        let has_queue_room = |permits: &Arc<Permits>| permits.queued.load(Ordering::Relaxed) < permits.max_queued;
        self.has_permit() || self.permits.as_ref().is_none_or(has_queue_room)
    }

    /// Acquires a permit. Waiting calls get theirs by priority, within one priority in the order of arrival; lower
    /// priorities have the share that [`PrioritySchedule`](crate::priority::PrioritySchedule) gives them. Dropping the future leaves the
    /// queue; a permit that it has got meanwhile goes to the next call.
    ///
    /// # Errors
    /// [`Full`], at once.
    pub(super) async fn acquire(&self, priority: Priority) -> Result<Permit, Full> {
        let Some(permits) = &self.permits else { return Ok(Permit(None)) };
        match permits.try_take() {
            Some(permit) => Ok(permit),
            None => permits.wait(priority).await,
        }
    }
}

impl Permits {
    fn queue(&self) -> MutexGuard<'_, WaitQueue<oneshot::Sender<Permit>>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a free permit. It cannot overtake a waiting call, because none is free while a call waits.
    fn try_take(self: &Arc<Self>) -> Option<Permit> {
        let take = self.free.fetch_update(Ordering::Acquire, Ordering::Relaxed, |free| free.checked_sub(1));
        take.ok().map(|_| Permit(Some(Arc::clone(self))))
    }

    async fn wait(self: &Arc<Self>, priority: Priority) -> Result<Permit, Full> {
        let (sender, receiver) = oneshot::channel();
        let ticket = {
            let mut queue = self.queue();
            // One may have become free since the check without the lock.
            if let Some(permit) = self.try_take() {
                return Ok(permit);
            }
            if queue.len() >= self.max_queued {
                return Err(Full);
            }
            let ticket = queue.push(priority, sender);
            self.queued.store(queue.len(), Ordering::Relaxed);
            ticket
        };
        metrics::queued().increment(1.0);
        let _place = Place { permits: self, ticket };
        // A sender is dropped only by the call itself, when it leaves.
        receiver.await.map_err(|_| Full)
    }

    /// Hands a permit to the next call that still waits, or returns it.
    fn release(self: Arc<Self>) {
        let mut permits = self;
        while let Some(waiting) = permits.pop_or_return() {
            metrics::queued().decrement(1.0);
            // Sent without the lock, because a permit that is dropped in the channel takes the lock. If the call was dropped since it
            // was removed from the queue, its receiver is gone, and the permit comes back.
            let Err(mut refused) = waiting.send(Permit(Some(permits))) else { return };
            let Some(back) = refused.0.take() else { return };
            permits = back;
        }
    }

    /// Removes the next call from the queue, or else makes a permit free.
    fn pop_or_return(&self) -> Option<oneshot::Sender<Permit>> {
        let mut queue = self.queue();
        let next = queue.pop();
        match &next {
            Some(_) => self.queued.store(queue.len(), Ordering::Relaxed),
            None => drop(self.free.fetch_add(1, Ordering::Release)),
        }
        next
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(permits) = self.0.take() {
            permits.release();
        }
    }
}

/// A place in the queue; dropping it leaves the queue, unless the call has got its permit.
struct Place<'a> {
    permits: &'a Permits,
    ticket: Ticket,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut queue = self.permits.queue();
        let left = queue.remove(self.ticket);
        self.permits.queued.store(queue.len(), Ordering::Relaxed);
        drop(queue);
        if left.is_some() {
            metrics::queued().decrement(1.0);
        }
    }
}

#[cfg(test)]
mod tests;
