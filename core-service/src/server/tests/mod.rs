//! The gRPC server over real sockets, called with generated clients.

use std::{net::SocketAddr, time::Duration};

use prost::Message as _;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::{
    Code, Request,
    codec::CompressionEncoding,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use tonic_types::StatusExt as _;
use triptych_proto::v1::{
    self as pb, chat_service_client::ChatServiceClient, model_service_client::ModelServiceClient,
};

use http_server::{ConnectionThreads, ThreadCount};
use tokio::net::TcpListener;

use super::{ServeError, serve};
use crate::health::NAMES;
use crate::{Core, config::Settings, context::REQUEST_ID};

mod compression;
mod reflection;

/// A server on a free port, with its own data directory.
struct TestServer {
    _dir: TempDir,
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<Result<(), ServeError>>,
}

impl TestServer {
    async fn start(change: impl FnOnce(&mut Settings)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = Settings { data_dir: dir.path().to_owned(), ..Settings::default() };
        change(&mut settings);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (core, stop) = (Core::open(&settings).await.unwrap(), CancellationToken::new());
        let stopped = stop.clone().cancelled_owned();
        let task = tokio::spawn(async move {
            let threads = ConnectionThreads::start(ThreadCount::Shared).unwrap();
            let result = serve(listener, &core, &threads, stopped).await;
            core.close().await;
            result
        });
        Self { _dir: dir, address, stop, task }
    }

    async fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.address)).unwrap().connect().await.unwrap()
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }
}

fn chat_request(model: &str, text: &str) -> pb::ChatRequest {
    let content = Some(pb::chat_message::Content::Text(text.to_owned()));
    let message = pb::ChatMessage { role: "user".to_owned(), content, ..pb::ChatMessage::default() };
    pb::ChatRequest { model: model.to_owned(), messages: vec![message], ..pb::ChatRequest::default() }
}

fn create_chat(model: &str, text: &str) -> pb::CreateChatRequest {
    pb::CreateChatRequest { chat: Some(chat_request(model, text)), ..Default::default() }
}

fn reason(status: &tonic::Status) -> (Code, String) {
    (status.code(), status.get_details_error_info().map(|info| info.reason).unwrap_or_default())
}

#[tokio::test]
async fn models_are_listed_with_their_defaults_and_found_by_their_aliases() {
    let server = TestServer::start(|_| {}).await;
    let mut models = ModelServiceClient::new(server.channel().await);
    let listed = models.list_models(pb::ListModelsRequest::default()).await.unwrap().into_inner().models;
    let defaults: Vec<_> = listed.iter().filter(|model| model.default).map(|model| model.id.as_str()).collect();
    assert_eq!(defaults, ["qwen3-next-80b-a3b-instruct", "offline-image", "offline-video"]);
    let by_alias = models.get_model(pb::GetModelRequest { id: "gpt-4o".to_owned() }).await.unwrap().into_inner();
    assert_eq!(by_alias.model.unwrap().id, "qwen3-next-80b-a3b-instruct");
    let unknown = models.get_model(pb::GetModelRequest { id: "gpt-5000".to_owned() }).await.unwrap_err();
    assert_eq!(reason(&unknown), (Code::NotFound, "MODEL_NOT_FOUND".to_owned()));
    let invalid = models.list_models(pb::ListModelsRequest { modality: 99, ..Default::default() }).await.unwrap_err();
    assert_eq!(reason(&invalid), (Code::InvalidArgument, "INVALID_FIELD".to_owned()));
    server.stop().await;
}

#[tokio::test]
async fn with_an_upstream_the_offline_engine_is_served_by_its_own_name_only() {
    let server = TestServer::start(|settings| {
        settings.chat.base_url = Some("http://127.0.0.1:9/v1".parse().unwrap());
        settings.chat.models = vec!["another".to_owned()];
    })
    .await;
    let mut models = ModelServiceClient::new(server.channel().await);
    let chat_models = pb::ListModelsRequest { modality: pb::Modality::Chat.into(), ..Default::default() };
    let listed = models.list_models(chat_models).await.unwrap().into_inner().models;
    let names: Vec<_> = listed.iter().map(|model| (model.id.as_str(), model.owned_by.as_str())).collect();
    let upstream = [("qwen3-next-80b-a3b-instruct", "upstream"), ("another", "upstream")];
    assert_eq!(names, [&upstream[..], &[("offline-chat", "offline")]].concat());
    assert!(models.get_model(pb::GetModelRequest { id: "gpt-4".to_owned() }).await.is_err());
    server.stop().await;
}

#[tokio::test]
async fn every_response_has_a_request_id() {
    let server = TestServer::start(|_| {}).await;
    let mut chat = ChatServiceClient::new(server.channel().await);
    let mut request = Request::new(create_chat("", "Hello"));
    request.metadata_mut().insert(REQUEST_ID, "mine-1".parse().unwrap());
    let response = chat.create_chat(request).await.unwrap();
    assert_eq!(response.metadata().get(REQUEST_ID).unwrap(), "mine-1");
    let error = chat.create_chat(pb::CreateChatRequest::default()).await.unwrap_err();
    assert!(error.metadata().get(REQUEST_ID).unwrap().to_str().unwrap().starts_with("req_"));
    server.stop().await;
}

#[tokio::test]
async fn messages_are_accepted_up_to_the_limit_measured_after_decompression() {
    let server = TestServer::start(|settings| settings.grpc.max_message_bytes = 6 << 20).await;
    let mut chat = ChatServiceClient::new(server.channel().await).send_compressed(CompressionEncoding::Gzip);
    // This model fails before the engine counts the tokens, which takes long for a message of this length.
    let request = |bytes| create_chat("offline-chat-fault-429", &"w".repeat(bytes));
    // Above the transport's default of 4 MiB.
    let accepted = chat.create_chat(request(5 << 20)).await.unwrap_err();
    assert_eq!(reason(&accepted), (Code::ResourceExhausted, "RATE_LIMIT_EXCEEDED".to_owned()));
    let rejected = chat.create_chat(request(7 << 20)).await.unwrap_err();
    assert_eq!(rejected.code(), Code::InvalidArgument);
    assert!(rejected.message().contains("6291456"), "{rejected}");
    server.stop().await;
}

#[tokio::test]
async fn retry_pushback_is_sent_beside_retry_info_and_forbids_retries_of_possibly_executed_calls() {
    let server = TestServer::start(|_| {}).await;
    let mut chat = ChatServiceClient::new(server.channel().await);
    for (model, pushback, retry_delay) in [
        ("offline-chat-fault-429", Some("2000"), Some(Duration::from_secs(2))),
        // A negative value means that the client must not retry.
        ("offline-chat-fault-500", Some("-1"), None),
        ("no-such-model", None, None),
    ] {
        let error = chat.create_chat(create_chat(model, "Hello")).await.unwrap_err();
        let metadata = error.metadata().get("grpc-retry-pushback-ms").map(|value| value.to_str().unwrap());
        assert_eq!(metadata, pushback, "{model}");
        assert_eq!(error.get_details_retry_info().and_then(|info| info.retry_delay), retry_delay, "{model}");
    }
    server.stop().await;
}

#[tokio::test]
async fn an_exceeded_deadline_has_a_reason() {
    let server = TestServer::start(|_| {}).await;
    // Without the generated client, which would end the call on its side with CANCELLED.
    let message = create_chat("offline-chat-fault-slow", "Hello").encode_to_vec();
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    drop(rustls::crypto::ring::default_provider().install_default());
    let client = reqwest::Client::builder().http2_prior_knowledge().no_proxy().build().unwrap();
    let response = client
        .post(format!("http://{}/triptych.v1.ChatService/CreateChat", server.address))
        .header("content-type", "application/grpc")
        .header("grpc-timeout", "100m")
        .body([&[0][..], &length, &message].concat())
        .send()
        .await
        .unwrap();
    let status = tonic::Status::from_header_map(response.headers()).unwrap();
    assert_eq!(reason(&status), (Code::DeadlineExceeded, "UPSTREAM_TIMEOUT".to_owned()));
    drop((response, client));
    server.stop().await;
}

#[tokio::test]
async fn health_reports_every_service_and_changes_before_the_server_stops() {
    let server = TestServer::start(|_| {}).await;
    let mut health = HealthClient::new(server.channel().await);
    for name in NAMES.map(|(name, _)| name) {
        let request = HealthCheckRequest { service: name.to_owned() };
        assert_eq!(health.check(request).await.unwrap().into_inner().status(), ServingStatus::Serving, "{name}");
    }
    let request = HealthCheckRequest { service: NAMES[1].0.to_owned() };
    let mut updates = health.watch(request).await.unwrap().into_inner();
    assert_eq!(updates.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    // The watch stream does not block the drain, which would take 30 seconds.
    tokio::time::timeout(Duration::from_secs(10), server.stop()).await.unwrap();
    assert_eq!(updates.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
}

#[tokio::test]
async fn a_stream_in_flight_after_the_drain_ends_with_shutting_down() {
    let server = TestServer::start(|settings| {
        settings.offline.chat_tokens_per_second = 1;
        settings.grpc.drain = Duration::from_millis(50);
    })
    .await;
    let mut chat = ChatServiceClient::new(server.channel().await);
    let request = pb::StreamChatRequest { chat: Some(chat_request("", "Hello")), ..Default::default() };
    let mut chunks = chat.stream_chat(request).await.unwrap().into_inner();
    assert!(chunks.message().await.unwrap().is_some());
    server.stop().await;
    let status = loop {
        match chunks.message().await {
            Ok(chunk) => assert!(chunk.is_some(), "the stream ended without an error"),
            Err(status) => break status,
        }
    };
    assert_eq!(reason(&status), (Code::Unavailable, "SHUTTING_DOWN".to_owned()));
}
