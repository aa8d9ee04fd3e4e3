//! Creates that are asked for again: a repeated request joins the first one and gets its answer, so that nothing is made,
//! and paid, twice.
//!
//! The work of a joined request belongs to no caller. With a key it goes on to its end whoever hangs up, since whoever
//! gave a key means to come back; an SDK's request without one ends soon after the last caller has left. Answers are kept
//! in memory for a while, within bounds; failures are not, so that the next try is a new one.

use std::{
    collections::HashMap,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{
    FutureExt, StreamExt,
    stream::{self, BoxStream},
};
use tokio::{sync::watch, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    error::{Error, ProviderError},
    idempotency::{Fingerprint, Idempotency, Key, SDK_WINDOW, Scope},
};

/// How long the work of an SDK call without a key continues after the last caller disconnected.
const SDK_GRACE: Duration = Duration::from_secs(15);
/// The most bytes of answers that are kept, and the most requests.
const MOST_BYTES: usize = 256 << 20;
const MOST_REQUESTS: usize = 4096;

/// Requests under way and answers kept. Clones share them.
#[derive(Debug)]
pub(super) struct Joined<T> {
    shared: Arc<Shared<T>>,
}

#[derive(Debug)]
struct Shared<T> {
    requests: Mutex<HashMap<Scope, Arc<Slot<T>>>>,
    ttl: Duration,
    /// How many bytes an item holds.
    weigh: fn(&T) -> usize,
    tasks: TaskTracker,
    closing: CancellationToken,
}

/// One request and what has come of it.
#[derive(Debug)]
struct Slot<T> {
    fingerprint: Fingerprint,
    keep: Duration,
    log: watch::Sender<Log<T>>,
}

#[derive(Debug)]
struct Log<T> {
    items: Vec<Result<T, Error>>,
    bytes: usize,
    over: Option<Instant>,
}

/// A request that is over and whose answer is kept.
pub(super) struct Kept<T> {
    place: Scope,
    slot: Arc<Slot<T>>,
}

impl<T: Clone> Kept<T> {
    /// What came of it.
    pub(super) fn items(&self) -> Vec<T> {
        self.slot.log.borrow().items.iter().flatten().cloned().collect()
    }
}

impl<T> Clone for Joined<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T: Clone + Send + Sync + 'static> Joined<T> {
    /// Joins requests with a key for so long after their end; zero joins nothing.
    pub(super) fn new(ttl: Duration, weigh: fn(&T) -> usize) -> Self {
        let shared = Shared {
            requests: Mutex::default(),
            ttl,
            weigh,
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Whether responses are shared at all.
    pub(super) fn is_enabled(&self) -> bool {
        !self.shared.ttl.is_zero()
    }

    /// The answer that a request of this content would join, where it is over.
    pub(super) fn kept(&self, call: &Idempotency) -> Option<Kept<T>> {
        let slot = Arc::clone(self.requests().get(&call.scope)?);
        let over = slot.fingerprint == call.fingerprint && slot.log.borrow().over.is_some();
        (over && call.repeated).then(|| Kept { place: call.scope.clone(), slot })
    }

    /// Forgets an answer that is of no use any more: the next time is a new one.
    pub(super) fn forget(&self, kept: &Kept<T>) {
        let mut requests = self.requests();
        // Another request may have taken the place by now.
        if requests.get(&kept.place).is_some_and(|there| Arc::ptr_eq(there, &kept.slot)) {
            requests.remove(&kept.place);
        }
    }

    /// What comes of the request of this content: the items of its first time, from the beginning, or of `work` if this
    /// is it.
    ///
    /// # Errors
    /// [`Error::IdempotencyConflict`]: the key stands for another request.
    pub(super) fn enter(
        &self,
        call: Idempotency,
        work: impl FnOnce() -> BoxStream<'static, Result<T, Error>>,
    ) -> Result<BoxStream<'static, Result<T, Error>>, Error> {
        let Idempotency { scope, fingerprint, repeated } = call;
        let explicit = matches!(scope.key, Key::Explicit(_));
        let mut requests = self.requests();
        Shared::tidy(&mut requests);
        if let Some(slot) = requests.get(&scope).filter(|_| repeated) {
            if slot.fingerprint != fingerprint {
                return Err(Error::IdempotencyConflict(scope.explicit_key().to_owned()));
            }
            return Ok(follow(slot.log.subscribe()));
        }
        // Before anybody can wait for it: nothing ends a request whose work never came about.
        let work = work();
        let (log, reader) = watch::channel(Log { items: Vec::new(), bytes: 0, over: None });
        let keep = if explicit { self.shared.ttl } else { self.shared.ttl.min(SDK_WINDOW) };
        let slot = Arc::new(Slot { fingerprint, keep, log });
        requests.insert(scope.clone(), Arc::clone(&slot));
        drop(requests);
        let shared = Arc::clone(&self.shared);
        self.shared.tasks.spawn(async move {
            // All who wait for the request wait for this task, and a panic that ended it would leave them waiting for ever.
            let driven = AssertUnwindSafe(shared.drive(&slot, work)).catch_unwind();
            tokio::select! {
                driven = driven => if driven.is_err() {
                    slot.end(Some(Error::Internal("the work of a joined request panicked".to_owned())));
                },
                () = abandoned(&slot.log), if !explicit => slot.end(Some(given_up())),
                () = shared.closing.cancelled() => slot.end(Some(Error::ShuttingDown)),
            }
            shared.settle(&scope, &slot);
        });
        Ok(follow(reader))
    }

    /// Ends what is under way and waits for it.
    pub(super) async fn close(&self) {
        self.shared.closing.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    fn requests(&self) -> MutexGuard<'_, HashMap<Scope, Arc<Slot<T>>>> {
        self.shared.requests()
    }
}

impl<T: Clone> Shared<T> {
    fn requests(&self) -> MutexGuard<'_, HashMap<Scope, Arc<Slot<T>>>> {
        // Nobody can panic while holding it in a state that matters: every change is one insertion or removal.
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn drive(&self, slot: &Slot<T>, mut work: BoxStream<'static, Result<T, Error>>) {
        while let Some(item) = work.next().await {
            let bytes = item.as_ref().map_or(0, self.weigh);
            slot.log.send_modify(|log| {
                log.items.push(item);
                log.bytes += bytes;
            });
        }
        slot.end(None);
    }

    /// Forgets a request that failed, and whatever is too old or too much.
    fn settle(&self, place: &Scope, slot: &Arc<Slot<T>>) {
        let failed = slot.log.borrow().items.iter().any(Result::is_err);
        let mut requests = self.requests();
        // Another request may have taken the place by now.
        if failed && requests.get(place).is_some_and(|there| Arc::ptr_eq(there, slot)) {
            requests.remove(place);
        }
        Self::tidy(&mut requests);
    }

    fn tidy(requests: &mut HashMap<Scope, Arc<Slot<T>>>) {
        let now = Instant::now();
        requests.retain(|_, slot| slot.log.borrow().over.is_none_or(|over| now < over + slot.keep));
        let mut ended: Vec<_> = requests
            .iter()
            .filter_map(|(place, slot)| {
                let log = slot.log.borrow();
                Some((log.over?, place.clone(), log.bytes))
            })
            .collect();
        let mut bytes: usize = ended.iter().map(|(_, _, bytes)| bytes).sum();
        ended.sort_unstable_by_key(|(over, ..)| *over);
        for (_, place, own) in ended {
            if bytes <= MOST_BYTES && requests.len() <= MOST_REQUESTS {
                break;
            }
            requests.remove(&place);
            bytes -= own;
        }
    }
}

impl<T> Slot<T> {
    fn end(&self, failure: Option<Error>) {
        self.log.send_modify(|log| {
            log.items.extend(failure.map(Err));
            log.over = Some(Instant::now());
        });
    }
}

/// The items of a log from its beginning, as they come.
fn follow<T: Clone + Send + Sync + 'static>(log: watch::Receiver<Log<T>>) -> BoxStream<'static, Result<T, Error>> {
    let items = stream::unfold((log, 0), |(mut log, next)| async move {
        // Its sender lives as long as the request does.
        let there = log.wait_for(|log| log.items.len() > next || log.over.is_some()).await.ok()?;
        let item = there.items.get(next).cloned();
        drop(there);
        item.map(|item| (item, (log, next + 1)))
    });
    items.boxed()
}

/// Waits until nobody has followed a request for a while.
async fn abandoned<T>(log: &watch::Sender<Log<T>>) {
    loop {
        log.closed().await;
        tokio::time::sleep(SDK_GRACE).await;
        if log.is_closed() {
            return;
        }
    }
}

fn given_up() -> Error {
    ProviderError::Broken("nobody waited for the pictures any more".to_owned()).into()
}

#[cfg(test)]
mod tests;
