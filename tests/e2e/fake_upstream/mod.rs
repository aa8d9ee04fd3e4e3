//! A fake upstream that sends the replies which a test has enqueued, packet by packet, and records the requests it
//! receives.
//!
//! It writes to the socket itself: many tests are about bytes and connection states that an HTTP server library would
//! not produce.

mod connection;
mod reply;

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    net::TcpListener,
    sync::{Notify, mpsc},
    task::JoinSet,
};

pub(crate) use self::reply::{ByteCounter, Latch, Reply, content_event, finish_event};
use crate::test_server::within_timeout;

/// A request as it arrived.
#[derive(Debug)]
pub(crate) struct ReceivedRequest {
    /// Request line and headers, in lower case.
    pub(crate) head: String,
    /// Path and query as they were sent.
    pub(crate) path: String,
    pub(crate) body: Vec<u8>,
}

impl ReceivedRequest {
    /// Returns the body.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Returns the value of a header in lower case. `name` must be in lower case, too.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// The fake upstream. Dropping it closes all its connections, and fails the test if a fault that it has enqueued was not injected.
#[derive(Debug)]
pub(crate) struct FakeUpstream {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    /// Requests that the test has not taken yet.
    received: tokio::sync::Mutex<mpsc::UnboundedReceiver<ReceivedRequest>>,
    _server: JoinSet<()>,
}

/// State that the test shares with the connections.
#[derive(Debug)]
struct Shared {
    replies: Mutex<Replies>,
    requests: mpsc::UnboundedSender<ReceivedRequest>,
    /// A client closed a connection during a reply with a [stall](Reply::stall) or a [flood](Reply::flood).
    disconnected: Notify,
    /// A reply with a flood was written to its end: the client has read all of it but what the buffers of the sockets hold.
    flood_read: Notify,
}

/// Enqueued replies. Replies for the path of a request are taken before those for any path.
#[derive(Debug, Default)]
struct Replies {
    any_path: VecDeque<Reply>,
    by_path: HashMap<String, VecDeque<Reply>>,
    /// The paths of requests for which there was no reply.
    unexpected: Vec<String>,
}

impl Replies {
    fn take(&mut self, path: &str) -> Option<Reply> {
        let for_path = self.by_path.get_mut(path).and_then(VecDeque::pop_front);
        let reply = for_path.or_else(|| self.any_path.pop_front());
        if reply.is_none() {
            self.unexpected.push(path.to_owned());
        }
        reply
    }
}

impl FakeUpstream {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (requests, received) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            replies: Mutex::default(),
            requests,
            disconnected: Notify::new(),
            flood_read: Notify::new(),
        });
        let mut server = JoinSet::new();
        server.spawn({
            let shared = shared.clone();
            async move {
                let mut connections = JoinSet::new();
                while let Ok((stream, _)) = listener.accept().await {
                    connections.spawn(connection::serve(stream, shared.clone()));
                }
            }
        });
        Self { address, shared, received: tokio::sync::Mutex::new(received), _server: server }
    }

    /// Enqueues the reply to the next request for a path that has no replies of its own.
    pub(crate) fn enqueue(&self, reply: Reply) {
        self.shared.replies().any_path.push_back(reply);
    }

    /// Enqueues the reply to the next request for `path`, which includes the query.
    pub(crate) fn enqueue_at(&self, path: &str, reply: Reply) {
        self.shared.replies().by_path.entry(path.to_owned()).or_default().push_back(reply);
    }

    /// Returns the URL of a path at this upstream.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Removes the replies of [`enqueue`](Self::enqueue) that no request has taken.
    pub(crate) fn clear_replies(&self) {
        self.shared.replies().any_path.clear();
    }

    /// Waits for the next request and takes it.
    pub(crate) async fn received(&self) -> ReceivedRequest {
        within_timeout("a request at the upstream", async { self.received.lock().await.recv().await }).await.unwrap()
    }

    /// Takes the next requests without checking them: a test fails if it has not taken all requests by its end.
    pub(crate) async fn skip_requests(&self, count: usize) {
        for _ in 0..count {
            self.received().await;
        }
    }

    /// Asserts that every request was taken by [`received`](Self::received).
    pub(crate) async fn assert_no_request(&self) {
        let unexpected = self.received.lock().await.try_recv();
        assert!(unexpected.is_err(), "{unexpected:?}");
    }

    /// Waits until a client closes a connection on which a reply was stalling or flooding.
    pub(crate) async fn disconnected(&self) {
        within_timeout("the connection to the upstream to be closed", self.shared.disconnected.notified()).await;
    }

    /// Waits until a reply with a [flood](Reply::flood) has been read to its end.
    pub(crate) async fn response_read(&self) {
        within_timeout("the upstream's response to be read", self.shared.flood_read.notified()).await;
    }
}

impl Drop for FakeUpstream {
    /// Without these assertions, a test of a fault could succeed although no request met the fault, or met the error that a request
    /// without a reply gets.
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let replies = self.shared.replies();
        let left = replies.by_path.values().flatten().chain(&replies.any_path);
        let faults: Vec<_> = left.filter(|reply| reply.is_fault()).collect();
        assert!(faults.is_empty(), "no request has met these faults: {faults:?}");
        assert!(replies.unexpected.is_empty(), "requests without a reply: {:?}", replies.unexpected);
    }
}

impl Shared {
    fn replies(&self) -> MutexGuard<'_, Replies> {
        self.replies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
