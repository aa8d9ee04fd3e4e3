//! Group commit of pins. A pin protects a file in use from the sweepers of all processes. Readers that
//! need a pin at the same time share one transaction, and so one flush to disk.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::index::MediaIndex;
use crate::{error::Error, media::key::MediaKey};

/// Writes pins in batches. Clones share the batch.
#[derive(Debug, Clone)]
pub(super) struct Pins {
    index: MediaIndex,
    batch: Arc<Batch>,
}

#[derive(Debug, Default)]
struct Batch {
    /// The files to pin.
    waiting: Mutex<HashSet<MediaKey>>,
    /// Held by the caller that writes the pins of all waiting callers.
    turn: tokio::sync::Mutex<()>,
}

impl Pins {
    pub(super) fn new(index: MediaIndex) -> Self {
        Self { index, batch: Arc::default() }
    }

    /// Records a use of the file and pins it. Returns once the pin is in the database.
    ///
    /// The keys of a caller that fails or is cancelled are written by the next caller.
    pub(super) async fn pin(&self, key: &MediaKey) -> Result<(), Error> {
        self.waiting().insert(key.clone());
        let _turn = self.batch.turn.lock().await;
        let keys: Vec<_> = self.waiting().iter().cloned().collect();
        // Empty if the previous caller has written this pin too.
        self.index.pin(&keys, self.index.now()).await?;
        let mut waiting = self.waiting();
        for key in &keys {
            waiting.remove(key);
        }
        Ok(())
    }

    fn waiting(&self) -> MutexGuard<'_, HashSet<MediaKey>> {
        self.batch.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
