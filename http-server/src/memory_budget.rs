//! A bound on the memory of many requests together.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The unit of the budget, in bytes: a semaphore counts to four billion.
const UNIT: usize = 1 << 10;

/// A number of bytes that requests share. Clones share the budget.
#[derive(Debug, Clone)]
pub struct MemoryBudget(Arc<Semaphore>);

/// A part of a budget, returned when it is dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: MemoryBudget,
    permit: Option<OwnedSemaphorePermit>,
    bytes: usize,
}

impl MemoryBudget {
    /// Creates a budget of this many bytes, rounded down to KiB.
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new((bytes / UNIT).min(Semaphore::MAX_PERMITS))))
    }

    /// Returns a reservation of no bytes.
    pub fn reservation(&self) -> Reservation {
        Reservation { budget: self.clone(), permit: None, bytes: 0 }
    }
}

impl Reservation {
    /// Adds bytes to the reservation. Returns whether the budget has room for them; otherwise nothing changes. Does not wait:
    /// two requests that each hold a part of the budget and wait for more would deadlock.
    pub fn try_grow(&mut self, bytes: usize) -> bool {
        let total = self.bytes.saturating_add(bytes);
        let reserved = self.permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let Ok(missing) = u32::try_from(total.div_ceil(UNIT) - reserved) else { return false };
        if missing > 0 {
            let Ok(permit) = Arc::clone(&self.budget.0).try_acquire_many_owned(missing) else { return false };
            match &mut self.permit {
                Some(reserved) => reserved.merge(permit),
                None => self.permit = Some(permit),
            }
        }
        self.bytes = total;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reservations_share_the_budget_and_return_it() {
        let budget = MemoryBudget::new(10 << 10);
        let (mut first, mut second) = (budget.reservation(), budget.reservation());
        for _ in 0..8 {
            assert!(first.try_grow(1000));
        }
        assert!(second.try_grow(2 << 10));
        assert!(!second.try_grow(1), "8 KiB and 2 KiB are reserved");
        assert!(first.try_grow(100), "the last unit has room");
        assert!(!first.try_grow(usize::MAX));
        drop(second);
        assert!(first.try_grow(2000));
        drop(first);
        assert!(budget.reservation().try_grow(10 << 10));
    }
}
