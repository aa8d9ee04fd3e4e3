//! Memory reservations for request bodies, whose sum over all requests is bounded.

use std::sync::{Arc, Mutex, PoisonError};

use http_server::{MemoryBudget, Reservation};

use crate::error::GatewayError;

/// The memory reserved for the body of one request, also decompressed. Clones share the reservation, which ends when
/// the last one is dropped.
#[derive(Debug, Clone)]
pub(crate) struct RequestMemory(Arc<Mutex<Reservation>>);

impl RequestMemory {
    /// Creates an empty reservation.
    pub(crate) fn new(budget: &MemoryBudget) -> Self {
        Self(Arc::new(Mutex::new(budget.reservation())))
    }

    /// Reserves memory.
    ///
    /// # Errors
    /// 429 if the bodies of all requests would exceed `rest.body_memory_bytes`.
    pub(crate) fn grow(&self, bytes: usize) -> Result<(), GatewayError> {
        if self.0.lock().unwrap_or_else(PoisonError::into_inner).try_grow(bytes) {
            return Ok(());
        }
        let message = "the server has reached its limit of memory for request bodies (rest.body_memory_bytes)";
        Err(GatewayError::overloaded(message))
    }
}
