//! The replies of the fake upstream, and the events of chat streams.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::Semaphore;

/// The reaction of the upstream to one request: the head of its response, then the steps one after the other.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    /// Status line and headers; empty for no response at all.
    pub(super) head: String,
    pub(super) steps: Vec<Step>,
}

#[derive(Debug, Clone)]
pub(super) enum Step {
    /// Sends a part of the body in one write.
    Send(Vec<u8>),
    /// Sends the same packet until at least `total` bytes are sent or the client disconnects. `counter` counts them.
    Flood { packet: Vec<u8>, total: usize, counter: ByteCounter },
    /// Waits until the test opens the latch.
    WaitFor(Latch),
    /// Sends nothing more, and waits until the client disconnects.
    Stall,
    /// Closes the connection within the body.
    Abort,
}

/// A point at which the upstream waits for the test.
#[derive(Debug, Clone)]
pub(crate) struct Latch(pub(super) Arc<Semaphore>);

impl Latch {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    /// Lets one waiter through, the present one or the next one.
    pub(crate) fn open(&self) {
        self.0.add_permits(1);
    }
}

/// Counts the bytes of a flood that the upstream has written to its socket.
#[derive(Debug, Clone, Default)]
pub(crate) struct ByteCounter(Arc<AtomicUsize>);

impl ByteCounter {
    pub(crate) fn sent(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Reply {
    /// Replies with this status and body. The content type is `application/json` even if the body is something else.
    pub(crate) fn new(status: u16, body: &str) -> Self {
        let head = format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n");
        Self { head, steps: vec![] }.send(body)
    }

    /// Replies 200 with these bytes.
    pub(crate) fn file(media_type: &str, bytes: &[u8]) -> Self {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {media_type}\r\ntransfer-encoding: chunked\r\n");
        Self { head, steps: vec![] }.send_bytes(bytes)
    }

    /// Begins an event stream.
    pub(crate) fn stream() -> Self {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n".to_owned();
        Self { head, steps: vec![] }
    }

    /// Streams a text, one event for each part, with a finish reason and `[DONE]`.
    pub(crate) fn streamed_text(parts: &[&str]) -> Self {
        let reply = parts.iter().fold(Self::stream(), |reply, part| reply.send(&content_event(part)));
        reply.send(&format!("{}data: [DONE]\n\n", finish_event("stop")))
    }

    /// Sends nothing, and waits until the client disconnects.
    pub(crate) fn no_response() -> Self {
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

    /// Sends `packet` again and again, as fast as the client reads, until `total` bytes are sent.
    pub(crate) fn flood(self, packet: &str, total: usize, counter: &ByteCounter) -> Self {
        self.then(Step::Flood { packet: packet.as_bytes().to_vec(), total, counter: counter.clone() })
    }

    pub(crate) fn wait_for(self, latch: &Latch) -> Self {
        self.then(Step::WaitFor(latch.clone()))
    }

    /// Sends nothing more, and waits until the client disconnects.
    pub(crate) fn stall(self) -> Self {
        self.then(Step::Stall)
    }

    /// Closes the connection before the end of the body.
    pub(crate) fn abort(self) -> Self {
        self.then(Step::Abort)
    }

    /// Returns whether a client sees this reply as a failure of the upstream: an error status, or a response that does not end.
    pub(super) fn is_fault(&self) -> bool {
        let breaks = self.steps.iter().any(|step| matches!(step, Step::Stall | Step::Abort));
        breaks || !self.head.starts_with("HTTP/1.1 2")
    }

    fn then(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
}

/// Returns a chat stream's event with this content, as an OpenAI-compatible server writes it.
pub(crate) fn content_event(text: &str) -> String {
    let text = serde_json::Value::from(text);
    format!(
        "data: {{\"id\":\"c-1\",\"object\":\"chat.completion.chunk\",\"created\":7,\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":{text}}},\"finish_reason\":null}}]}}\n\n"
    )
}

/// Returns a chat stream's event with a finish reason.
pub(crate) fn finish_event(reason: &str) -> String {
    format!(
        "data: {{\"id\":\"c-1\",\"object\":\"chat.completion.chunk\",\"created\":7,\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{{}},\"finish_reason\":\"{reason}\"}}]}}\n\n"
    )
}
