//! The memory of request bodies: bounded in sum.

use std::sync::{Arc, Mutex, PoisonError};

use http_server::{MemoryBudget, Reservation};

use crate::error::GatewayError;

/// The memory of the body of one request, also decompressed, reserved until the request has been handled. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct RequestMemory(Arc<Mutex<Reservation>>);

impl RequestMemory {
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
