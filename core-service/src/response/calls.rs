//! Calls of models on behalf of a response.

use std::sync::Arc;

use tokio::time::Instant;
use tonic::{
    Request,
    metadata::{MetadataMap, MetadataValue},
};
use triptych_telemetry::CallReport;

use super::store::CallOrigin;
use crate::{
    chat::grpc::ChatGrpc,
    context::{REQUEST_ID, RequestContext},
    image::grpc::ImageGrpc,
    keys::Caller,
    on_disconnect::ON_DISCONNECT,
};

/// The metadata key of the deadline, defined by gRPC.
const TIMEOUT: &str = "grpc-timeout";
/// The header in which OpenAI's SDKs count their retries. Removed from the calls of hosted tools: each is a new call, and never the
/// repetition of an earlier one.
const RETRY_COUNT: &str = "x-stainless-retry-count";
/// The longest time in gRPC's notation with the unit of milliseconds: eight digits.
const MAX_MILLIS: u128 = 99_999_999;

/// The services that responses call.
#[derive(Debug, Clone)]
pub(crate) struct ModelCalls {
    pub(crate) chat: Arc<ChatGrpc>,
    pub(crate) image: Arc<ImageGrpc>,
}

/// On whose behalf models are called: the metadata, the caller and the report of the call that created the response.
#[derive(Debug, Clone)]
pub(super) struct CallIdentity {
    metadata: MetadataMap,
    pub(super) caller: Caller,
    pub(super) report: CallReport,
    deadline: Option<Instant>,
}

impl CallIdentity {
    /// Returns the identity of a call with this metadata.
    pub(super) fn of_call(metadata: &MetadataMap, context: &RequestContext) -> Self {
        let RequestContext { caller, report, deadline, .. } = context.clone();
        Self { metadata: metadata.clone(), caller, report, deadline }
    }

    /// Returns the identity of a response in the background, which has no deadline.
    pub(super) fn in_background(caller: Caller, origin: &CallOrigin) -> Self {
        let mut metadata = MetadataMap::new();
        if let Ok(id) = origin.request_id.parse() {
            metadata.insert(REQUEST_ID, id);
        }
        origin.trace.write(&mut metadata);
        // When the generation ends, so does the call at the upstream, whatever the caller's key has set.
        metadata.insert(ON_DISCONNECT, MetadataValue::from_static("cancel"));
        Self { metadata, caller, report: CallReport::new(None), deadline: None }
    }

    /// Returns the request of a call of the model.
    pub(super) fn chat_call<T>(&self, message: T) -> Request<T> {
        let mut metadata = self.metadata.clone();
        if let Some(deadline) = self.deadline {
            // The time that is left: this may be a later call of the response.
            let left = deadline.saturating_duration_since(Instant::now()).as_millis().clamp(1, MAX_MILLIS);
            if let Ok(left) = format!("{left}m").parse() {
                metadata.insert(TIMEOUT, left);
            }
        }
        let mut extensions = tonic::Extensions::default();
        extensions.insert(self.report.clone());
        self.caller.clone().attach(&mut extensions);
        Request::from_parts(metadata, extensions, message)
    }

    /// Returns the request of a call of a hosted tool, which the server executes for the model: `image_generation`.
    pub(super) fn tool_call<T>(&self, message: T) -> Request<T> {
        let mut call = self.chat_call(message);
        call.metadata_mut().remove(RETRY_COUNT);
        call
    }
}
