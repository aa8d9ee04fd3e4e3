//! The trait of chat providers.

use std::sync::Arc;

use async_trait::async_trait;
use triptych_proto::{chat_stream::ChatChunk, v1 as pb};

use crate::{
    call::{Call, Chunks},
    error::{Error, ProviderError},
};

/// A chat call. Its request is shared, so that a call can be sent several times without a copy.
pub type ChatCall = Call<Arc<pb::ChatRequest>>;

/// A provider of chat completions.
#[async_trait]
pub trait ChatProvider: std::fmt::Debug + Send + Sync {
    /// Returns the address of the upstream, for the log; `None` without an upstream.
    fn address(&self) -> Option<&str> {
        None
    }

    /// Validates a request before it counts against the limits of its caller. The default accepts every request: upstreams
    /// validate requests themselves.
    ///
    /// # Errors
    /// [`Error::InvalidField`] for the first invalid field.
    fn check(&self, _chat: &pb::ChatRequest) -> Result<(), Error> {
        Ok(())
    }

    /// Returns a complete response. Dropping the future cancels the call at the upstream.
    async fn complete(&self, call: ChatCall) -> Result<pb::CreateChatResponse, ProviderError>;

    /// Returns a streamed response once its first chunk has arrived; a failure before that is returned here, a later one is
    /// the last item of the stream. Dropping the future or the stream cancels the call at the upstream.
    ///
    /// With `include_usage`, one chunk contains the usage, usually an additional one at the end without choices.
    async fn stream(
        &self,
        call: ChatCall,
        options: Option<pb::StreamOptions>,
    ) -> Result<Chunks<ChatChunk>, ProviderError>;

    /// Returns the health of the upstreams that the provider routes to; empty for a provider without upstreams.
    fn targets(&self) -> Vec<pb::model::Target> {
        Vec::new()
    }
}
