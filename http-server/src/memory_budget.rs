//! A bound on the memory of many requests together: each reserves bytes from a budget that all share, and waits or is
//! refused while there is no room.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The unit of the budget, in bytes. Permits are acquired by a `u32`, which in bytes would limit a reservation to 4 GiB.
const UNIT: usize = 1 << 10;

/// A number of bytes that requests share. Clones share the budget.
#[derive(Debug, Clone)]
pub struct MemoryBudget {
    free: Arc<Semaphore>,
    /// The whole budget, in units.
    units: usize,
}

/// A part of a budget, returned when it is dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: MemoryBudget,
    permit: Option<OwnedSemaphorePermit>,
    bytes: usize,
}

impl MemoryBudget {
    /// Creates a budget of this many bytes, rounded down to KiB, at most 4 TiB.
    pub fn new(bytes: usize) -> Self {
        // A reservation is one `u32` of permits.
        let units = (bytes / UNIT).min(Semaphore::MAX_PERMITS).min(u32::MAX as usize);
        Self { free: Arc::new(Semaphore::new(units)), units }
    }

    /// Returns a reservation of no bytes.
    pub fn reservation(&self) -> Reservation {
        Reservation { budget: self.clone(), permit: None, bytes: 0 }
    }

    /// Returns whether nothing is reserved.
    pub fn is_unused(&self) -> bool {
        self.free.available_permits() == self.units
    }

    /// Waits in FIFO order until these bytes are free, and reserves them. More than the whole budget reserves the whole budget,
    /// so that large work runs alone. Dropping the future gives up its place. Must not be called while a reservation of the
    /// same budget is held: two such requests would wait for each other.
    pub async fn reserve(&self, bytes: usize) -> Reservation {
        let bytes = bytes.min(self.units * UNIT);
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        // Never closed, so that a permit is always obtained.
        let permit = Arc::clone(&self.free).acquire_many_owned(units).await.ok();
        Reservation { budget: self.clone(), permit, bytes }
    }
}

impl Reservation {
    /// Adds bytes to the reservation. Returns whether the budget has room for them; otherwise nothing changes. Does not wait:
    /// two requests that each hold a part of the budget and wait for more would deadlock.
    pub fn try_grow(&mut self, bytes: usize) -> bool {
        let total = self.bytes.saturating_add(bytes);
        let reserved = self.permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let Ok(missing) = u32::try_from(total.div_ceil(UNIT).saturating_sub(reserved)) else { return false };
        if missing > 0 {
            let Ok(permit) = Arc::clone(&self.budget.free).try_acquire_many_owned(missing) else { return false };
            match &mut self.permit {
                Some(reserved) => reserved.merge(permit),
                None => self.permit = Some(permit),
            }
        }
        self.bytes = total;
        true
    }

    /// Moves up to this many bytes of the reservation into one of their own. Both are rounded down to KiB.
    #[must_use]
    pub fn split(&mut self, bytes: usize) -> Self {
        let bytes = bytes.min(self.bytes);
        let reserved = self.permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let permit = self.permit.as_mut().and_then(|permit| permit.split((bytes / UNIT).min(reserved)));
        self.bytes -= bytes;
        Self { budget: self.budget.clone(), permit, bytes }
    }

    /// Returns the bytes with the reservation attached, which is released when the last clone or slice of them is dropped.
    pub fn attach(self, bytes: Bytes) -> Bytes {
        Bytes::from_owner(Reserved { bytes, _reservation: self })
    }
}

struct Reserved {
    bytes: Bytes,
    _reservation: Reservation,
}

impl AsRef<[u8]> for Reserved {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
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

    #[tokio::test]
    async fn reserve_waits_for_its_turn_and_takes_at_most_the_whole_budget() {
        let budget = MemoryBudget::new(10 << 10);
        let first = budget.reserve(4 << 10).await;
        let mut large = Box::pin(budget.reserve(usize::MAX));
        assert!(futures_util::poll!(large.as_mut()).is_pending());
        let mut small = Box::pin(budget.reserve(1));
        assert!(futures_util::poll!(small.as_mut()).is_pending(), "the large reservation comes first");
        drop(first);
        let large = large.await;
        assert!(futures_util::poll!(small.as_mut()).is_pending());
        drop(large);
        small.await;
    }

    #[tokio::test]
    async fn attached_reservation_lives_as_long_as_the_bytes() {
        let budget = MemoryBudget::new(10 << 10);
        let mut whole = budget.reserve(10 << 10).await;
        let bytes = whole.split(3 << 10).attach(Bytes::from_static(b"abc"));
        drop(whole);
        assert!(!budget.reservation().try_grow(8 << 10), "3 KiB are attached");
        let rest = bytes.slice(1..);
        drop(bytes);
        assert!(budget.reservation().try_grow(7 << 10));
        assert!(!budget.reservation().try_grow(8 << 10));
        assert_eq!(rest, "bc");
        drop(rest);
        assert!(budget.reservation().try_grow(10 << 10));
    }
}
