//! Fails responses whose generation was interrupted: they were in progress when their process ended.

use openai_dialect::responses::{Event, ResponseRequest};
use serde_json::Value;

use super::super::{
    history::items_to_json,
    live::LiveResponses,
    prepare,
    store::{Finished, ResponseStatus, ResponseStore, StoredEvent, StoredResponse},
};
use crate::{
    error::{Error, codes::OUTCOME_UNKNOWN},
    node::NodeId,
};

/// How many responses are read at a time.
const BATCH: u32 = 32;

/// Fails the responses that are in progress and that no running node generates: their calls may have been executed and billed. With
/// `own`, also those of this node, which has stopped generating.
///
/// # Errors
/// [`Error::Storage`].
pub(super) async fn fail_interrupted(
    store: &ResponseStore,
    live: &LiveResponses,
    own: Option<&NodeId>,
) -> Result<(), Error> {
    loop {
        let interrupted = store.interrupted(own, BATCH).await?;
        if interrupted.is_empty() {
            return Ok(());
        }
        for stored in interrupted {
            fail(store, live, stored).await?;
        }
    }
}

/// Fails a response that is in progress and is not generated any more.
///
/// # Errors
/// [`Error::Storage`].
pub(super) async fn fail(store: &ResponseStore, live: &LiveResponses, stored: StoredResponse) -> Result<(), Error> {
    let id = stored.id.clone();
    store.finish(failed(store, stored).await?).await?;
    live.of(&id).publish();
    Ok(())
}

/// Returns the end of an interrupted response.
async fn failed(store: &ResponseStore, stored: StoredResponse) -> Result<Finished, Error> {
    let StoredResponse { id, created_at, request, response, .. } = stored;
    let from = ResponseStatus::InProgress;
    let to = ResponseStatus::Failed;
    let Ok(parsed) = ResponseRequest::parse(&request) else {
        // Written by a later version. Its object stays as it was.
        return Ok(Finished { id, from, to, response, output_items: "[]".to_owned(), events: Vec::new() });
    };
    let mut writer = prepare::stored_writer(&parsed, &id, created_at, &response);
    // Brings the writer to the state of the earlier process, which has stored these events.
    writer.queued();
    writer.start();
    let events = writer.fail(
        OUTCOME_UNKNOWN,
        "the server ended while the response was generated; the model may have been called, and is not called again",
    );
    let next = store.next_event(&id).await?;
    let events = events.into_iter().zip(next..).map(|(event, number)| renumbered(&event, number)).collect();
    let output_items = items_to_json(writer.output_items());
    Ok(Finished { id, from, to, response: writer.response_json(), output_items, events })
}

/// Returns an event with another number: it follows those that the earlier process has stored.
fn renumbered(event: &Event, sequence_number: u64) -> StoredEvent {
    let data = match serde_json::from_str::<Value>(&event.data) {
        Ok(mut data) => {
            if let Some(number) = data.get_mut("sequence_number") {
                *number = sequence_number.into();
            }
            data.to_string()
        }
        // The writer writes objects only.
        Err(_) => event.data.clone(),
    };
    StoredEvent { sequence_number, kind: event.name.to_owned(), data }
}
