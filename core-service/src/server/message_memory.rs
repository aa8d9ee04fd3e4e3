//! The memory of request messages: bounded in sum.

use std::sync::{Arc, Mutex, PoisonError};

use http_server::{MemoryBudget, Reservation};

use crate::error::Error;

/// The memory of the messages of one request, reserved until the last clone is dropped.
#[derive(Debug, Clone)]
pub(super) struct MessageMemory(Arc<Mutex<Reservation>>);

impl MessageMemory {
    pub(super) fn new(budget: &MemoryBudget) -> Self {
        Self(Arc::new(Mutex::new(budget.reservation())))
    }

    /// Reserves memory.
    ///
    /// # Errors
    /// [`Error::LimitReached`] if the messages of all requests would exceed `grpc.body_memory_bytes`.
    pub(super) fn grow(&self, bytes: usize) -> Result<(), Error> {
        if self.0.lock().unwrap_or_else(PoisonError::into_inner).try_grow(bytes) {
            return Ok(());
        }
        let limit = "the server has reached its limit of memory for request messages (grpc.body_memory_bytes)";
        Err(Error::LimitReached(limit))
    }
}
