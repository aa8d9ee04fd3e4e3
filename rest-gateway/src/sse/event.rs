//! The format of server-sent events: <https://html.spec.whatwg.org/multipage/server-sent-events.html>. Each modality
//! has its own [`EventEncoder`].

use std::ops::ControlFlow;

use bytes::BytesMut;

use crate::error::GatewayError;

/// Encodes the items of one stream as events. The stream itself yields `Result`s of items.
pub(crate) trait EventEncoder: Send + 'static {
    /// The item that the stream yields.
    type Item;

    /// Appends the events of an item. `Break` ends the response after them and drops the stream, which cancels the call.
    fn encode(&mut self, item: Self::Item, out: &mut BytesMut) -> ControlFlow<()>;

    /// Appends the event of an error, the last of the response. OpenAI's clients raise an exception for `event: error`.
    fn encode_error(&mut self, error: &GatewayError, out: &mut BytesMut) {
        Event { name: Some("error"), id: None, data: &error.to_json() }.write(out);
    }

    /// Appends the event after the last item, if there is one.
    fn encode_end(&mut self, _out: &mut BytesMut) {}
}

/// One event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event<'a> {
    /// The `event:` line.
    pub(crate) name: Option<&'a str>,
    /// The `id:` line.
    pub(crate) id: Option<u64>,
    /// The `data:` line, without a line break.
    pub(crate) data: &'a [u8],
}

impl Event<'_> {
    /// Appends the event.
    pub(crate) fn write(self, out: &mut BytesMut) {
        if let Some(name) = self.name {
            out.extend_from_slice(b"event: ");
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\n");
        }
        if let Some(id) = self.id {
            out.extend_from_slice(format!("id: {id}\n").as_bytes());
        }
        for part in [b"data: ", self.data, b"\n\n"] {
            out.extend_from_slice(part);
        }
    }
}
