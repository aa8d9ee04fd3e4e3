//! The creation of responses: in the call, or queued for the background.

use std::collections::VecDeque;

use futures_util::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use openai_dialect::responses::Event;
use tonic::{Request, Response, Status};
use triptych_proto::v1 as pb;

use super::{
    super::{
        calls::CallIdentity,
        execution::Execution,
        history::items_to_json,
        prepare::{Prepared, to_stored},
        store::{CallOrigin, Inserted, NewResponse, ResponseStatus, StoredResponse},
    },
    ResponseGrpc,
};
use crate::{context::RequestContext, error::Error, idempotency::Idempotency, keys::Owner, ledger::write_cost};

/// The name of both methods in idempotency fingerprints: a response is the same, whether it is streamed or not.
const METHOD: &str = "CreateResponse";

/// A response that is generated in the call, and what is stored of it at its end.
struct Foreground {
    service: ResponseGrpc,
    execution: Box<Execution>,
    /// What is stored, still without the result. `None`: the response is not stored.
    row: Option<Box<NewResponse>>,
    /// Events that were not sent yet.
    events: VecDeque<Event>,
}

impl ResponseGrpc {
    pub(super) async fn create(
        &self,
        request: Request<pb::CreateResponseRequest>,
    ) -> Result<Response<pb::CreateResponseResponse>, Status> {
        let context = RequestContext::new(&request, &self.keys, &request.get_ref().idempotency_key)?;
        let (metadata, _, pb::CreateResponseRequest { request_json, idempotency_key: _ }) = request.into_parts();
        let call = Idempotency::from_request(&context, METHOD, &request_json).await;
        let prepared = context.within(self.prepare(&request_json, &context)).await?;
        let reply = |response_json| Response::new(pb::CreateResponseResponse { response_json });
        if prepared.request.is_background() {
            let stored = context.within(self.enqueue(prepared, &context, call)).await?;
            return Ok(reply(stored.response));
        }
        // Repetitions are recognised by an explicit key only: an SDK repeats a call by itself if it has received no response, and a
        // response that is not in the background is stored only at its end.
        let call = call.filter(|_| !context.idempotency_key.is_empty() && prepared.request.is_stored());
        if let Some(call) = &call
            && let Some(stored) = context.within(self.store.repeated(call)).await?
        {
            return Ok(reply(stored.response));
        }
        let identity = CallIdentity::of_call(&metadata, &context);
        let row = row(&prepared, &context, call);
        let mut execution = Execution::new(prepared, self.calls.clone(), identity).streamed(false);
        let first_metadata = execution.begin().await?;
        let mut foreground = Foreground { service: self.clone(), execution, row, events: VecDeque::new() };
        while foreground.next().await.is_some() {}
        let mut response = reply(foreground.execution.writer.response_json());
        *response.metadata_mut() = first_metadata;
        // The metadata of the first call has the cost of that call alone.
        if foreground.execution.cost().is_some() {
            write_cost(foreground.execution.cost(), response.metadata_mut());
        }
        Ok(response)
    }

    pub(super) async fn stream(
        &self,
        request: Request<pb::StreamResponseRequest>,
    ) -> Result<Response<BoxStream<'static, Result<pb::StreamResponseResponse, Status>>>, Status> {
        let context = RequestContext::new(&request, &self.keys, &request.get_ref().idempotency_key)?;
        let (metadata, _, pb::StreamResponseRequest { request_json, idempotency_key: _ }) = request.into_parts();
        let call = Idempotency::from_request(&context, METHOD, &request_json).await;
        let prepared = context.within(self.prepare(&request_json, &context)).await?;
        let message = |event| pb::StreamResponseResponse { event: Some(event) };
        if prepared.request.is_background() {
            let stored = context.within(self.enqueue(prepared, &context, call)).await?;
            let events = context.within_stream(self.events(&stored.id, 0).map_ok(message));
            return Ok(Response::new(events.map_err(Status::from).boxed()));
        }
        let identity = CallIdentity::of_call(&metadata, &context);
        // Without the key: only a response in the background can be repeated as a stream.
        let row = row(&prepared, &context, None);
        let mut execution = Execution::new(prepared, self.calls.clone(), identity).streamed(true);
        let first_metadata = execution.begin().await?;
        let foreground = Foreground { service: self.clone(), execution, row, events: VecDeque::new() };
        let events = stream::unfold(foreground, |mut foreground| async move {
            foreground.next().await.map(|event| (Ok(event), foreground))
        });
        let mut response = Response::new(events.map_ok(to_message).map_ok(message).boxed());
        *response.metadata_mut() = first_metadata;
        Ok(response)
    }

    async fn prepare(&self, request_json: &str, context: &RequestContext) -> Result<Box<Prepared>, Error> {
        Prepared::from_request(request_json, &context.caller, &self.store, &self.calls).await
    }

    /// Stores a response for the background, or returns that of the call which this one repeats.
    async fn enqueue(
        &self,
        prepared: Box<Prepared>,
        context: &RequestContext,
        call: Option<Idempotency>,
    ) -> Result<StoredResponse, Error> {
        let mut writer = prepared.writer();
        let events = writer.queued();
        let request = prepared.request.to_json().to_owned();
        let new = NewResponse {
            status: ResponseStatus::Queued,
            background: true,
            request,
            response: writer.response_json(),
            events: events.iter().map(to_stored).collect(),
            ..new_row(&prepared, context, call)
        };
        let stored = StoredResponse {
            id: new.id.clone(),
            owner: new.owner.clone(),
            status: new.status,
            background: true,
            created_at: new.created_at,
            origin: new.origin.clone(),
            request: String::new(),
            response: new.response.clone(),
        };
        match self.store.insert(new, self.queue_limits).await? {
            Inserted::New => {
                self.wake.notify_one();
                Ok(stored)
            }
            Inserted::Existing(existing) => Ok(*existing),
        }
    }
}

impl Foreground {
    /// Returns the next event. The response is stored before its last event is returned, so that the client can continue it at once.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            let events = self.execution.next().await?;
            self.events.extend(events);
            if let Some(status) = self.execution.ended
                && let Some(row) = self.row.take()
            {
                let writer = &self.execution.writer;
                let new = NewResponse {
                    status,
                    response: writer.response_json(),
                    output_items: items_to_json(writer.output_items()),
                    ..*row
                };
                let id = new.id.clone();
                match self.service.store.insert(new, self.service.queue_limits).await {
                    // Existing: two calls with the same key were executed at the same time; the first one is stored.
                    Ok(Inserted::New | Inserted::Existing(_)) => {}
                    // The client gets what it has paid for. It cannot be read or continued later.
                    Err(error) => tracing::error!(response = id, "a response was not stored: {error}"),
                }
            }
        }
    }
}

fn to_message(event: Event) -> pb::ResponseEvent {
    let Event { sequence_number, name, data } = event;
    pb::ResponseEvent { sequence_number, r#type: name.to_owned(), data_json: data }
}

/// Returns the row of a response that ends in its call; `None` if it is not stored.
fn row(prepared: &Prepared, context: &RequestContext, call: Option<Idempotency>) -> Option<Box<NewResponse>> {
    prepared.request.is_stored().then(|| Box::new(new_row(prepared, context, call)))
}

/// Returns a row without its result: state, response, output items and events are placeholders, which the caller replaces.
fn new_row(prepared: &Prepared, context: &RequestContext, call: Option<Idempotency>) -> NewResponse {
    let owner: Owner = context.caller.owner();
    NewResponse {
        id: prepared.id.clone(),
        owner,
        status: ResponseStatus::Completed,
        background: false,
        created_at: prepared.created_at,
        origin: CallOrigin::of_call(context),
        request: String::new(),
        response: String::new(),
        input_items: items_to_json(&prepared.input_items),
        output_items: "[]".to_owned(),
        events: Vec::new(),
        predecessors: prepared.predecessors.clone(),
        call,
    }
}
