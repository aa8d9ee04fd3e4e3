//! The gRPC service of the Responses API.

mod create;

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream::BoxStream};
use openai_dialect::responses::ResponseRequest;
use tokio::sync::Notify;
use tonic::{Request, Response, Status};
use triptych_proto::v1::{self as pb, response_service_server::ResponseService};

use super::{
    calls::ModelCalls,
    follow::follow,
    live::LiveResponses,
    pages, prepare,
    store::{Finished, QueueLimits, ResponseStatus, ResponseStore, StoredEvent, StoredResponse},
};
use crate::{
    context::RequestContext,
    error::Error,
    keys::{Keys, Owners},
};

/// Implements [`ResponseService`]. Clones share everything.
#[derive(Debug, Clone)]
pub struct ResponseGrpc {
    pub(crate) store: ResponseStore,
    pub(crate) calls: ModelCalls,
    pub(crate) keys: Keys,
    pub(crate) live: LiveResponses,
    /// Wakes the runner of responses in the background.
    pub(crate) wake: Arc<Notify>,
    pub(crate) queue_limits: QueueLimits,
}

impl ResponseGrpc {
    /// Authenticates the caller of a method without an idempotency key.
    fn context<T>(&self, request: &Request<T>) -> Result<RequestContext, Error> {
        RequestContext::new(request, &self.keys, "")
    }

    /// Returns the events of a response in the background, from number `first` on.
    fn events(&self, id: &str, first: u64) -> BoxStream<'static, Result<pb::ResponseEvent, Error>> {
        follow(self.store.clone(), id.to_owned(), first, &self.live.of(id)).map_ok(event).boxed()
    }

    /// Cancels a response in the background, and waits until it is final.
    async fn cancel(&self, id: &str, owners: &Owners) -> Result<StoredResponse, Error> {
        let live = self.live.of(id);
        // Subscribed before the first read: a change in between is seen.
        let mut changes = live.changes();
        let mut is_requested = false;
        loop {
            let stored = self.store.get(id, owners).await?;
            if !stored.background {
                return Err(Error::invalid(
                    "id",
                    format!(
                        "the response `{id}` cannot be cancelled: only those that were created with `background: true` can"
                    ),
                ));
            }
            match stored.status {
                ResponseStatus::Queued => {
                    let finished = cancelled(&stored)?;
                    if self.store.finish(finished).await? {
                        live.publish();
                    }
                }
                ResponseStatus::InProgress => {
                    live.cancel.cancel();
                    if !is_requested && self.store.is_shared() {
                        self.store.request_cancel(id).await?;
                        is_requested = true;
                    }
                    changes.next().await;
                }
                ResponseStatus::Completed
                | ResponseStatus::Incomplete
                | ResponseStatus::Failed
                | ResponseStatus::Cancelled => return Ok(stored),
            }
        }
    }
}

/// Returns the end of a queued response that the client cancels.
fn cancelled(stored: &StoredResponse) -> Result<Finished, Error> {
    let request = ResponseRequest::parse(&stored.request)
        .map_err(|error| Error::Internal(format!("a stored request is invalid: {error}")))?;
    let mut writer = prepare::stored_writer(&request, &stored.id, stored.created_at, &stored.response);
    writer.queued();
    writer.cancel();
    Ok(Finished {
        id: stored.id.clone(),
        from: ResponseStatus::Queued,
        to: ResponseStatus::Cancelled,
        response: writer.response_json(),
        output_items: "[]".to_owned(),
        events: Vec::new(),
    })
}

fn event(event: StoredEvent) -> pb::ResponseEvent {
    let StoredEvent { sequence_number, kind, data } = event;
    pb::ResponseEvent { sequence_number, r#type: kind, data_json: data }
}

#[async_trait]
impl ResponseService for ResponseGrpc {
    async fn create_response(
        &self,
        request: Request<pb::CreateResponseRequest>,
    ) -> Result<Response<pb::CreateResponseResponse>, Status> {
        self.create(request).await
    }

    type StreamResponseStream = BoxStream<'static, Result<pb::StreamResponseResponse, Status>>;

    async fn stream_response(
        &self,
        request: Request<pb::StreamResponseRequest>,
    ) -> Result<Response<Self::StreamResponseStream>, Status> {
        self.stream(request).await
    }

    async fn get_response(
        &self,
        request: Request<pb::GetResponseRequest>,
    ) -> Result<Response<pb::GetResponseResponse>, Status> {
        let context = self.context(&request)?;
        let stored = context.within(self.store.get(&request.get_ref().id, &context.caller.owners())).await?;
        Ok(Response::new(pb::GetResponseResponse { response_json: stored.response }))
    }

    type ResumeResponseStream = BoxStream<'static, Result<pb::ResumeResponseResponse, Status>>;

    async fn resume_response(
        &self,
        request: Request<pb::ResumeResponseRequest>,
    ) -> Result<Response<Self::ResumeResponseStream>, Status> {
        let context = self.context(&request)?;
        let pb::ResumeResponseRequest { id, starting_after } = request.into_inner();
        let stored = context.within(self.store.get(&id, &context.caller.owners())).await?;
        if !stored.background {
            let message =
                "has no stored events: only a response that was created with `background: true` can be streamed again";
            return Err(Error::invalid("id", format!("the response `{id}` {message}")).into());
        }
        let events = self.events(&id, starting_after.map_or(0, |last| last.saturating_add(1)));
        let messages = events.map_ok(|event| pb::ResumeResponseResponse { event: Some(event) });
        Ok(Response::new(context.within_stream(messages).map_err(Status::from).boxed()))
    }

    async fn cancel_response(
        &self,
        request: Request<pb::CancelResponseRequest>,
    ) -> Result<Response<pb::CancelResponseResponse>, Status> {
        let context = self.context(&request)?;
        let stored = context.within(self.cancel(&request.get_ref().id, &context.caller.owners())).await?;
        Ok(Response::new(pb::CancelResponseResponse { response_json: stored.response }))
    }

    async fn delete_response(
        &self,
        request: Request<pb::DeleteResponseRequest>,
    ) -> Result<Response<pb::DeleteResponseResponse>, Status> {
        let context = self.context(&request)?;
        let pb::DeleteResponseRequest { id } = request.into_inner();
        let live = self.live.of(&id);
        context.within(self.store.delete(&id, &context.caller.owners())).await?;
        // Ends its generation and the streams of its events.
        live.cancel.cancel();
        live.publish();
        Ok(Response::new(pb::DeleteResponseResponse { id }))
    }

    async fn list_input_items(
        &self,
        request: Request<pb::ListInputItemsRequest>,
    ) -> Result<Response<pb::ListInputItemsResponse>, Status> {
        let context = self.context(&request)?;
        let request = request.get_ref();
        let items = context.within(self.store.input_items(&request.id, &context.caller.owners())).await?;
        Ok(Response::new(pages::page(&items, request)?))
    }
}
