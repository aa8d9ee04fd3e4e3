//! The state of a connection that its timeouts depend on: since when it waits for a request head, is idle, cannot
//! write, or lingers after its end.

use std::{
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicU64, AtomicUsize,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    time::Duration,
};

use tokio::time::Instant;

use crate::ServerSettings;

/// The beginning of the connection preface of HTTP/2.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM";

/// How long a closing connection reads on, so that the response reaches a client that is still sending its body: a socket
/// that is closed with unread bytes is reset, and the reset discards the response at the client.
const LINGER: Duration = Duration::from_secs(5);

/// The state of a connection. Written by its socket and its requests, read by the task of the connection.
#[derive(Debug)]
pub(crate) struct Activity {
    /// When the connection was accepted.
    start: Instant,
    http2: AtomicBool,
    had_request: AtomicBool,
    /// The number of requests in flight.
    in_flight: AtomicUsize,
    /// The number of request bodies whose rest is being discarded.
    discarding: AtomicUsize,
    idle_since: Moment,
    /// When the first byte of a request head arrived, until the head is complete.
    head_since: Moment,
    write_blocked_since: Moment,
    /// Whether the connection lingers when it closes: see [`LINGER`].
    must_linger: AtomicBool,
    lingering_since: Moment,
}

/// Marks that the rest of a request body is being discarded, until this is dropped.
#[derive(Debug)]
pub(crate) struct Discarding(Arc<Activity>);

impl Discarding {
    pub(crate) fn new(activity: Arc<Activity>) -> Self {
        activity.discarding.fetch_add(1, Relaxed);
        Self(activity)
    }
}

impl Drop for Discarding {
    fn drop(&mut self) {
        self.0.discarding.fetch_sub(1, Relaxed);
    }
}

/// The action when a timeout expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// The connection is closed.
    Close,
    /// The connection takes no further requests, and closes after those in flight.
    Finish,
}

impl Activity {
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
            http2: AtomicBool::new(false),
            had_request: AtomicBool::new(false),
            in_flight: AtomicUsize::new(0),
            discarding: AtomicUsize::new(0),
            idle_since: Moment::default(),
            head_since: Moment::default(),
            write_blocked_since: Moment::default(),
            must_linger: AtomicBool::new(false),
            lingering_since: Moment::default(),
        }
    }

    pub(crate) fn request_started(&self, http2: bool) {
        self.http2.store(http2, Relaxed);
        self.had_request.store(true, Relaxed);
        self.in_flight.fetch_add(1, Relaxed);
        self.head_since.clear();
    }

    pub(crate) fn request_ended(&self) {
        // Before the count is decremented: the task of the connection may read both in between, on another thread.
        self.idle_since.set(self.start);
        self.in_flight.fetch_sub(1, Release);
    }

    /// Records bytes from the client. The first bytes decide the protocol; an HTTP/2 client may wait with its first request.
    pub(crate) fn bytes_read(&self, bytes: &[u8]) {
        // The first read sets `head_since`, below.
        if !self.had_request() && !self.head_since.is_set() && bytes.starts_with(HTTP2_PREFACE) {
            self.http2.store(true, Relaxed);
            self.idle_since.set(self.start);
        }
        // The rest of a body is no head.
        if self.is_idle() && self.discarding.load(Relaxed) == 0 && !self.head_since.is_set() {
            self.head_since.set(self.start);
        }
    }

    pub(crate) fn write_blocked(&self) {
        if !self.write_blocked_since.is_set() {
            self.write_blocked_since.set(self.start);
        }
    }

    pub(crate) fn bytes_written(&self) {
        if self.write_blocked_since.is_set() {
            self.write_blocked_since.clear();
            self.idle_since.set(self.start);
        }
    }

    /// Lets the connection linger when it closes, because the client may still be sending: see [`LINGER`].
    pub(crate) fn request_linger(&self) {
        self.must_linger.store(true, Relaxed);
    }

    pub(crate) fn must_linger(&self) -> bool {
        self.must_linger.load(Relaxed)
    }

    /// Records that the connection has begun to linger.
    pub(crate) fn linger_started(&self) {
        if !self.lingering_since.is_set() {
            self.lingering_since.set(self.start);
        }
    }

    /// Returns whether no request is in flight and no write is blocked. A request ends when hyper drops the body of its response, which
    /// is before the last chunk is sent.
    pub(crate) fn is_idle(&self) -> bool {
        self.in_flight.load(Acquire) == 0 && !self.write_blocked_since.is_set()
    }

    pub(crate) fn is_http2(&self) -> bool {
        self.http2.load(Relaxed)
    }

    pub(crate) fn had_request(&self) -> bool {
        self.had_request.load(Relaxed)
    }

    /// Returns whether nothing has arrived on the connection yet.
    pub(crate) fn is_unused(&self) -> bool {
        !self.had_request() && !self.is_http2() && !self.head_since.is_set()
    }

    /// Returns the next deadline and its action; `None` while no timeout applies.
    pub(crate) fn expiry(&self, settings: &ServerSettings) -> Option<(Instant, Expiry)> {
        let at = |moment: &Moment, timeout| moment.get(self.start).map(|since| since + timeout);
        let write = at(&self.write_blocked_since, settings.write_timeout);
        let close = write.into_iter().chain(at(&self.lingering_since, LINGER)).min().map(|at| (at, Expiry::Close));
        close.into_iter().chain(self.idle_expiry(settings)).min_by_key(|&(at, _)| at)
    }

    fn idle_expiry(&self, settings: &ServerSettings) -> Option<(Instant, Expiry)> {
        if !self.is_idle() {
            return None;
        }
        if !self.had_request() && !self.is_http2() {
            return Some((self.start + settings.header_timeout, Expiry::Close));
        }
        // Between the requests of an HTTP/2 connection there are other frames, such as pings.
        if !self.is_http2()
            && let Some(since) = self.head_since.get(self.start)
        {
            return Some((since + settings.header_timeout, Expiry::Close));
        }
        let since = self.idle_since.get(self.start)?;
        Some((since + settings.idle_timeout, Expiry::Finish))
    }
}

/// A point in time, in milliseconds after the start of the connection plus one; 0 for none.
#[derive(Debug, Default)]
struct Moment(AtomicU64);

impl Moment {
    fn set(&self, start: Instant) {
        let millis = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.0.store(millis + 1, Relaxed);
    }

    fn clear(&self) {
        self.0.store(0, Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.load(Relaxed) != 0
    }

    fn get(&self, start: Instant) -> Option<Instant> {
        self.0.load(Relaxed).checked_sub(1).map(|millis| start + Duration::from_millis(millis))
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    /// Returns the seconds until the next timeout, and its action.
    fn seconds(activity: &Activity) -> Option<(u64, Expiry)> {
        let settings = ServerSettings {
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_mins(1),
            ..ServerSettings::default()
        };
        let (at, expiry) = activity.expiry(&settings)?;
        Some(((at - Instant::now()).as_secs(), expiry))
    }

    #[tokio::test(start_paused = true)]
    async fn first_head_is_timed_from_the_accept_even_if_bytes_arrive() {
        let activity = Activity::new();
        advance(Duration::from_secs(4)).await;
        activity.bytes_read(b"GET");
        assert_eq!(seconds(&activity), Some((6, Expiry::Close)));
    }

    #[tokio::test(start_paused = true)]
    async fn later_head_is_timed_from_its_first_byte() {
        let activity = Activity::new();
        activity.request_started(false);
        activity.bytes_read(b"GET");
        assert_eq!(seconds(&activity), None, "the time of a request is limited elsewhere");
        activity.request_ended();
        advance(Duration::from_secs(20)).await;
        assert_eq!(seconds(&activity), Some((55, Expiry::Finish)));
        activity.bytes_read(b"GET");
        advance(Duration::from_secs(3)).await;
        activity.bytes_read(b"GET");
        assert_eq!(seconds(&activity), Some((7, Expiry::Close)));
    }

    #[tokio::test(start_paused = true)]
    async fn http2_connection_without_a_request_is_idle_once_its_preface_has_arrived() {
        let activity = Activity::new();
        advance(Duration::from_secs(4)).await;
        activity.bytes_read(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        assert_eq!(seconds(&activity), Some((75, Expiry::Finish)));
    }

    #[tokio::test(start_paused = true)]
    async fn pings_do_not_extend_the_idle_time_of_an_http2_connection() {
        let activity = Activity::new();
        activity.request_started(true);
        activity.request_started(true);
        activity.request_ended();
        assert_eq!(seconds(&activity), None);
        activity.request_ended();
        advance(Duration::from_secs(70)).await;
        // The bytes of a ping: on HTTP/2, bytes of any content begin no head.
        activity.bytes_read(b"GET");
        assert_eq!(seconds(&activity), Some((5, Expiry::Finish)));
    }

    #[tokio::test(start_paused = true)]
    async fn blocked_write_is_timed_until_bytes_are_written() {
        let activity = Activity::new();
        activity.request_started(false);
        activity.write_blocked();
        advance(Duration::from_secs(50)).await;
        activity.write_blocked();
        assert_eq!(seconds(&activity), Some((10, Expiry::Close)));
        activity.bytes_written();
        assert_eq!(seconds(&activity), None);
    }
}
