//! A core in another process: the generated clients behind the traits that a core in this process implements.

use std::time::Duration;

use futures_util::{Stream, StreamExt};
use tonic::{
    Request, Response, Status, async_trait,
    transport::{Channel, Endpoint, Error},
};
use triptych_proto::{
    chat_stream::{ChatStream, DeltaEncoder},
    v1::{
        self as pb, chat_service_client::ChatServiceClient, chat_service_server::ChatService,
        image_service_client::ImageServiceClient, image_service_server::ImageService,
        media_service_client::MediaServiceClient, media_service_server::MediaService,
        model_service_client::ModelServiceClient, model_service_server::ModelService,
        video_service_client::VideoServiceClient, video_service_server::VideoService,
    },
};

use super::{Core, Replies};

/// A connection that says nothing is asked whether it lives; one that does not answer is made anew.
const PING: Duration = Duration::from_secs(20);

/// How much of one answer may be on its way to a reader who does not read: some thousand pieces.
const STREAM_WINDOW: u32 = 256 << 10;
/// No bound besides that of each stream. It counts for more than it says: h2 ends a connection, and every call on it,
/// when the overhead of small frames that wait for their readers comes to half of it, and a token is a small frame. With
/// the protocol's default one reader who lags 150 tokens behind would end the calls of all others.
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;

/// Bounds of the connection to a core.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest message, either way, in bytes. Must not be below the core's own.
    pub max_message_bytes: usize,
    /// How long a connection may take to come about before calls fail as unavailable.
    pub connect_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_message_bytes: 64 << 20, connect_timeout: Duration::from_secs(5) }
    }
}

impl Core {
    /// A core at `http://host:port`. Connects with the first call, and again whenever the connection is lost. Must be
    /// called within a Tokio runtime.
    ///
    /// # Errors
    /// An address that is none.
    pub fn connect(uri: &str, limits: Limits) -> Result<Self, Error> {
        let channel = Endpoint::from_shared(uri.to_owned())?
            .connect_timeout(limits.connect_timeout)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(PING)
            .keep_alive_timeout(PING)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .connect_lazy();
        let remote = std::sync::Arc::new(Remote { channel, limits });
        Ok(Self {
            chat: remote.clone(),
            image: remote.clone(),
            video: remote.clone(),
            model: remote.clone(),
            media: remote,
        })
    }
}

#[derive(Debug)]
struct Remote {
    channel: Channel,
    limits: Limits,
}

/// One client of the service, with the limits set; cheap, as all share the channel.
macro_rules! client {
    ($remote:ident, $client:ident) => {
        $client::new($remote.channel.clone())
            .max_decoding_message_size($remote.limits.max_message_bytes)
            .max_encoding_message_size($remote.limits.max_message_bytes)
    };
}

/// Implements a service by its client. A call's metadata, deadline included, goes as it came; its cancellation too.
macro_rules! pass_on {
    ($service:ident by $client:ident {
        $(unary $call:ident($request:ident) -> $answer:ident;)*
        $(stream $stream:ident: $streamed:ident($asked:ident) -> $replies:ty = $into:expr;)*
    }) => {
        #[async_trait]
        impl $service for Remote {
            $(
                async fn $call(&self, request: Request<pb::$request>) -> Result<Response<pb::$answer>, Status> {
                    client!(self, $client).$call(request).await
                }
            )*
            $(
                type $stream = $replies;

                async fn $streamed(&self, request: Request<pb::$asked>) -> Result<Response<Self::$stream>, Status> {
                    Ok(client!(self, $client).$streamed(request).await?.map($into))
                }
            )*
        }
    };
}

fn folded(pieces: impl Stream<Item = Result<pb::StreamChatResponse, Status>> + Send + 'static) -> ChatStream {
    let mut fold = DeltaEncoder::default();
    ChatStream::new(pieces.map(move |piece| piece.map(|piece| fold.encode(piece))))
}

pass_on!(ChatService by ChatServiceClient {
    unary create_chat(CreateChatRequest) -> CreateChatResponse;
    stream StreamChatStream: stream_chat(StreamChatRequest) -> ChatStream = folded;
});

pass_on!(ImageService by ImageServiceClient {
    unary generate_images(GenerateImagesRequest) -> GenerateImagesResponse;
    stream StreamImagesStream: stream_images(StreamImagesRequest) -> Replies<pb::StreamImagesResponse> = StreamExt::boxed;
});

pass_on!(VideoService by VideoServiceClient {
    unary create_video(CreateVideoRequest) -> CreateVideoResponse;
    unary get_video(GetVideoRequest) -> GetVideoResponse;
    unary list_videos(ListVideosRequest) -> ListVideosResponse;
    unary cancel_video(CancelVideoRequest) -> CancelVideoResponse;
    unary delete_video(DeleteVideoRequest) -> DeleteVideoResponse;
    unary remix_video(RemixVideoRequest) -> RemixVideoResponse;
    stream WatchVideoStream: watch_video(WatchVideoRequest) -> Replies<pb::WatchVideoResponse> = StreamExt::boxed;
    stream DownloadVideoStream: download_video(DownloadVideoRequest) -> Replies<pb::DownloadVideoResponse> = StreamExt::boxed;
});

pass_on!(ModelService by ModelServiceClient {
    unary list_models(ListModelsRequest) -> ListModelsResponse;
    unary get_model(GetModelRequest) -> GetModelResponse;
});

pass_on!(MediaService by MediaServiceClient {
    unary get_media(GetMediaRequest) -> GetMediaResponse;
    stream ReadMediaStream: read_media(ReadMediaRequest) -> Replies<pb::ReadMediaResponse> = StreamExt::boxed;
});

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tonic::transport::{Server, server::TcpIncoming};

    use super::*;
    use crate::{
        Settings, router,
        testing::{Script, get, post, send_to},
    };

    /// A gateway whose core is the script, behind a socket.
    async fn over_the_network(script: &Script) -> axum::Router {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}", listener.local_addr().unwrap());
        let server = script.serve(Server::builder());
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        router(Core::connect(&uri, Limits::default()).unwrap(), Settings::default())
    }

    #[tokio::test]
    async fn a_core_over_the_network_answers_as_one_in_the_process_does() {
        let script = Script::default();
        let gateway = over_the_network(&script).await;
        let answer = send_to(gateway.clone(), get("/v1/models/org/m")).await;
        assert_eq!(answer.json()["id"], json!("org/m"));
        let answer = send_to(gateway.clone(), get("/media/clip.mp4")).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, "0123456789"));
        let answer = send_to(gateway, get("/v1/videos/none")).await;
        assert_eq!(answer.error(), (404, None, "video_not_found".to_owned()));
    }

    #[tokio::test]
    async fn ids_deadlines_and_error_details_cross_the_network() {
        let script = Script::default();
        let gateway = over_the_network(&script).await;
        let mut request = get("/v1/models");
        request.headers_mut().insert("x-request-id", "mine-1".parse().unwrap());
        request.headers_mut().insert("x-request-timeout-ms", "5000".parse().unwrap());
        assert_eq!(send_to(gateway.clone(), request).await.status, 200);
        assert_eq!(script.metadata("x-request-id").as_deref(), Some("mine-1"));
        assert_eq!(script.metadata("grpc-timeout").as_deref(), Some("5000m"));
        script.fails("INVALID_FIELD", tonic::Code::InvalidArgument, Some("duration_seconds"));
        let answer = send_to(gateway, post("/v1/videos", &json!({"prompt": "p"}))).await;
        assert_eq!(answer.error(), (400, Some("seconds".to_owned()), "invalid_field".to_owned()));
    }

    #[tokio::test]
    async fn a_core_that_is_away_is_a_502_that_names_no_address() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let core = Core::connect(&format!("http://{free}"), Limits::default()).unwrap();
        let answer = send_to(router(core, Settings::default()), get("/v1/models")).await;
        assert_eq!(answer.error(), (502, None, "upstream_unavailable".to_owned()));
        assert!(!answer.text().contains("127.0.0.1"), "{}", answer.text());
    }

    #[tokio::test]
    async fn an_address_that_is_none_is_refused_at_once() {
        assert!(Core::connect("not an address", Limits::default()).is_err());
    }
}
