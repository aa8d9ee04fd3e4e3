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
use prost::Message;
use sha2::{Digest, Sha256};
use tokio::{sync::watch, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::metadata::MetadataMap;

use crate::{
    error::{Error, ProviderError},
    keys::Caller,
};

/// How often an official SDK has sent the same request before; it says so of every request, in metadata and header alike.
const RETRY_COUNT: &str = "x-stainless-retry-count";
/// How long an SDK's answer is kept, and its work goes on without a caller: it comes back within seconds or not at all.
const SDK: Duration = Duration::from_mins(1);
const SDK_GRACE: Duration = Duration::from_secs(15);
/// The most bytes of answers that are kept, and the most requests.
const MOST_BYTES: usize = 256 << 20;
const MOST_REQUESTS: usize = 4096;

/// SHA-256 of something.
type Hash = [u8; 32];

/// Contents longer than this are hashed off the async threads.
const LONG: usize = 1 << 20;

/// Requests under way and answers kept. Clones share them.
#[derive(Debug)]
pub(super) struct Joined<T> {
    shared: Arc<Shared<T>>,
}

#[derive(Debug)]
struct Shared<T> {
    requests: Mutex<HashMap<Hash, Arc<Slot<T>>>>,
    ttl: Duration,
    /// How many bytes an item holds.
    weigh: fn(&T) -> usize,
    tasks: TaskTracker,
    closing: CancellationToken,
}

/// One request and what has come of it.
#[derive(Debug)]
struct Slot<T> {
    fingerprint: Hash,
    keep: Duration,
    log: watch::Sender<Log<T>>,
}

#[derive(Debug)]
struct Log<T> {
    items: Vec<Result<T, Error>>,
    bytes: usize,
    over: Option<Instant>,
}

/// By whom and under which name a request may be joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ticket {
    caller: Hash,
    /// `None`: by its content.
    key: Option<String>,
    /// Whether it was sent before, or may have been.
    repeated: bool,
}

/// A request that is over and whose answer is kept.
pub(super) struct Kept<T> {
    place: Hash,
    slot: Arc<Slot<T>>,
}

impl Ticket {
    /// The same for a caller who is known by name, whichever secret the request shows.
    pub(super) fn of(self, caller: &Caller) -> Self {
        match caller.name() {
            Some(name) => Self { caller: Sha256::digest(name).into(), ..self },
            None => self,
        }
    }

    /// Where a request of this content has its place.
    fn place(&self, fingerprint: &Hash) -> Hash {
        let name = self.key.as_ref().map_or(&fingerprint[..], String::as_bytes);
        let place = Sha256::new().chain_update(self.caller).chain_update([u8::from(self.key.is_none())]);
        place.chain_update(name).finalize().into()
    }
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

    /// How a request may be joined; `None`: not at all.
    pub(super) fn ticket(&self, metadata: &MetadataMap, key: &str) -> Option<Ticket> {
        if self.shared.ttl.is_zero() {
            return None;
        }
        let tries = metadata.get(RETRY_COUNT).and_then(|value| value.to_str().ok()?.parse::<u32>().ok());
        let repeated = match (key, tries) {
            ("", None) => return None,
            ("", Some(tries)) => tries > 0,
            (_, _) => true,
        };
        let caller = metadata.get("authorization").map_or(&b""[..], |value| value.as_bytes());
        let key = (!key.is_empty()).then(|| key.to_owned());
        Some(Ticket { caller: Sha256::digest(caller).into(), key, repeated })
    }

    /// The answer that a request of this content would join, where it is over.
    pub(super) fn kept(&self, ticket: &Ticket, fingerprint: &Hash) -> Option<Kept<T>> {
        let place = ticket.place(fingerprint);
        let slot = Arc::clone(self.requests().get(&place)?);
        let over = slot.fingerprint == *fingerprint && slot.log.borrow().over.is_some();
        (over && ticket.repeated).then_some(Kept { place, slot })
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
        ticket: Ticket,
        fingerprint: Hash,
        work: impl FnOnce() -> BoxStream<'static, Result<T, Error>>,
    ) -> Result<BoxStream<'static, Result<T, Error>>, Error> {
        let place = ticket.place(&fingerprint);
        let Ticket { caller: _, key, repeated } = ticket;
        let mut requests = self.requests();
        Shared::tidy(&mut requests);
        if let Some(slot) = requests.get(&place).filter(|_| repeated) {
            if slot.fingerprint != fingerprint {
                return Err(Error::IdempotencyConflict(key.unwrap_or_default()));
            }
            return Ok(follow(slot.log.subscribe()));
        }
        // Before anybody can wait for it: nothing ends a request whose work never came about.
        let work = work();
        let (log, reader) = watch::channel(Log { items: Vec::new(), bytes: 0, over: None });
        let keep = if key.is_some() { self.shared.ttl } else { self.shared.ttl.min(SDK) };
        let slot = Arc::new(Slot { fingerprint, keep, log });
        requests.insert(place, Arc::clone(&slot));
        drop(requests);
        let (shared, stays) = (Arc::clone(&self.shared), key.is_some());
        self.shared.tasks.spawn(async move {
            // All who wait for the request wait for this task, and a panic that ended it would leave them waiting for ever.
            let driven = AssertUnwindSafe(shared.drive(&slot, work)).catch_unwind();
            tokio::select! {
                driven = driven => if driven.is_err() {
                    slot.end(Some(Error::Internal("the work of a joined request panicked".to_owned())));
                },
                () = abandoned(&slot.log), if !stays => slot.end(Some(given_up())),
                () = shared.closing.cancelled() => slot.end(Some(Error::ShuttingDown)),
            }
            shared.settle(place, &slot);
        });
        Ok(follow(reader))
    }

    /// Ends what is under way and waits for it.
    pub(super) async fn close(&self) {
        self.shared.closing.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    fn requests(&self) -> MutexGuard<'_, HashMap<Hash, Arc<Slot<T>>>> {
        self.shared.requests()
    }
}

impl<T: Clone> Shared<T> {
    fn requests(&self) -> MutexGuard<'_, HashMap<Hash, Arc<Slot<T>>>> {
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
    fn settle(&self, place: Hash, slot: &Arc<Slot<T>>) {
        let failed = slot.log.borrow().items.iter().any(Result::is_err);
        let mut requests = self.requests();
        // Another request may have taken the place by now.
        if failed && requests.get(&place).is_some_and(|there| Arc::ptr_eq(there, slot)) {
            requests.remove(&place);
        }
        Self::tidy(&mut requests);
    }

    fn tidy(requests: &mut HashMap<Hash, Arc<Slot<T>>>) {
        let now = Instant::now();
        requests.retain(|_, slot| slot.log.borrow().over.is_none_or(|over| now < over + slot.keep));
        let mut ended: Vec<_> = requests
            .iter()
            .filter_map(|(place, slot)| {
                let log = slot.log.borrow();
                Some((log.over?, *place, log.bytes))
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

/// What tells a request from others under the same key; `kind` tells the calls from one another.
pub(super) async fn fingerprint(kind: u8, request: impl Message + 'static) -> Hash {
    let length = request.encoded_len();
    let hash = move || Sha256::new().chain_update([kind]).chain_update(request.encode_to_vec()).finalize().into();
    if length <= LONG {
        return hash();
    }
    // A message that cannot be hashed joins nothing but its like.
    tokio::task::spawn_blocking(hash).await.unwrap_or_default()
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
