//! An upstream that answers each request as the test says, packet by packet, and tells what it saw. What is scripted for
//! a path answers requests there; what is scripted for none, chat mostly, answers all others in the order of their coming.
//!
//! It writes to the socket itself: what a test is about is often exactly what a polite HTTP server would smooth over.

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Notify, Semaphore, mpsc},
    task::JoinSet,
};

use crate::harness::soon;

/// What the upstream does with one request.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    head: String,
    steps: Vec<Step>,
}

#[derive(Debug, Clone)]
enum Step {
    /// One packet of the body.
    Send(Vec<u8>),
    /// The same packet over and over, this many bytes in all. Whoever hangs up meanwhile has left.
    Pour { packet: Vec<u8>, total: usize, meter: Meter },
    /// Goes on once the gate was opened.
    Hold(Gate),
    /// Says nothing more, until the other side hangs up.
    Stall,
    /// Closes the connection in the middle of the body.
    Cut,
}

/// Where an upstream waits for the test.
#[derive(Debug, Clone)]
pub(crate) struct Gate(Arc<Semaphore>);

impl Gate {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    /// Lets one waiter through, now or when it comes.
    pub(crate) fn open(&self) {
        self.0.add_permits(1);
    }
}

/// How many bytes a pouring upstream has got rid of.
#[derive(Debug, Clone, Default)]
pub(crate) struct Meter(Arc<AtomicUsize>);

impl Meter {
    pub(crate) fn sent(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Reply {
    /// An answer of this status with a JSON body, or whatever else the text is.
    pub(crate) fn new(status: u16, body: &str) -> Self {
        let head = format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n");
        Self { head, steps: vec![] }.send(body)
    }

    /// An answer of 200 with these bytes.
    pub(crate) fn file(media_type: &str, bytes: &[u8]) -> Self {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {media_type}\r\ntransfer-encoding: chunked\r\n");
        Self { head, steps: vec![] }.send_bytes(bytes)
    }

    /// An event stream; what it carries is up to `send`.
    pub(crate) fn stream() -> Self {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n".to_owned();
        Self { head, steps: vec![] }
    }

    /// A stream of one text, said piece by piece, that ends as it should.
    pub(crate) fn saying(pieces: &[&str]) -> Self {
        let said = pieces.iter().fold(Self::stream(), |reply, piece| reply.send(&content(piece)));
        said.send(&format!("{}data: [DONE]\n\n", finish("stop")))
    }

    /// No answer at all.
    pub(crate) fn silence() -> Self {
        Self { head: String::new(), steps: vec![Step::Stall] }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.head = format!("{}{name}: {value}\r\n", self.head);
        self
    }

    pub(crate) fn send(self, text: &str) -> Self {
        self.send_bytes(text.as_bytes())
    }

    pub(crate) fn send_bytes(self, bytes: &[u8]) -> Self {
        self.then(Step::Send(bytes.to_vec()))
    }

    pub(crate) fn pour(self, packet: &str, total: usize, meter: &Meter) -> Self {
        self.then(Step::Pour { packet: packet.as_bytes().to_vec(), total, meter: meter.clone() })
    }

    pub(crate) fn hold(self, gate: &Gate) -> Self {
        self.then(Step::Hold(gate.clone()))
    }

    pub(crate) fn stall(self) -> Self {
        self.then(Step::Stall)
    }

    pub(crate) fn cut(self) -> Self {
        self.then(Step::Cut)
    }

    fn then(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
}

/// One event that says `text`, as an OpenAI-compatible server writes it.
pub(crate) fn content(text: &str) -> String {
    let text = serde_json::Value::from(text);
    format!(
        "data: {{\"id\":\"c-1\",\"object\":\"chat.completion.chunk\",\"created\":7,\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":{text}}},\"finish_reason\":null}}]}}\n\n"
    )
}

/// The event that ends a choice.
pub(crate) fn finish(reason: &str) -> String {
    format!(
        "data: {{\"id\":\"c-1\",\"object\":\"chat.completion.chunk\",\"created\":7,\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{{}},\"finish_reason\":\"{reason}\"}}]}}\n\n"
    )
}

/// A request as it arrived.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Request line and headers, in lower case.
    pub(crate) head: String,
    /// Path and query as they were sent.
    pub(crate) path: String,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The value of a header, in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// The upstream. Dropping it ends all its connections.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    seen: tokio::sync::Mutex<mpsc::UnboundedReceiver<Seen>>,
    _server: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    replies: Mutex<Replies>,
    tell: mpsc::UnboundedSender<Seen>,
    hung_up: Notify,
    finished: Notify,
}

#[derive(Debug, Default)]
struct Replies {
    anywhere: VecDeque<Reply>,
    at: HashMap<String, VecDeque<Reply>>,
}

impl Replies {
    fn take(&mut self, path: &str) -> Option<Reply> {
        let there = self.at.get_mut(path).and_then(VecDeque::pop_front);
        there.or_else(|| self.anywhere.pop_front())
    }
}

impl Upstream {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, seen) = mpsc::unbounded_channel();
        let shared =
            Arc::new(Shared { replies: Mutex::default(), tell, hung_up: Notify::new(), finished: Notify::new() });
        let mut server = JoinSet::new();
        server.spawn({
            let shared = shared.clone();
            async move {
                let mut connections = JoinSet::new();
                while let Ok((stream, _)) = listener.accept().await {
                    connections.spawn(converse(stream, shared.clone()));
                }
            }
        });
        Self { address, shared, seen: tokio::sync::Mutex::new(seen), _server: server }
    }

    /// What the next request will be answered with.
    pub(crate) fn will(&self, reply: Reply) {
        self.shared.replies().anywhere.push_back(reply);
    }

    /// What the next request to this path will be answered with.
    pub(crate) fn will_at(&self, path: &str, reply: Reply) {
        self.shared.replies().at.entry(path.to_owned()).or_default().push_back(reply);
    }

    /// The address of something here.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Takes back the replies that no request has come for.
    pub(crate) fn forget(&self) {
        self.shared.replies().anywhere.clear();
    }

    /// The next request that arrived.
    pub(crate) async fn saw(&self) -> Seen {
        soon("a request at the upstream", async { self.seen.lock().await.recv().await }).await.unwrap()
    }

    /// That nothing arrived which was not looked at.
    pub(crate) async fn saw_nothing(&self) {
        let unexpected = self.seen.lock().await.try_recv();
        assert!(unexpected.is_err(), "{unexpected:?}");
    }

    /// Waits until the other side closed a connection on which the upstream was stalling.
    pub(crate) async fn was_left(&self) {
        soon("the gateway to hang up on the upstream", self.shared.hung_up.notified()).await;
    }

    /// Waits until a reply that [pours](Reply::pour) was taken to its last byte.
    pub(crate) async fn was_read(&self) {
        soon("the gateway to read a reply to its end", self.shared.finished.notified()).await;
    }
}

impl Shared {
    fn replies(&self) -> MutexGuard<'_, Replies> {
        self.replies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn converse(mut stream: TcpStream, shared: Arc<Shared>) {
    stream.set_nodelay(true).unwrap();
    let mut buffer = Vec::new();
    while let Some(seen) = request(&mut stream, &mut buffer).await {
        let reply = shared.replies().take(&seen.path);
        let _ = shared.tell.send(seen);
        let reply = reply.unwrap_or_else(|| Reply::new(500, r#"{"error":{"message":"the test foresaw no request"}}"#));
        if answer(&mut stream, reply, &shared).await.is_none() {
            return;
        }
    }
}

/// Reads one request with a known length.
async fn request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Seen> {
    loop {
        if let Some(end) = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let head = String::from_utf8(buffer[..end].to_vec()).unwrap();
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            let head = head.to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
            if buffer.len() >= end + 4 + length {
                let body = buffer[end + 4..end + 4 + length].to_vec();
                buffer.drain(..end + 4 + length);
                return Some(Seen { head, path, body });
            }
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

/// Plays a reply; `None` when the connection is over.
async fn answer(stream: &mut TcpStream, reply: Reply, shared: &Shared) -> Option<()> {
    let pours = reply.steps.iter().any(|step| matches!(step, Step::Pour { .. }));
    if !reply.head.is_empty() {
        stream.write_all(format!("{}\r\n", reply.head).as_bytes()).await.ok()?;
    }
    for step in reply.steps {
        match step {
            Step::Send(bytes) if bytes.is_empty() => {}
            Step::Send(bytes) => {
                stream.write_all(&chunk(&bytes)).await.ok()?;
            }
            Step::Pour { packet, total, meter } => {
                let chunk = chunk(&packet);
                while meter.sent() < total {
                    if stream.write_all(&chunk).await.is_err() {
                        shared.hung_up.notify_one();
                        return None;
                    }
                    meter.0.fetch_add(chunk.len(), Ordering::Relaxed);
                }
            }
            Step::Hold(gate) => gate.0.acquire().await.unwrap().forget(),
            Step::Stall => {
                // A client that keeps the connection open sends nothing now, so whatever ends this is its leaving.
                let _ = stream.read(&mut [0; 1]).await;
                shared.hung_up.notify_one();
                return None;
            }
            Step::Cut => return None,
        }
    }
    stream.write_all(b"0\r\n\r\n").await.ok()?;
    if pours {
        shared.finished.notify_one();
    }
    Some(())
}

/// One piece of a body in the chunked encoding.
fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}
