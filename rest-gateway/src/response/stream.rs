//! The event stream of a response.

use std::ops::ControlFlow;

use bytes::BytesMut;
use serde_json::json;
use triptych_proto::v1 as pb;

use crate::{
    error::GatewayError,
    sse::{self, Event},
};

/// Writes each event under the name of its type. Nothing follows the last event of the response.
#[derive(Debug, Default)]
pub(super) struct EventEncoder {
    /// The number of the event after the last one.
    next: u64,
}

impl sse::EventEncoder for EventEncoder {
    /// `None` for a message of the core without an event, which is not written.
    type Item = Option<pb::ResponseEvent>;

    fn encode(&mut self, event: Self::Item, out: &mut BytesMut) -> ControlFlow<()> {
        if let Some(pb::ResponseEvent { sequence_number, r#type, data_json }) = event {
            self.next = sequence_number + 1;
            Event { name: Some(&r#type), id: None, data: data_json.as_bytes() }.write(out);
        }
        ControlFlow::Continue(())
    }

    /// The error event of the Responses API has its members at the top level. It means that the stream has broken, for example because
    /// the core shuts down; a failure of the response itself is an event `response.failed`.
    fn encode_error(&mut self, error: &GatewayError, out: &mut BytesMut) {
        let data = json!({
            "type": "error",
            "code": error.code(),
            "message": error.message(),
            "param": error.param(),
            "sequence_number": self.next,
        });
        Event { name: Some("error"), id: None, data: data.to_string().as_bytes() }.write(out);
    }
}
