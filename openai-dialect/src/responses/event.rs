//! The events of a streamed response.

use crate::json::write::{ObjectWriter, write_object};

/// An event, as the stream of a response carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The position in the stream, from 0 without gaps.
    pub sequence_number: u64,
    /// The type, for example `response.output_text.delta`; also the `event` field of the server-sent event.
    pub name: &'static str,
    /// The JSON object, with `type` and `sequence_number`. One line.
    pub data: String,
}

/// Numbers the events of one response, and holds those that have not been taken.
#[derive(Debug, Default)]
pub(super) struct Emitter {
    next: u64,
    events: Vec<Event>,
}

impl Emitter {
    /// Adds an event with `type`, `sequence_number` and these members.
    pub(super) fn emit(&mut self, name: &'static str, members: impl FnOnce(&mut ObjectWriter<'_>)) {
        let sequence_number = self.next;
        self.next += 1;
        let mut data = Vec::with_capacity(256);
        write_object(&mut data, |o| {
            o.scalar("type", name);
            o.scalar("sequence_number", &sequence_number);
            members(o);
        });
        self.events.push(Event { sequence_number, name, data: json_text(data) });
    }

    /// Returns the events since the last call.
    pub(super) fn take(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }
}

/// Returns the text of JSON that was written. Raw members come from strings, so it is valid UTF-8.
pub(super) fn json_text(json: Vec<u8>) -> String {
    String::from_utf8(json).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}
