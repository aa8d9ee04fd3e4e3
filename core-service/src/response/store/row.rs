//! Decodes the rows of the tables `responses` and `response_events`.

use sqlx::Row as _;
use tonic::metadata::{Ascii, MetadataValue};

use crate::{
    context::{RequestContext, TraceContext},
    database::DbRow,
    keys::Owner,
    video::time::Timestamp,
};

/// The state of a response, in OpenAI's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResponseStatus {
    /// Waits for a worker. Only responses in the background.
    Queued,
    /// Being generated. Only responses in the background are stored in this state.
    InProgress,
    /// Complete.
    Completed,
    /// Ended early: by a maximum of tokens, or by a content filter.
    Incomplete,
    /// Failed.
    Failed,
    /// Cancelled by the client.
    Cancelled,
}

impl ResponseStatus {
    const ALL: [Self; 6] =
        [Self::Queued, Self::InProgress, Self::Completed, Self::Incomplete, Self::Failed, Self::Cancelled];

    /// Returns the name in JSON and in the database.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Incomplete => "incomplete",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Returns the status with this name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }

    /// Returns whether the response does not change any more.
    pub(crate) const fn is_final(self) -> bool {
        match self {
            Self::Queued | Self::InProgress => false,
            Self::Completed | Self::Incomplete | Self::Failed | Self::Cancelled => true,
        }
    }
}

/// The longest `traceparent` or `tracestate` that is stored, in bytes; W3C requires 512 for the latter.
const MAX_TRACE_VALUE: usize = 512;

/// The call that created a response, for logs and the calls at upstreams.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CallOrigin {
    /// The request id.
    pub(crate) request_id: String,
    /// The W3C trace context.
    pub(crate) trace: TraceContext,
}

impl CallOrigin {
    /// Returns the origin of what a call with this context creates.
    pub(crate) fn of_call(context: &RequestContext) -> Self {
        Self { request_id: context.request_id.clone(), trace: context.trace.clone() }
    }

    /// Returns the text of the column `request_id`: the id, which has no spaces, and after a space each `traceparent` and `tracestate`,
    /// if the call has them. Nodes of earlier releases take the text as the id.
    pub(super) fn to_column(&self) -> String {
        let TraceContext { parent, state } = &self.trace;
        let trace = [parent, state].map(|value| value.as_ref().and_then(short_text));
        let trace = trace.into_iter().map_while(|value| value).flat_map(|value| [" ", value]);
        std::iter::once(self.request_id.as_str()).chain(trace).collect()
    }

    fn parse(column: &str) -> Self {
        let mut parts = column.splitn(3, ' ');
        let request_id = parts.next().unwrap_or_default().to_owned();
        let mut value = || parts.next().and_then(|text| text.parse().ok());
        Self { request_id, trace: TraceContext { parent: value(), state: value() } }
    }
}

fn short_text(value: &MetadataValue<Ascii>) -> Option<&str> {
    value.to_str().ok().filter(|text| text.len() <= MAX_TRACE_VALUE)
}

/// A stored response, without its items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredResponse {
    /// The id: `resp_…`.
    pub(crate) id: String,
    /// The owner.
    pub(crate) owner: Owner,
    /// The state.
    pub(crate) status: ResponseStatus,
    /// Whether it was created with `background`.
    pub(crate) background: bool,
    /// When it was created.
    pub(crate) created_at: Timestamp,
    /// The request id and the trace context of the call that created it.
    pub(crate) origin: CallOrigin,
    /// The request; empty once the response is final.
    pub(crate) request: String,
    /// The response object.
    pub(crate) response: String,
}

/// A stored event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredEvent {
    /// The number of the event within its response.
    pub(crate) sequence_number: u64,
    /// Its type.
    pub(crate) kind: String,
    /// Its JSON.
    pub(crate) data: String,
}

/// The columns of `responses` that [`response`] reads, and the fingerprint of its request.
macro_rules! columns {
    () => {
        "id, owner, status, background, created_at, request_id, request, response, fingerprint"
    };
}
pub(super) use columns;

/// Reads a row of `responses`.
pub(super) fn response(row: &DbRow) -> Result<StoredResponse, sqlx::Error> {
    Ok(StoredResponse {
        id: row.try_get("id")?,
        owner: Owner::new(row.try_get("owner")?),
        status: status(row)?,
        background: row.try_get::<i64, _>("background")? != 0,
        created_at: Timestamp(row.try_get("created_at")?),
        origin: CallOrigin::parse(row.try_get("request_id")?),
        request: row.try_get("request")?,
        response: row.try_get("response")?,
    })
}

/// Reads the column `status`.
pub(super) fn status(row: &DbRow) -> Result<ResponseStatus, sqlx::Error> {
    let name: &str = row.try_get("status")?;
    ResponseStatus::parse(name).ok_or_else(|| sqlx::Error::Decode(format!("unknown status `{name}`").into()))
}

/// Reads a row of `response_events`.
pub(super) fn event(row: &DbRow) -> Result<StoredEvent, sqlx::Error> {
    Ok(StoredEvent {
        sequence_number: row.try_get::<i64, _>("sequence_number")?.cast_unsigned(),
        kind: row.try_get("type")?,
        data: row.try_get("data")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trace_context_is_stored_behind_the_request_id() {
        let parent = || Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap());
        let state = || Some("a=1, b=2".parse().unwrap());
        for (parent, state, column) in [
            (None, None, "req_1"),
            (parent(), None, "req_1 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
            (parent(), state(), "req_1 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 a=1, b=2"),
        ] {
            let trace = TraceContext { parent, state };
            let origin = CallOrigin { request_id: "req_1".to_owned(), trace };
            assert_eq!(origin.to_column(), column);
            assert_eq!(CallOrigin::parse(column), origin);
        }
    }
}
