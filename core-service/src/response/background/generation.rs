//! The generation of one response in the background, after this node has claimed it.

use std::{pin::pin, sync::Arc, time::Duration};

use openai_dialect::responses::{Event, ResponseRequest, ResponseWriter};
use tokio::time::{Instant, sleep, sleep_until};
use triptych_telemetry::{CallEnd, Status};

use super::super::{
    calls::{CallIdentity, ModelCalls},
    execution::Execution,
    failure,
    history::items_to_json,
    live::LiveResponse,
    prepare::{self, Prepared, to_stored},
    store::{Finished, ResponseStatus, ResponseStore, StoredResponse},
};
use crate::{error::Error, keys::Keys};

/// How long an event waits for others, so that they are written together. Readers see it that much later.
const FLUSH_DELAY: Duration = Duration::from_millis(50);
/// This many events are written without waiting.
const FLUSH_EVENTS: usize = 256;
/// How often it is checked whether a call to another node has cancelled the response.
const CANCEL_INTERVAL: Duration = Duration::from_secs(1);
/// The delay before a failed write is repeated.
const FAILURE_DELAY: Duration = Duration::from_secs(1);
/// The gRPC codes that the access log gets: OK, CANCELLED, and UNKNOWN for a failure.
const CODES: (u8, u8, u8) = (0, 1, 2);

/// Generates one response, and writes its events as they arise.
pub(super) struct Generation {
    store: ResponseStore,
    live: Arc<LiveResponse>,
}

impl Generation {
    pub(super) fn new(store: ResponseStore, live: Arc<LiveResponse>) -> Self {
        Self { store, live }
    }

    /// Runs until the response is final, was cancelled, or was deleted.
    pub(super) async fn run(self, stored: StoredResponse, calls: ModelCalls, keys: &Keys) {
        let prepared = async {
            let caller = keys.caller_of(&stored.owner)?;
            let prepared = Prepared::from_stored(&stored, &caller, &self.store, &calls).await?;
            Ok::<_, Error>((prepared, caller))
        };
        match prepared.await {
            Ok((prepared, caller)) => {
                let identity = CallIdentity::in_background(caller, &stored.origin);
                let report = identity.report.clone();
                if let Some(name) = identity.caller.name() {
                    report.set_caller(name);
                }
                let execution = Execution::new(prepared, calls, identity);
                let status = self.generate(&stored.id, execution).await;
                let (ok, cancelled, failed) = CODES;
                let code = match status {
                    Some(ResponseStatus::Completed | ResponseStatus::Incomplete) => ok,
                    Some(ResponseStatus::Cancelled) | None => cancelled,
                    Some(ResponseStatus::Failed | ResponseStatus::Queued | ResponseStatus::InProgress) => failed,
                };
                let end = CallEnd {
                    request_id: &stored.origin.request_id,
                    method: "background",
                    route: "triptych.v1.ResponseService/CreateResponse",
                    status: Status::Grpc(code),
                    bytes: 0,
                    forwarded_for: None,
                    is_probe: false,
                };
                end.finish(&report);
            }
            Err(error) => self.fail(&stored, error).await,
        }
        self.live.publish();
    }

    /// Executes the response. Returns its final state; `None` if it was deleted.
    async fn generate(&self, id: &str, mut execution: Box<Execution>) -> Option<ResponseStatus> {
        // Discards the events that the call which created the response has written.
        execution.writer.queued();
        let mut unwritten = execution.writer.start();
        let snapshot = execution.writer.response_json();
        if !self.append(id, &mut unwritten, Some(snapshot)).await {
            return None;
        }
        let mut flush_at = Instant::now() + FLUSH_DELAY;
        let mut cancelled = pin!(self.cancelled(id));
        while execution.ended.is_none() {
            let events = {
                // Kept while events are written: `next` must not be dropped before it returns.
                let mut next = pin!(execution.next());
                loop {
                    tokio::select! {
                        biased;
                        () = &mut cancelled => break None,
                        events = &mut next => break Some(events),
                        () = sleep_until(flush_at), if !unwritten.is_empty() => {
                            if !self.append(id, &mut unwritten, None).await {
                                return None;
                            }
                            flush_at = Instant::now() + FLUSH_DELAY;
                        }
                    }
                }
            };
            match events {
                Some(Some(events)) => {
                    if unwritten.is_empty() {
                        flush_at = Instant::now() + FLUSH_DELAY;
                    }
                    unwritten.extend(events);
                }
                // The execution ends with a final state, so that there is always one.
                Some(None) => break,
                None => {
                    execution.writer.cancel();
                    return self.finish(id, ResponseStatus::Cancelled, &execution.writer, unwritten).await;
                }
            }
            // The model may send faster than the timer is polled.
            let is_due = unwritten.len() >= FLUSH_EVENTS || flush_at <= Instant::now();
            if execution.ended.is_none() && is_due && !self.append(id, &mut unwritten, None).await {
                return None;
            }
        }
        let status = execution.ended.unwrap_or(ResponseStatus::Failed);
        self.finish(id, status, &execution.writer, unwritten).await
    }

    /// Waits until a client cancels the response, or deletes it.
    async fn cancelled(&self, id: &str) {
        let by_this_node = self.live.cancel.cancelled();
        if !self.store.is_shared() {
            return by_this_node.await;
        }
        let by_another_node = async {
            loop {
                sleep(CANCEL_INTERVAL).await;
                // An error is reported by the next write.
                if self.store.must_end(id).await.is_ok_and(|must_end| must_end) {
                    return;
                }
            }
        };
        tokio::select! {
            () = by_this_node => {}
            () = by_another_node => {}
        }
    }

    /// Writes events and publishes them. After a failure of the database they stay unwritten. Returns `false` if the response does not
    /// exist any more.
    async fn append(&self, id: &str, unwritten: &mut Vec<Event>, snapshot: Option<String>) -> bool {
        let events: Vec<_> = unwritten.iter().map(to_stored).collect();
        match self.store.append(id, events, snapshot).await {
            Ok(exists) => {
                unwritten.clear();
                self.live.publish();
                exists
            }
            Err(error) => {
                tracing::error!(response = id, "the events of a response were not stored yet: {error}");
                true
            }
        }
    }

    /// Writes the end of the response. Repeats a failed write until the process ends: the calls of the model have been
    /// billed.
    async fn finish(
        &self,
        id: &str,
        to: ResponseStatus,
        writer: &ResponseWriter,
        unwritten: Vec<Event>,
    ) -> Option<ResponseStatus> {
        let finished = Finished {
            id: id.to_owned(),
            from: ResponseStatus::InProgress,
            to,
            response: writer.response_json(),
            output_items: items_to_json(writer.output_items()),
            events: unwritten.iter().map(to_stored).collect(),
        };
        loop {
            match self.store.finish(finished.clone()).await {
                Ok(exists) => return exists.then_some(to),
                Err(error) => tracing::error!(response = id, "the end of a response was not stored yet: {error}"),
            }
            sleep(FAILURE_DELAY).await;
        }
    }

    /// Ends a response whose request cannot be executed any more, for example because its model was removed.
    async fn fail(&self, stored: &StoredResponse, error: Error) {
        let status = error.into_status(&stored.origin.request_id);
        // The request was valid when it was queued.
        let Ok(request) = ResponseRequest::parse(&stored.request) else { return };
        let mut writer = prepare::stored_writer(&request, &stored.id, stored.created_at, &stored.response);
        writer.queued();
        let mut events = writer.start();
        events.extend(writer.fail(failure::code(&status), status.message()));
        self.finish(&stored.id, ResponseStatus::Failed, &writer, events).await;
    }
}
