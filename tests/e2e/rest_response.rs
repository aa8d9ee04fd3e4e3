//! Reads REST responses: error bodies and event streams.

use reqwest::StatusCode;
use serde_json::Value;

use crate::test_server::within_timeout;

/// Asserts that a response is an error in OpenAI's form with a request id, and returns its status and the `error` object.
pub(crate) async fn error_body(response: reqwest::Response) -> (StatusCode, Value) {
    let status = response.status();
    assert!(response.headers().contains_key("x-request-id"), "no x-request-id: {response:?}");
    assert_eq!(response.headers()["content-type"], "application/json");
    let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    let error = &body["error"];
    for member in ["message", "type", "param", "code"] {
        assert!(error.get(member).is_some(), "{body} has no `{member}`");
    }
    assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{body}");
    (status, error.clone())
}

/// Reads an event stream as it arrives.
#[derive(Debug)]
pub(crate) struct Events {
    response: reqwest::Response,
    buffer: String,
    /// The first bytes of a character whose last bytes have not arrived.
    incomplete: Vec<u8>,
}

impl Events {
    pub(crate) fn new(response: reqwest::Response) -> Self {
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, buffer: String::new(), incomplete: Vec::new() }
    }

    /// Waits for the text of the next event; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.find("\n\n") {
                let event = self.buffer[..end].to_owned();
                self.buffer.drain(..end + 2);
                return Some(event);
            }
            let Some(bytes) = within_timeout("an event", self.response.chunk()).await.unwrap() else {
                assert_eq!(self.buffer, "", "the stream ended within an event");
                return None;
            };
            self.incomplete.extend_from_slice(&bytes);
            let complete = std::str::from_utf8(&self.incomplete).map_or_else(|error| error.valid_up_to(), str::len);
            self.buffer.push_str(std::str::from_utf8(&self.incomplete[..complete]).unwrap());
            self.incomplete.drain(..complete);
            assert!(self.incomplete.len() < 4, "the stream is not UTF-8");
        }
    }

    /// Reads all remaining events.
    pub(crate) async fn read_all(mut self) -> Vec<String> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }
}

/// Returns the JSON of an event that has nothing but a `data` line.
pub(crate) fn event_data(event: &str) -> Value {
    serde_json::from_str(event.strip_prefix("data: ").unwrap_or_else(|| panic!("event without data: {event}"))).unwrap()
}
