//! The gRPC service of chat.

use std::sync::Arc;

use async_trait::async_trait;
use openai_dialect::remove_member;
use tonic::{Request, Response, Status, metadata::MetadataMap};
use triptych_proto::{
    chat_stream::ChatStream,
    time,
    v1::{self as pb, chat_service_server::ChatService},
};
use triptych_telemetry::Modality;

use super::{
    ChatCall, ChatProvider,
    detached::DetachedCalls,
    files::{ChatFiles, FileMemory},
    normalize::{Normalized, UsageDelivery, reported_tokens},
    response::{new_id, provider_error_status},
    routing::RoutingContext,
    tokens::{self, Estimate, Metering},
    validate,
};
use crate::{
    call::Call,
    context::RequestContext,
    error::{Error, ProviderError},
    keys::{Caller, Keys},
    ledger::{CallStart, Ledger, write_cost},
    limits::Admission,
    live::Live,
    models::{Entry, Models},
    on_disconnect::OnDisconnect,
    prices::Attributes,
};

/// A valid request for a model that the caller may call.
struct Admitted {
    entry: Arc<Entry<dyn ChatProvider>>,
    call: ChatCall,
    metering: Metering,
    files: FileMemory,
}

/// Implements [`ChatService`] over the models of a catalog.
#[derive(Debug, Clone)]
pub struct ChatGrpc {
    models: Live<Models<dyn ChatProvider>>,
    on_disconnect: OnDisconnect,
    detached: DetachedCalls,
    files: ChatFiles,
    keys: Keys,
    ledger: Ledger,
}

impl ChatGrpc {
    /// Creates the service without authentication. `on_disconnect` applies to calls that neither set it themselves nor have
    /// a key that does; `detached` runs the calls that may continue after the client disconnects; `files` downloads those that messages
    /// name by URL.
    pub fn new(
        models: Live<Models<dyn ChatProvider>>,
        on_disconnect: OnDisconnect,
        detached: DetachedCalls,
        files: ChatFiles,
    ) -> Self {
        Self { models, on_disconnect, detached, files, keys: Keys::default(), ledger: Ledger::default() }
    }

    /// Requires one of these keys, if there are any.
    #[must_use]
    pub fn with_keys(self, keys: Keys) -> Self {
        Self { keys, ..self }
    }

    /// Meters calls with this ledger.
    #[must_use]
    pub fn with_ledger(self, ledger: Ledger) -> Self {
        Self { ledger, ..self }
    }

    /// Returns the public name of the model that a request for this name calls; that of the default model for the empty name.
    ///
    /// # Errors
    /// [`Error::ModelNotFound`]; [`Error::ModelNotAllowed`].
    pub(crate) fn public_name(&self, name: &str, caller: &Caller) -> Result<String, Error> {
        let entry = self.models.load().find(name, |model| caller.may_call(model))?;
        caller.check_model(&entry.id)?;
        Ok(entry.id.clone())
    }

    /// Returns what happens to a call when its client disconnects: as the call says, else as the caller's key says, else as
    /// configured.
    fn on_disconnect(&self, metadata: &MetadataMap, caller: &Caller) -> Result<OnDisconnect, Error> {
        OnDisconnect::from_metadata(metadata, caller.on_disconnect().unwrap_or(self.on_disconnect))
    }

    /// Downloads the files that messages name by URL, before the first of several calls with these messages.
    ///
    /// # Errors
    /// Those of [`ChatFiles::download`].
    pub(crate) async fn download_files(&self, chat: &mut pb::ChatRequest) -> Result<FileMemory, Error> {
        self.files.download(chat).await
    }

    /// Validates a request, finds its model, counts the call against the limits of the caller, downloads its files, and reserves its
    /// maximum cost in the ledger.
    async fn admit(&self, chat: Option<pb::ChatRequest>, context: RequestContext) -> Result<Admitted, Error> {
        let mut chat = chat.ok_or_else(|| Error::invalid("chat", "is required"))?;
        validate::check(&chat)?;
        let entry = self.models.load().find(&chat.model, |model| context.caller.may_call(model))?;
        entry.report(Modality::Chat, &context.report);
        entry.provider.check(&chat)?;
        let estimate = Estimate::new(&chat);
        let admission = context.caller.admit(&entry.id, || estimate.for_limits())?;
        let files = self.files.download(&mut chat).await?;
        let start = CallStart {
            payer: context.caller.payer(),
            modality: pb::Modality::Chat,
            model: entry.price_names(),
            attributes: Attributes::default(),
        };
        let meter = self.ledger.begin(start, |price| estimate.maximum(price)).await?;
        let call = Call { model: entry.upstream_model.clone(), request: Arc::new(chat), context };
        Ok(Admitted { entry, call, metering: Metering { admission, meter, estimate, shows_usage: true }, files })
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
        let routing = RoutingContext::from_metadata(&metadata);
        let on_disconnect = self.on_disconnect(&metadata, &context.caller)?;
        let Admitted { entry, call, metering, files } = self.admit(chat, context).await?;
        let report = call.context.report.clone();
        let complete = with_files(files, tokens::complete(entry.provider.clone(), call, metering.clone()));
        let result = match on_disconnect {
            OnDisconnect::Cancel => routing.scope(complete).await,
            OnDisconnect::Continue | OnDisconnect::Grace(_) => {
                self.detached.complete(on_disconnect, &routing, complete).await
            }
        };
        let mut response = result.map_err(|error| failure(&routing, &metering.admission, error))?;
        if let Some(usage) = &response.usage {
            report.set_tokens(reported_tokens(usage));
        }
        response.model.clone_from(&entry.id);
        if response.id.is_empty() {
            response.id = new_id();
        }
        response.create_time.get_or_insert_with(time::now);
        for choice in response.choices.iter_mut().filter(|choice| choice.finish_reason.is_empty()) {
            // A complete response has ended, even if the upstream gives no reason.
            "stop".clone_into(&mut choice.finish_reason);
        }
        let mut response = success(&routing, &metering.admission, response);
        write_cost(metering.meter.settle(), response.metadata_mut());
        Ok(response)
    }

    type StreamChatStream = ChatStream;

    async fn stream_chat(
        &self,
        request: Request<pb::StreamChatRequest>,
    ) -> Result<Response<Self::StreamChatStream>, Status> {
        let context = RequestContext::new(&request, &self.keys, &request.get_ref().idempotency_key)?;
        let (metadata, _, pb::StreamChatRequest { chat, idempotency_key: _, stream_options }) = request.into_parts();
        let routing = RoutingContext::from_metadata(&metadata);
        let on_disconnect = self.on_disconnect(&metadata, &context.caller)?;
        let Admitted { entry, call, mut metering, files } = self.admit(chat, context).await?;
        if let Some(options) = &stream_options {
            validate::check_stream_options(options).map_err(|error| validate::prefix_field("stream_options", error))?;
        }
        let report = call.context.report.clone();
        let usage = UsageDelivery::from_options(stream_options.as_ref());
        metering.shows_usage = usage.is_requested();
        // Every stream needs its usage: without a price and without keys for the list of usage, the access log and the metrics.
        // `Normalized` removes the chunk that a client has not requested.
        let mut options = stream_options.unwrap_or_default();
        options.include_usage = Some(true);
        // A second member, null for example, could win.
        remove_member(&mut options.extra_json, "include_usage");
        let admission = metering.admission.clone();
        let start = with_files(files, tokens::stream(entry.provider.clone(), call, Some(options), metering));
        let result = match on_disconnect {
            OnDisconnect::Cancel => routing.scope(start).await,
            OnDisconnect::Continue | OnDisconnect::Grace(_) => {
                self.detached.stream(on_disconnect, &routing, start).await
            }
        };
        let chunks = result.map_err(|error| failure(&routing, &admission, error))?;
        Ok(success(&routing, &admission, ChatStream::new(Normalized::new(chunks, entry.id.clone(), usage, report))))
    }
}

/// Runs a call that needs these files. A stream has sent its request when it starts.
async fn with_files<T>(files: FileMemory, call: impl Future<Output = T>) -> T {
    let result = call.await;
    drop(files);
    result
}

/// Returns the status of a failure, with the attempts made before it and the state of the caller's rate limits.
fn failure(routing: &RoutingContext, admission: &Admission, error: ProviderError) -> Status {
    let mut status = provider_error_status(error);
    routing.write_attempts(status.metadata_mut());
    admission.write(status.metadata_mut());
    status
}

/// Returns a response with the attempts made for it and the state of the caller's rate limits.
fn success<T>(routing: &RoutingContext, admission: &Admission, message: T) -> Response<T> {
    let mut response = admission.response(message);
    routing.write_attempts(response.metadata_mut());
    response
}
