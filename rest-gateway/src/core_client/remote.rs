//! A core over the network: the generated clients as implementations of the service traits.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt;
use http::uri::PathAndQuery;
use tonic::{Request, Response, Status, async_trait, client::Grpc};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse, health_client::HealthClient, health_server::Health};
use triptych_proto::{
    chat_stream::{ChatStream, StreamChatClientCodec},
    v1::{
        self as pb, admin_service_client::AdminServiceClient, admin_service_server::AdminService,
        chat_service_client::ChatServiceClient, chat_service_server::ChatService,
        image_service_client::ImageServiceClient, image_service_server::ImageService,
        media_service_client::MediaServiceClient, media_service_server::MediaService,
        model_service_client::ModelServiceClient, model_service_server::ModelService,
        response_service_client::ResponseServiceClient, response_service_server::ResponseService,
        usage_service_client::UsageServiceClient, usage_service_server::UsageService,
        video_service_client::VideoServiceClient, video_service_server::VideoService,
        webhook_service_client::WebhookServiceClient, webhook_service_server::WebhookService,
    },
};

use super::{
    address::{ConnectError, CoreAddress},
    connections::CoreConnections,
    services::{CoreServices, ReplyStream},
    tls::CoreTls,
};

/// Options of the connections to a core.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// Maximum message length in both directions, in bytes. Must not be below the limit of the core.
    pub max_message_bytes: usize,
    /// Maximum time for connecting, after which calls fail with UNAVAILABLE.
    pub connect_timeout: Duration,
    /// Certificates for a core at an `https` URL, which cannot be reached without.
    pub tls: Option<CoreTls>,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self { max_message_bytes: 64 << 20, connect_timeout: Duration::from_secs(5), tls: None }
    }
}

impl CoreServices {
    /// Returns the services of the core at `http://host:port`, `https://host:port` or `unix:PATH`. Connects with the first call
    /// from each runtime, and again after a connection is lost. Calls need a Tokio runtime with I/O and time.
    ///
    /// # Errors
    /// If `uri` is none of these addresses.
    pub fn connect(uri: &str, options: ConnectOptions) -> Result<Self, ConnectError> {
        let ConnectOptions { max_message_bytes, connect_timeout, tls } = options;
        let connections = CoreConnections::new(CoreAddress::parse(uri, tls)?, connect_timeout);
        let remote = Arc::new(RemoteCore { connections, max_message_bytes });
        Ok(Self {
            chat: remote.clone(),
            response: remote.clone(),
            image: remote.clone(),
            video: remote.clone(),
            webhook: remote.clone(),
            usage: remote.clone(),
            admin: remote.clone(),
            model: remote.clone(),
            media: remote.clone(),
            key_check: None,
            health: remote,
        })
    }
}

#[derive(Debug)]
struct RemoteCore {
    connections: CoreConnections,
    max_message_bytes: usize,
}

/// Creates a client of one service. Cheap: all clients share the connections.
macro_rules! client {
    ($remote:ident, $client:ident) => {
        $client::new($remote.connections.clone())
            .max_decoding_message_size($remote.max_message_bytes)
            .max_encoding_message_size($remote.max_message_bytes)
    };
}

/// Implements a service trait with the generated client. Metadata, the deadline among it, and cancellation pass through.
macro_rules! forward {
    ($service:ident by $client:ident {
        $(unary $call:ident($request:ident) -> $reply:ident;)*
        $(stream $stream:ident: $streaming:ident($message:ident) -> $replies:ty = $into:expr;)*
    }) => {
        #[async_trait]
        impl $service for RemoteCore {
            $(
                async fn $call(&self, request: Request<pb::$request>) -> Result<Response<pb::$reply>, Status> {
                    client!(self, $client).$call(request).await
                }
            )*
            $(
                type $stream = $replies;

                async fn $streaming(&self, request: Request<pb::$message>) -> Result<Response<Self::$stream>, Status> {
                    Ok(client!(self, $client).$streaming(request).await?.map($into))
                }
            )*
        }
    };
}

/// Not by `forward!`, because the messages are those of the gRPC health protocol and not of `triptych.v1`.
#[async_trait]
impl Health for RemoteCore {
    type WatchStream = ReplyStream<HealthCheckResponse>;

    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        HealthClient::new(self.connections.clone()).check(request).await
    }

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Ok(HealthClient::new(self.connections.clone()).watch(request).await?.map(StreamExt::boxed))
    }
}

/// Not by `forward!`, because a stream has a codec of its own: nearly every chunk is read as its text alone.
#[async_trait]
impl ChatService for RemoteCore {
    type StreamChatStream = ChatStream;

    async fn create_chat(
        &self,
        request: Request<pb::CreateChatRequest>,
    ) -> Result<Response<pb::CreateChatResponse>, Status> {
        client!(self, ChatServiceClient).create_chat(request).await
    }

    async fn stream_chat(&self, request: Request<pb::StreamChatRequest>) -> Result<Response<ChatStream>, Status> {
        let mut client = client!(self, Grpc);
        let path = PathAndQuery::from_static("/triptych.v1.ChatService/StreamChat");
        Ok(client.server_streaming(request, path, StreamChatClientCodec).await?.map(ChatStream::new))
    }
}

forward!(ResponseService by ResponseServiceClient {
    unary create_response(CreateResponseRequest) -> CreateResponseResponse;
    unary get_response(GetResponseRequest) -> GetResponseResponse;
    unary cancel_response(CancelResponseRequest) -> CancelResponseResponse;
    unary delete_response(DeleteResponseRequest) -> DeleteResponseResponse;
    unary list_input_items(ListInputItemsRequest) -> ListInputItemsResponse;
    stream StreamResponseStream: stream_response(StreamResponseRequest) -> ReplyStream<pb::StreamResponseResponse> = StreamExt::boxed;
    stream ResumeResponseStream: resume_response(ResumeResponseRequest) -> ReplyStream<pb::ResumeResponseResponse> = StreamExt::boxed;
});

forward!(ImageService by ImageServiceClient {
    unary generate_images(GenerateImagesRequest) -> GenerateImagesResponse;
    stream StreamImagesStream: stream_images(StreamImagesRequest) -> ReplyStream<pb::StreamImagesResponse> = StreamExt::boxed;
});

forward!(VideoService by VideoServiceClient {
    unary create_video(CreateVideoRequest) -> CreateVideoResponse;
    unary get_video(GetVideoRequest) -> GetVideoResponse;
    unary get_video_history(GetVideoHistoryRequest) -> GetVideoHistoryResponse;
    unary list_videos(ListVideosRequest) -> ListVideosResponse;
    unary cancel_video(CancelVideoRequest) -> CancelVideoResponse;
    unary delete_video(DeleteVideoRequest) -> DeleteVideoResponse;
    unary remix_video(RemixVideoRequest) -> RemixVideoResponse;
    unary edit_video(EditVideoRequest) -> EditVideoResponse;
    unary extend_video(ExtendVideoRequest) -> ExtendVideoResponse;
    stream WatchVideoStream: watch_video(WatchVideoRequest) -> ReplyStream<pb::WatchVideoResponse> = StreamExt::boxed;
    stream DownloadVideoStream: download_video(DownloadVideoRequest) -> ReplyStream<pb::DownloadVideoResponse> = StreamExt::boxed;
});

forward!(UsageService by UsageServiceClient {
    unary list_usage(ListUsageRequest) -> ListUsageResponse;
    unary list_budgets(ListBudgetsRequest) -> ListBudgetsResponse;
    unary estimate_video(EstimateVideoRequest) -> EstimateVideoResponse;
    unary estimate_images(EstimateImagesRequest) -> EstimateImagesResponse;
});

forward!(AdminService by AdminServiceClient {
    unary create_key(CreateKeyRequest) -> CreateKeyResponse;
    unary get_key(GetKeyRequest) -> GetKeyResponse;
    unary list_keys(ListKeysRequest) -> ListKeysResponse;
    unary update_key(UpdateKeyRequest) -> UpdateKeyResponse;
    unary rotate_key(RotateKeyRequest) -> RotateKeyResponse;
    unary revoke_key(RevokeKeyRequest) -> RevokeKeyResponse;
    unary verify_ledger(VerifyLedgerRequest) -> VerifyLedgerResponse;
    unary list_holds(ListHoldsRequest) -> ListHoldsResponse;
    unary resolve_hold(ResolveHoldRequest) -> ResolveHoldResponse;
});

forward!(WebhookService by WebhookServiceClient {
    unary create_webhook_endpoint(CreateWebhookEndpointRequest) -> CreateWebhookEndpointResponse;
    unary get_webhook_endpoint(GetWebhookEndpointRequest) -> GetWebhookEndpointResponse;
    unary list_webhook_endpoints(ListWebhookEndpointsRequest) -> ListWebhookEndpointsResponse;
    unary update_webhook_endpoint(UpdateWebhookEndpointRequest) -> UpdateWebhookEndpointResponse;
    unary delete_webhook_endpoint(DeleteWebhookEndpointRequest) -> DeleteWebhookEndpointResponse;
    unary rotate_webhook_secret(RotateWebhookSecretRequest) -> RotateWebhookSecretResponse;
    unary test_webhook_endpoint(TestWebhookEndpointRequest) -> TestWebhookEndpointResponse;
    unary list_webhook_deliveries(ListWebhookDeliveriesRequest) -> ListWebhookDeliveriesResponse;
    unary list_webhook_event_types(ListWebhookEventTypesRequest) -> ListWebhookEventTypesResponse;
    unary redeliver_webhook(RedeliverWebhookRequest) -> RedeliverWebhookResponse;
});

forward!(ModelService by ModelServiceClient {
    unary list_models(ListModelsRequest) -> ListModelsResponse;
    unary get_model(GetModelRequest) -> GetModelResponse;
});

forward!(MediaService by MediaServiceClient {
    unary get_media(GetMediaRequest) -> GetMediaResponse;
    stream ReadMediaStream: read_media(ReadMediaRequest) -> ReplyStream<pb::ReadMediaResponse> = StreamExt::boxed;
});

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tonic::transport::{Server, server::TcpIncoming};

    use super::*;
    use crate::{
        Gateway, Settings,
        testing::{CoreStub, get, post, send_to},
    };

    /// Returns a gateway that calls `core` over a socket.
    async fn gateway_over_the_network(core: &CoreStub) -> axum::Router {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}", listener.local_addr().unwrap());
        let server = core.serve(Server::builder());
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        let services = CoreServices::connect(&uri, ConnectOptions::default()).unwrap();
        Gateway::new(services, Settings::default()).router()
    }

    #[tokio::test]
    async fn remote_core_behaves_like_one_in_process() {
        let core = CoreStub::default();
        let gateway = gateway_over_the_network(&core).await;
        let response = send_to(gateway.clone(), get("/v1/models/org/m")).await;
        assert_eq!(response.json()["id"], json!("org/m"));
        let response = send_to(gateway.clone(), get("/media/clip.mp4")).await;
        assert_eq!((response.status.as_u16(), response.text()), (200, "0123456789"));
        let response = send_to(gateway, get("/v1/videos/none")).await;
        assert_eq!(response.error(), (404, None, "video_not_found".to_owned()));
    }

    #[tokio::test]
    async fn request_id_deadline_and_error_details_cross_the_network() {
        let core = CoreStub::default();
        let gateway = gateway_over_the_network(&core).await;
        let mut request = get("/v1/models");
        request.headers_mut().insert("x-request-id", "mine-1".parse().unwrap());
        request.headers_mut().insert("x-request-timeout-ms", "5000".parse().unwrap());
        assert_eq!(send_to(gateway.clone(), request).await.status, 200);
        assert_eq!(core.metadata("x-request-id").as_deref(), Some("mine-1"));
        assert_eq!(core.metadata("grpc-timeout").as_deref(), Some("5000m"));
        core.fail_every_call("INVALID_FIELD", tonic::Code::InvalidArgument, Some("duration_seconds"));
        let response = send_to(gateway, post("/v1/videos", &json!({"prompt": "p"}))).await;
        assert_eq!(response.error(), (400, Some("seconds".to_owned()), "invalid_field".to_owned()));
    }

    #[tokio::test]
    async fn unreachable_core_returns_502_with_retry_after_and_without_its_address() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let services = CoreServices::connect(&format!("http://{free}"), ConnectOptions::default()).unwrap();
        let response = send_to(Gateway::new(services, Settings::default()).router(), get("/v1/models")).await;
        assert_eq!(response.error(), (502, None, "upstream_unavailable".to_owned()));
        assert_eq!(response.headers["retry-after"], "1");
        assert!(!response.text().contains("127.0.0.1"), "{}", response.text());
    }

    #[tokio::test]
    async fn invalid_uri_and_https_without_certificates_are_refused_by_connect() {
        for uri in ["not an address", "https://core.test:50051"] {
            assert!(CoreServices::connect(uri, ConnectOptions::default()).is_err(), "{uri}");
        }
    }
}
