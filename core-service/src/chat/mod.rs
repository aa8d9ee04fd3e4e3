//! Conversations: the provider trait, and below it the providers, the routing among them, the gRPC door, and
//! what becomes of answers whose callers hang up.

pub mod detached;
pub mod dialect;
pub mod grpc;
mod normalize;
pub mod on_disconnect;
pub mod providers;
pub mod routing;
mod validate;

use std::sync::Arc;

use async_trait::async_trait;
use triptych_proto::{chat_stream::ChatChunk, v1 as pb};

use crate::{
    call::{Call, Chunks},
    error::ProviderError,
};

/// A call of a conversation. Its request is shared: a call that is sent more than once is copied for nothing.
pub type ChatCall = Call<Arc<pb::ChatRequest>>;

/// Something that answers conversations.
#[async_trait]
pub trait ChatProvider: std::fmt::Debug + Send + Sync {
    /// Answers with the whole reply. Dropping the future ends the call at the upstream.
    async fn complete(&self, call: ChatCall) -> Result<pb::CreateChatResponse, ProviderError>;

    /// Answers piece by piece. An error before the first piece is this function's, one after it the stream's last item.
    /// With `include_usage` among the options some piece holds the usage, mostly one more at the end, without choices.
    async fn stream(
        &self,
        call: ChatCall,
        options: Option<pb::StreamOptions>,
    ) -> Result<Chunks<ChatChunk>, ProviderError>;

    /// The upstreams it chooses among, as they stand now; none for a provider that answers itself.
    fn targets(&self) -> Vec<pb::model::Target> {
        Vec::new()
    }
}
