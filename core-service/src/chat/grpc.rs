//! The gRPC door of the chat panel.

use std::sync::Arc;

use async_trait::async_trait;
use tonic::{Request, Response, Status, metadata::MetadataMap};
use triptych_proto::{
    chat_stream::ChatStream,
    time,
    v1::{self as pb, chat_service_server::ChatService},
};

use super::{
    ChatCall, ChatProvider,
    detached::DetachedCalls,
    normalize::{Normalized, Usage},
    on_disconnect::OnDisconnect,
    routing::RoutingContext,
    validate,
};
use crate::{
    call::Call,
    catalog::{Catalog, Entry},
    check,
    context::RequestContext,
    error::{Error, ProviderError},
    keys::{Caller, Keys},
    live::Live,
};

/// Serves [`ChatService`] from a catalog.
#[derive(Debug, Clone)]
pub struct ChatGrpc {
    catalog: Live<Catalog>,
    on_disconnect: OnDisconnect,
    detached: DetachedCalls,
    keys: Keys,
}

impl ChatGrpc {
    /// A door to the chat models of this catalog. Calls that do not set the rule for themselves have `on_disconnect`;
    /// those that may outlive their callers are left to the detached.
    pub fn new(catalog: Live<Catalog>, on_disconnect: OnDisconnect, detached: DetachedCalls) -> Self {
        Self { catalog, on_disconnect, detached, keys: Keys::default() }
    }

    /// The same, for callers with one of these keys.
    #[must_use]
    pub fn with_keys(self, keys: Keys) -> Self {
        Self { keys, ..self }
    }

    /// What becomes of an answer: as the call says, else as the caller's key says, else as it is set for all.
    fn rule(&self, metadata: &MetadataMap, caller: &Caller) -> Result<OnDisconnect, Error> {
        OnDisconnect::of(metadata, caller.on_disconnect().unwrap_or(self.on_disconnect))
    }

    /// Validates a request and looks up its model.
    fn admit(
        &self,
        chat: Option<pb::ChatRequest>,
        context: RequestContext,
    ) -> Result<(Arc<Entry<dyn ChatProvider>>, ChatCall), Error> {
        let chat = chat.ok_or_else(|| Error::invalid("chat", "is required"))?;
        validate::check(&chat)?;
        let entry = self.catalog.load().chat.find(&chat.model)?;
        let call = Call { model: entry.upstream.clone(), request: Arc::new(chat), context };
        Ok((entry, call))
    }
}

#[async_trait]
impl ChatService for ChatGrpc {
    async fn create_chat(
        &self,
        request: Request<pb::CreateChatRequest>,
    ) -> Result<Response<pb::CreateChatResponse>, Status> {
        let context = RequestContext::new(&request, &self.keys, &request.get_ref().idempotency_key)?;
        let (metadata, _, pb::CreateChatRequest { chat, idempotency_key: _ }) = request.into_parts();
        let (route, rule) = (RoutingContext::of(&metadata), self.rule(&metadata, &context.caller)?);
        let (entry, call) = self.admit(chat, context)?;
        let answered = match rule {
            OnDisconnect::Cancel => route.scope(entry.provider.complete(call)).await,
            OnDisconnect::Continue | OnDisconnect::Grace(_) => {
                let provider = entry.provider.clone();
                self.detached.complete(rule, &route, async move { provider.complete(call).await }).await
            }
        };
        let mut response = answered.map_err(|error| failed_on(&route, error))?;
        response.model.clone_from(&entry.id);
        if response.id.is_empty() {
            response.id = new_id();
        }
        response.create_time.get_or_insert_with(time::now);
        for choice in response.choices.iter_mut().filter(|choice| choice.finish_reason.is_empty()) {
            // A whole reply has ended, whether the upstream says why or not.
            "stop".clone_into(&mut choice.finish_reason);
        }
        Ok(told(&route, response))
    }

    type StreamChatStream = ChatStream;

    async fn stream_chat(
        &self,
        request: Request<pb::StreamChatRequest>,
    ) -> Result<Response<Self::StreamChatStream>, Status> {
        let context = RequestContext::new(&request, &self.keys, &request.get_ref().idempotency_key)?;
        let (metadata, _, pb::StreamChatRequest { chat, idempotency_key: _, stream_options }) = request.into_parts();
        let (route, rule) = (RoutingContext::of(&metadata), self.rule(&metadata, &context.caller)?);
        let (entry, call) = self.admit(chat, context)?;
        if let Some(options) = &stream_options {
            check::extra("stream_options.extra_json", &options.extra_json, &["include_usage"])?;
        }
        let usage = Usage::of(stream_options.as_ref());
        let begun = match rule {
            OnDisconnect::Cancel => route.scope(entry.provider.stream(call, stream_options)).await,
            OnDisconnect::Continue | OnDisconnect::Grace(_) => {
                let provider = entry.provider.clone();
                let begin = async move { provider.stream(call, stream_options).await };
                self.detached.stream(rule, &route, begin).await
            }
        };
        let pieces = begun.map_err(|error| failed_on(&route, error))?;
        Ok(told(&route, ChatStream::new(Normalized::new(pieces, entry.id.clone(), usage))))
    }
}

pub(super) fn new_id() -> String {
    format!("chatcmpl-{}", uuid::Uuid::new_v4().simple())
}

pub(super) fn failed(error: ProviderError) -> Status {
    Error::Provider(error).into()
}

/// A failure, with what was tried before it.
fn failed_on(route: &RoutingContext, error: ProviderError) -> Status {
    let mut status = failed(error);
    route.tell(status.metadata_mut());
    status
}

/// An answer, with what was tried for it.
fn told<T>(route: &RoutingContext, answer: T) -> Response<T> {
    let mut response = Response::new(answer);
    route.tell(response.metadata_mut());
    response
}
