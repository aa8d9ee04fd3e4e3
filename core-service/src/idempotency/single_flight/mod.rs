//! Single flight: repeated requests share one execution and its response.
//!
//! A *flight* is an execution in progress, with the items of its response so far. A request joins the flight of an equal one that
//! is still running, or gets the cached response of one that has finished. The work of a flight belongs to no client. With an
//! idempotency key it runs to its end even if every client disconnects, because a client that sends a key intends to come back.
//! The work of an SDK call without a key is cancelled `SDK_GRACE` after the last client has disconnected. Failures are not cached,
//! so that the next attempt starts new work.
//!
//! Flights and responses are kept apart: running flights are in a map and are never evicted; responses are in a bounded
//! cache with a TTL.

use std::{
    collections::HashMap,
    fmt,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{
    FutureExt, StreamExt,
    stream::{self, BoxStream},
};
use moka::{Expiry, policy::EvictionPolicy, sync::Cache};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Fingerprint, Idempotency, Key, SDK_WINDOW, Scope};
use crate::error::{Error, ProviderError};

/// How long the work of an SDK call without a key continues after the last client has disconnected.
const SDK_GRACE: Duration = Duration::from_secs(15);
/// The maximum size of all cached responses, in bytes.
const MAX_BYTES: usize = 256 << 20;
/// The maximum number of cached responses.
const MAX_RESPONSES: usize = 4096;
/// The minimum weight of a cached response. The cache bounds the sum of weights only; this bounds the number as well.
const MIN_WEIGHT: usize = MAX_BYTES / MAX_RESPONSES;

/// Shares executions and responses among repeated requests. A response is a stream of items. Clones share the state.
pub struct SingleFlight<T> {
    shared: Arc<Shared<T>>,
}

/// The state that clones share.
struct Shared<T> {
    /// Running flights. Its lock also serializes the changes of `responses`, so that a flight moves there in one step.
    flights: Mutex<HashMap<Scope, Arc<Flight<T>>>>,
    responses: Cache<Scope, Arc<Response<T>>>,
    ttl: Duration,
    /// The size of an item in bytes.
    item_bytes: fn(&T) -> usize,
    tasks: TaskTracker,
    /// Ends all flights.
    closing: CancellationToken,
}

/// A request that is being executed.
#[derive(Debug)]
struct Flight<T> {
    fingerprint: Fingerprint,
    /// How long the response is cached.
    ttl: Duration,
    log: watch::Sender<Log<T>>,
}

/// The items of a flight so far.
#[derive(Debug)]
struct Log<T> {
    items: Vec<Result<T, Error>>,
    is_over: bool,
}

/// The response of a successful flight.
#[derive(Debug)]
struct Response<T> {
    fingerprint: Fingerprint,
    ttl: Duration,
    items: Vec<T>,
    bytes: usize,
}

/// A handle to a cached response.
#[derive(Debug)]
pub struct CachedResponse<T> {
    scope: Scope,
    response: Arc<Response<T>>,
}

impl<T> CachedResponse<T> {
    /// Returns the items of the response.
    pub fn items(&self) -> &[T] {
        &self.response.items
    }
}

impl<T> fmt::Debug for SingleFlight<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SingleFlight").field("ttl", &self.shared.ttl).finish_non_exhaustive()
    }
}

impl<T> Clone for SingleFlight<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T: Clone + Send + Sync + 'static> SingleFlight<T> {
    /// Creates a single flight that caches responses to requests with a key for `ttl`. With a `ttl` of zero it is disabled.
    /// `item_bytes` returns the size of an item.
    pub fn new(ttl: Duration, item_bytes: fn(&T) -> usize) -> Self {
        let responses = Cache::builder()
            .max_capacity(MAX_BYTES as u64)
            .weigher(|_, response: &Arc<Response<T>>| response.weight())
            // The default policy rejects new entries in favour of popular ones; here the newest are the likeliest to be used.
            .eviction_policy(EvictionPolicy::lru())
            .expire_after(ResponseTtl)
            .build();
        let shared = Shared {
            flights: Mutex::default(),
            responses,
            ttl,
            item_bytes,
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Returns whether responses are shared at all.
    pub fn is_enabled(&self) -> bool {
        !self.shared.ttl.is_zero()
    }

    /// Returns how long the response of a request with this key is cached.
    pub fn ttl(&self, key: &Key) -> Duration {
        match key {
            Key::Explicit(_) => self.shared.ttl,
            Key::Content(_) => self.shared.ttl.min(SDK_WINDOW),
        }
    }

    /// Returns the cached response that a call would get from [`join_or_start`](Self::join_or_start).
    pub fn cached(&self, call: &Idempotency) -> Option<CachedResponse<T>> {
        let flights = self.shared.flights();
        if !call.may_be_repetition || flights.contains_key(&call.scope) {
            return None;
        }
        let response = self.shared.responses.get(&call.scope)?;
        (response.fingerprint == call.fingerprint).then(|| CachedResponse { scope: call.scope.clone(), response })
    }

    /// Removes a cached response that is no longer valid, so that the next call starts new work.
    pub fn forget(&self, cached: &CachedResponse<T>) {
        let _flights = self.shared.flights();
        // A newer response may have replaced it.
        if self.shared.responses.get(&cached.scope).is_some_and(|current| Arc::ptr_eq(&current, &cached.response)) {
            self.shared.responses.invalidate(&cached.scope);
        }
    }

    /// Returns the response to a call from its first item on: that of an equal call if there is one, otherwise that of
    /// `work`, which is executed in a task.
    ///
    /// # Errors
    /// [`Error::IdempotencyConflict`] if the key was used for a different request.
    pub fn join_or_start(
        &self,
        call: Idempotency,
        work: impl FnOnce() -> BoxStream<'static, Result<T, Error>>,
    ) -> Result<BoxStream<'static, Result<T, Error>>, Error> {
        let Idempotency { scope, fingerprint, may_be_repetition } = call;
        let has_key = matches!(scope.key, Key::Explicit(_));
        let mut flights = self.shared.flights();
        if may_be_repetition {
            let check = |known: Fingerprint| {
                let conflict = || Error::IdempotencyConflict(scope.explicit_key().to_owned());
                if known == fingerprint { Ok(()) } else { Err(conflict()) }
            };
            if let Some(flight) = flights.get(&scope) {
                check(flight.fingerprint)?;
                return Ok(follow(flight.log.subscribe()));
            }
            if let Some(response) = self.shared.responses.get(&scope) {
                check(response.fingerprint)?;
                return Ok(stream::iter(response.items.clone()).map(Ok).boxed());
            }
        }
        // Before the flight is visible to others: if this panics, there is no flight that would never end.
        let work = work();
        let (log, reader) = watch::channel(Log { items: Vec::new(), is_over: false });
        let ttl = self.ttl(&scope.key);
        let flight = Arc::new(Flight { fingerprint, ttl, log });
        self.shared.responses.invalidate(&scope);
        flights.insert(scope.clone(), Arc::clone(&flight));
        drop(flights);
        let shared = Arc::clone(&self.shared);
        self.shared.tasks.spawn(async move {
            // All clients of the flight wait for this task; without the catch a panic would leave them waiting forever.
            let run = AssertUnwindSafe(flight.run(work)).catch_unwind();
            tokio::select! {
                result = run => if result.is_err() {
                    flight.end(Some(Error::Internal("the work of a shared request panicked".to_owned())));
                },
                () = abandoned(&flight.log), if !has_key => flight.end(Some(abandoned_error())),
                () = shared.closing.cancelled() => flight.end(Some(Error::ShuttingDown)),
            }
            shared.land(scope, &flight);
        });
        Ok(follow(reader))
    }

    /// Ends all flights with [`Error::ShuttingDown`] and waits for their tasks.
    pub async fn close(&self) {
        self.shared.closing.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}

impl<T: Clone + Send + Sync + 'static> Shared<T> {
    fn flights(&self) -> MutexGuard<'_, HashMap<Scope, Arc<Flight<T>>>> {
        // Every change is one insertion or removal, so that a panic cannot leave the map inconsistent.
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes a flight that is over and caches its response if it succeeded.
    fn land(&self, scope: Scope, flight: &Arc<Flight<T>>) {
        let response = flight.response(self.item_bytes);
        let mut flights = self.flights();
        // The first attempt of an SDK call without a key may have replaced this flight by its own.
        if !flights.get(&scope).is_some_and(|current| Arc::ptr_eq(current, flight)) {
            return;
        }
        flights.remove(&scope);
        if let Some(response) = response {
            self.responses.insert(scope, Arc::new(response));
        }
    }
}

impl<T: Clone> Flight<T> {
    async fn run(&self, mut work: BoxStream<'static, Result<T, Error>>) {
        while let Some(item) = work.next().await {
            self.log.send_modify(|log| log.items.push(item));
        }
        self.end(None);
    }

    fn end(&self, failure: Option<Error>) {
        self.log.send_modify(|log| {
            log.items.extend(failure.map(Err));
            log.is_over = true;
        });
    }

    /// Returns the response of a flight that is over; `None` if it failed.
    fn response(&self, item_bytes: fn(&T) -> usize) -> Option<Response<T>> {
        let items: Vec<T> = self.log.borrow().items.iter().cloned().collect::<Result<_, _>>().ok()?;
        let bytes = items.iter().map(item_bytes).sum();
        Some(Response { fingerprint: self.fingerprint, ttl: self.ttl, items, bytes })
    }
}

impl<T> Response<T> {
    fn weight(&self) -> u32 {
        u32::try_from(self.bytes.max(MIN_WEIGHT)).unwrap_or(u32::MAX)
    }
}

/// Expires each response after its own TTL.
struct ResponseTtl;

impl<T> Expiry<Scope, Arc<Response<T>>> for ResponseTtl {
    fn expire_after_create(&self, _: &Scope, response: &Arc<Response<T>>, _: std::time::Instant) -> Option<Duration> {
        Some(response.ttl)
    }
}

/// Returns the items of a log from the first one on, as they arrive.
fn follow<T: Clone + Send + Sync + 'static>(log: watch::Receiver<Log<T>>) -> BoxStream<'static, Result<T, Error>> {
    let items = stream::unfold((log, 0), |(mut log, next)| async move {
        // Fails only if the flight is dropped without an end, which its task rules out.
        let current = log.wait_for(|log| log.items.len() > next || log.is_over).await.ok()?;
        let item = current.items.get(next).cloned();
        drop(current);
        item.map(|item| (item, (log, next + 1)))
    });
    items.boxed()
}

/// Waits until a log has had no reader for `SDK_GRACE`.
async fn abandoned<T>(log: &watch::Sender<Log<T>>) {
    loop {
        log.closed().await;
        tokio::time::sleep(SDK_GRACE).await;
        if log.is_closed() {
            return;
        }
    }
}

fn abandoned_error() -> Error {
    ProviderError::Broken("all clients disconnected before the response was complete".to_owned()).into()
}

#[cfg(test)]
mod tests;
