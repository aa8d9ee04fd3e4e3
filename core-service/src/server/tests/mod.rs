//! The server over real sockets, asked by the generated clients.

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
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus as Seen, health_client::HealthClient};
use tonic_types::StatusExt as _;
use triptych_proto::v1::{
    self as pb, chat_service_client::ChatServiceClient, model_service_client::ModelServiceClient,
};

use super::*;
use crate::{config::Settings, context::REQUEST_ID};

mod compressed;

struct Served {
    _dir: TempDir,
    address: SocketAddr,
    stop: CancellationToken,
    server: JoinHandle<Result<(), ServeError>>,
}

impl Served {
    async fn new(change: impl FnOnce(&mut Settings)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = Settings { data_dir: dir.path().to_owned(), ..Settings::default() };
        change(&mut settings);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (core, stop) = (Core::open(&settings).await.unwrap(), CancellationToken::new());
        let stopped = stop.clone().cancelled_owned();
        let server = tokio::spawn(async move {
            let served = serve(listener, &core, stopped).await;
            core.close().await;
            served
        });
        Self { _dir: dir, address, stop, server }
    }

    async fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.address)).unwrap().connect().await.unwrap()
    }

    async fn end(self) {
        self.stop.cancel();
        self.server.await.unwrap().unwrap();
    }
}

fn says(model: &str, text: &str) -> pb::ChatRequest {
    let content = Some(pb::chat_message::Content::Text(text.to_owned()));
    let message = pb::ChatMessage { role: "user".to_owned(), content, ..pb::ChatMessage::default() };
    pb::ChatRequest { model: model.to_owned(), messages: vec![message], ..pb::ChatRequest::default() }
}

fn reason(status: &tonic::Status) -> (Code, String) {
    (status.code(), status.get_details_error_info().map(|info| info.reason).unwrap_or_default())
}

#[tokio::test]
async fn models_are_listed_with_their_defaults_and_habitual_names() {
    let served = Served::new(|_| {}).await;
    let mut models = ModelServiceClient::new(served.channel().await);
    let listed = models.list_models(pb::ListModelsRequest::default()).await.unwrap().into_inner().models;
    let defaults: Vec<_> = listed.iter().filter(|model| model.default).map(|model| model.id.as_str()).collect();
    assert_eq!(defaults, ["qwen3-next-80b-a3b-instruct", "offline-image", "offline-video"]);
    let habitual = models.get_model(pb::GetModelRequest { id: "gpt-4o".to_owned() }).await.unwrap().into_inner();
    assert_eq!(habitual.model.unwrap().id, "qwen3-next-80b-a3b-instruct");
    let unknown = models.get_model(pb::GetModelRequest { id: "gpt-5000".to_owned() }).await.unwrap_err();
    assert_eq!(reason(&unknown), (Code::NotFound, "MODEL_NOT_FOUND".to_owned()));
    let panel = models.list_models(pb::ListModelsRequest { modality: 99, ..Default::default() }).await.unwrap_err();
    assert_eq!(reason(&panel), (Code::InvalidArgument, "INVALID_FIELD".to_owned()));
    served.end().await;
}

#[tokio::test]
async fn a_connected_panel_keeps_the_engine_by_its_own_name_only() {
    let served = Served::new(|settings| {
        settings.chat.base_url = Some("http://127.0.0.1:9/v1".parse().unwrap());
        settings.chat.models = vec!["another".to_owned()];
    })
    .await;
    let mut models = ModelServiceClient::new(served.channel().await);
    let of_chat = pb::ListModelsRequest { modality: pb::Modality::Chat.into(), ..Default::default() };
    let listed = models.list_models(of_chat).await.unwrap().into_inner().models;
    let names: Vec<_> = listed.iter().map(|model| (model.id.as_str(), model.owned_by.as_str())).collect();
    let upstream = [("qwen3-next-80b-a3b-instruct", "upstream"), ("another", "upstream")];
    assert_eq!(names, [&upstream[..], &[("offline-chat", "offline")]].concat());
    assert!(models.get_model(pb::GetModelRequest { id: "gpt-4".to_owned() }).await.is_err());
    served.end().await;
}

#[tokio::test]
async fn every_answer_names_its_request() {
    let served = Served::new(|_| {}).await;
    let mut chat = ChatServiceClient::new(served.channel().await);
    let mut request = Request::new(pb::CreateChatRequest { chat: Some(says("", "Hello")), ..Default::default() });
    request.metadata_mut().insert(REQUEST_ID, "mine-1".parse().unwrap());
    let answer = chat.create_chat(request).await.unwrap();
    assert_eq!(answer.metadata().get(REQUEST_ID).unwrap(), "mine-1");
    let refused = chat.create_chat(pb::CreateChatRequest::default()).await.unwrap_err();
    assert!(refused.metadata().get(REQUEST_ID).unwrap().to_str().unwrap().starts_with("req_"));
    served.end().await;
}

#[tokio::test]
async fn large_and_compressed_messages_are_taken_up_to_the_limit() {
    let served = Served::new(|settings| settings.grpc.max_message_bytes = 6 << 20).await;
    let mut chat = ChatServiceClient::new(served.channel().await).send_compressed(CompressionEncoding::Gzip);
    // Answered before the words are counted, which takes long for so many.
    let fault = "offline-chat-fault-429";
    let ask = |bytes| pb::CreateChatRequest { chat: Some(says(fault, &"w".repeat(bytes))), ..Default::default() };
    // Beyond the transport's own default of 4 MiB.
    let taken = chat.create_chat(ask(5 << 20)).await.unwrap_err();
    assert_eq!(reason(&taken), (Code::ResourceExhausted, "RATE_LIMIT_EXCEEDED".to_owned()));
    let refused = chat.create_chat(ask(7 << 20)).await.unwrap_err();
    // Counted after decompression: a small body cannot become a large one.
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(refused.message().contains("6291456"), "{refused}");
    served.end().await;
}

#[tokio::test]
async fn a_passed_deadline_is_told_with_a_reason() {
    let served = Served::new(|_| {}).await;
    // Without the generated client, which would end the call itself, as CANCELLED, as the server's transport would.
    let message = pb::CreateChatRequest { chat: Some(says("offline-chat-fault-slow", "Hello")), ..Default::default() };
    let message = message.encode_to_vec();
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    drop(rustls::crypto::ring::default_provider().install_default());
    let client = reqwest::Client::builder().http2_prior_knowledge().no_proxy().build().unwrap();
    let answer = client
        .post(format!("http://{}/triptych.v1.ChatService/CreateChat", served.address))
        .header("content-type", "application/grpc")
        .header("grpc-timeout", "100m")
        .body([&[0][..], &length, &message].concat())
        .send()
        .await
        .unwrap();
    let late = tonic::Status::from_header_map(answer.headers()).unwrap();
    assert_eq!(reason(&late), (Code::DeadlineExceeded, "UPSTREAM_TIMEOUT".to_owned()));
    drop((answer, client));
    served.end().await;
}

#[tokio::test]
async fn health_is_told_per_service_and_turns_before_the_server_goes() {
    let served = Served::new(|_| {}).await;
    let mut health = HealthClient::new(served.channel().await);
    for name in NAMES {
        let asked = HealthCheckRequest { service: name.to_owned() };
        assert_eq!(health.check(asked).await.unwrap().into_inner().status(), Seen::Serving, "{name}");
    }
    let asked = HealthCheckRequest { service: chat_service_server::SERVICE_NAME.to_owned() };
    let mut news = health.watch(asked).await.unwrap().into_inner();
    assert_eq!(news.message().await.unwrap().unwrap().status(), Seen::Serving);
    // The watcher must not hold up the drain: this returns long before its thirty seconds.
    tokio::time::timeout(Duration::from_secs(10), served.end()).await.unwrap();
    assert_eq!(news.message().await.unwrap().unwrap().status(), Seen::NotServing);
}

#[tokio::test]
async fn a_call_that_outlives_the_drain_is_cut_with_shutting_down() {
    let served = Served::new(|settings| {
        settings.offline.chat_tokens_per_second = 1;
        settings.grpc.drain = Duration::from_millis(50);
    })
    .await;
    let mut chat = ChatServiceClient::new(served.channel().await);
    let request = pb::StreamChatRequest { chat: Some(says("", "Hello")), ..Default::default() };
    let mut pieces = chat.stream_chat(request).await.unwrap().into_inner();
    assert!(pieces.message().await.unwrap().is_some());
    served.end().await;
    let cut = loop {
        match pieces.message().await {
            Ok(piece) => assert!(piece.is_some(), "the stream ended as if it were whole"),
            Err(status) => break status,
        }
    };
    assert_eq!(reason(&cut), (Code::Unavailable, "SHUTTING_DOWN".to_owned()));
}

#[tokio::test]
async fn reflection_describes_all_services_in_both_versions() {
    use tonic_reflection::pb::{v1, v1alpha};

    macro_rules! services {
        ($version:ident, $channel:expr) => {{
            use $version::{
                ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
                server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
            };
            let message_request = Some(MessageRequest::ListServices(String::new()));
            let request = ServerReflectionRequest { host: String::new(), message_request };
            let mut client = ServerReflectionClient::new($channel);
            let answers = client.server_reflection_info(futures_util::stream::iter([request])).await;
            match answers.unwrap().into_inner().message().await.unwrap().unwrap().message_response.unwrap() {
                MessageResponse::ListServicesResponse(list) => {
                    list.service.into_iter().map(|service| service.name).collect::<Vec<_>>()
                }
                other => panic!("{other:?}"),
            }
        }};
    }
    let served = Served::new(|_| {}).await;
    for names in [services!(v1, served.channel().await), services!(v1alpha, served.channel().await)] {
        for name in NAMES.into_iter().filter(|name| !name.is_empty()).chain(["grpc.health.v1.Health"]) {
            assert!(names.iter().any(|known| known == name), "{name} is missing in {names:?}");
        }
    }
    served.end().await;
}
