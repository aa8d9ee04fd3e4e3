//! The stream of the events of a response in the background: those that are stored, then those that follow.

use std::{collections::VecDeque, sync::Arc};

use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};

use super::{
    live::{Changes, LiveResponse},
    store::{ResponseStore, StoredEvent},
};
use crate::error::Error;

/// The number of events that are read at a time. An event with an image has some megabytes, so this bounds the memory of a stream.
const BATCH: u32 = 16;

/// The position of a stream in the events of a response.
struct Follower {
    store: ResponseStore,
    id: String,
    /// The number of the next event.
    next: u64,
    /// Events that were read and not returned yet.
    read: VecDeque<StoredEvent>,
    ended: bool,
    changes: Changes,
}

/// Streams the events from number `first` on, until the last one of the response.
pub(super) fn follow(
    store: ResponseStore,
    id: String,
    first: u64,
    live: &Arc<LiveResponse>,
) -> BoxStream<'static, Result<StoredEvent, Error>> {
    // Subscribed before the first read: a change in between is seen.
    let changes = live.changes();
    let follower = Follower { store, id, next: first, read: VecDeque::new(), ended: false, changes };
    stream::try_unfold(
        follower,
        |mut follower| async move { Ok(follower.next().await?.map(|event| (event, follower))) },
    )
    .boxed()
}

impl Follower {
    async fn next(&mut self) -> Result<Option<StoredEvent>, Error> {
        loop {
            if let Some(event) = self.read.pop_front() {
                self.next = event.sequence_number + 1;
                return Ok(Some(event));
            }
            if self.ended {
                return Ok(None);
            }
            let (status, events) = self.store.events(&self.id, self.next, BATCH).await?;
            self.read = events.into();
            if self.read.is_empty() {
                if status.is_final() {
                    self.ended = true;
                } else {
                    self.changes.next().await;
                }
            }
        }
    }
}
