//! The port to the core: the generated service traits themselves.
//!
//! In one process the core hands over its own implementations and a call costs a virtual call; over the network
//! [`Core::connect`] wraps the generated clients in the same traits. Nothing in the gateway can tell which.

mod remote;

use std::sync::Arc;

use futures_util::stream::BoxStream;
use tonic::Status;
use triptych_proto::{
    chat_stream::ChatStream,
    v1::{
        self as pb, chat_service_server::ChatService, image_service_server::ImageService,
        media_service_server::MediaService, model_service_server::ModelService, video_service_server::VideoService,
    },
};

pub use remote::Limits;

/// The stream of a server-streaming call. Dropping it cancels the call.
pub type Replies<T> = BoxStream<'static, Result<T, Status>>;

/// All services of a core, wherever it runs. Cheap to clone.
#[derive(Clone)]
pub struct Core {
    /// Conversations.
    pub chat: Arc<dyn ChatService<StreamChatStream = ChatStream>>,
    /// Pictures.
    pub image: Arc<dyn ImageService<StreamImagesStream = Replies<pb::StreamImagesResponse>>>,
    /// Clips.
    pub video: Arc<
        dyn VideoService<
                WatchVideoStream = Replies<pb::WatchVideoResponse>,
                DownloadVideoStream = Replies<pb::DownloadVideoResponse>,
            >,
    >,
    /// What is served.
    pub model: Arc<dyn ModelService>,
    /// Finished files.
    pub media: Arc<dyn MediaService<ReadMediaStream = Replies<pb::ReadMediaResponse>>>,
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Core")
    }
}
