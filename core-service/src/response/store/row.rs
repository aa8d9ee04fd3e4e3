//! Decodes the rows of the tables `responses` and `response_events`.

use sqlx::Row as _;

use crate::{database::DbRow, keys::Owner, video::time::Timestamp};

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
    /// The request id of the call that created it.
    pub(crate) request_id: String,
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
        request_id: row.try_get("request_id")?,
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
