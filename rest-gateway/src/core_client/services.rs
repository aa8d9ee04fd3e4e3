//! The set of services that make up a core.

use std::sync::Arc;

use futures_util::stream::BoxStream;
use tonic::Status;
use tonic_health::pb::{HealthCheckResponse, health_server::Health};
use triptych_proto::{
    chat_stream::ChatStream,
    v1::{
        self as pb, admin_service_server::AdminService, chat_service_server::ChatService,
        image_service_server::ImageService, media_service_server::MediaService, model_service_server::ModelService,
        response_service_server::ResponseService, usage_service_server::UsageService,
        video_service_server::VideoService, webhook_service_server::WebhookService,
    },
};
use triptych_telemetry::CallReport;

/// The messages of a server-streaming call. Dropping the stream cancels the call.
pub type ReplyStream<T> = BoxStream<'static, Result<T, Status>>;

/// A check of the value of an `authorization` header, `None` if it is absent. Fails if the core does not accept the API key. Otherwise the
/// report gets the headers that every response to this key has.
pub type KeyCheck = Arc<dyn Fn(Option<&[u8]>, &CallReport) -> Result<(), Status> + Send + Sync>;

/// All services of a core, in this process or over the network. Cheap to clone.
#[derive(Clone)]
pub struct CoreServices {
    /// Chat completions.
    pub chat: Arc<dyn ChatService<StreamChatStream = ChatStream>>,
    /// Responses.
    pub response: Arc<
        dyn ResponseService<
                StreamResponseStream = ReplyStream<pb::StreamResponseResponse>,
                ResumeResponseStream = ReplyStream<pb::ResumeResponseResponse>,
            >,
    >,
    /// Image generation and editing.
    pub image: Arc<dyn ImageService<StreamImagesStream = ReplyStream<pb::StreamImagesResponse>>>,
    /// Video jobs.
    pub video: Arc<
        dyn VideoService<
                WatchVideoStream = ReplyStream<pb::WatchVideoResponse>,
                DownloadVideoStream = ReplyStream<pb::DownloadVideoResponse>,
            >,
    >,
    /// Webhooks.
    pub webhook: Arc<dyn WebhookService>,
    /// Usage, budgets and estimates.
    pub usage: Arc<dyn UsageService>,
    /// Keys, and the repair of the ledger.
    pub admin: Arc<dyn AdminService>,
    /// The model catalog.
    pub model: Arc<dyn ModelService>,
    /// Stored media.
    pub media: Arc<dyn MediaService<ReadMediaStream = ReplyStream<pb::ReadMediaResponse>>>,
    /// Checks API keys without a call, for a core in this process. `None`: they are checked by a call to the core.
    pub key_check: Option<KeyCheck>,
    /// The health of the core.
    pub health: Arc<dyn Health<WatchStream = ReplyStream<HealthCheckResponse>>>,
}

impl std::fmt::Debug for CoreServices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CoreServices")
    }
}
