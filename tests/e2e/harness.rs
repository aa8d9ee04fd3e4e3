//! Starts the core and the gateway in this process, on free ports, with the scripted upstream behind them.

use std::{future::Future, io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use core_service::{Core, config::Settings};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};
use triptych_proto::v1::{
    chat_service_client::ChatServiceClient, image_service_client::ImageServiceClient,
    media_service_client::MediaServiceClient, model_service_client::ModelServiceClient,
    video_service_client::VideoServiceClient,
};

use crate::upstream::Upstream;

/// The model that the scripted upstream answers for.
pub(crate) const MODEL: &str = "scripted-1";
/// Longest wait for something that must come. Far beyond what a busy machine needs: reaching it is a failure.
const PATIENCE: Duration = Duration::from_mins(1);
const LARGEST_MESSAGE: usize = 64 << 20;

/// How the gateway reaches the core.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hop {
    /// As virtual calls.
    InProcess,
    /// As gRPC over a socket.
    Network,
}

/// Everything that runs.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) upstream: Upstream,
    pub(crate) rest: SocketAddr,
    pub(crate) grpc: SocketAddr,
    http: reqwest::Client,
    stop: CancellationToken,
    servers: JoinSet<()>,
    data: TempDir,
}

/// Runs a test over each hop, on fresh servers, and sees to it that they go down in order.
pub(crate) async fn over_both_hops(test: impl AsyncFn(&World)) {
    over_both_hops_with(|_, _| (), test).await;
}

/// The same with settings of the test's own.
pub(crate) async fn over_both_hops_with(
    adjust: impl Fn(&mut Settings, &mut rest_gateway::Settings),
    test: impl AsyncFn(&World),
) {
    for hop in [Hop::InProcess, Hop::Network] {
        eprintln!("over {hop:?}");
        let world = World::start(hop, &adjust).await;
        test(&world).await;
        world.upstream.saw_nothing().await;
        world.stop().await;
    }
}

/// The outcome of something that must come soon.
pub(crate) async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    timeout(PATIENCE, work).await.unwrap_or_else(|_| panic!("waited too long for {what}"))
}

impl World {
    async fn start(hop: Hop, adjust: &impl Fn(&mut Settings, &mut rest_gateway::Settings)) -> Self {
        // The outcome is an error from the second time on.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let data = tempfile::tempdir().unwrap();
        let upstream = Upstream::start().await;
        let mut settings = Settings { data_dir: data.path().to_owned(), ..Settings::default() };
        settings.chat.base_url = Some(format!("http://{}/v1", upstream.address).parse().unwrap());
        settings.chat.api_key = Some("upstream-secret".into());
        MODEL.clone_into(&mut settings.chat.model);
        // A test's replies are played once, and its failures are no reason to rest.
        settings.chat.routing.retries = 0;
        settings.chat.routing.failures = u32::MAX;
        settings.image.routing.retries = 0;
        settings.image.routing.failures = u32::MAX;
        settings.offline.chat_tokens_per_second = 0;
        // As many as the executable has on a small machine; over the network the test's own runtime serves.
        let threads = if hop == Hop::InProcess { 2 } else { 0 };
        let mut gateway = rest_gateway::Settings { threads, ..rest_gateway::Settings::default() };
        adjust(&mut settings, &mut gateway);

        let core = Arc::new(Core::open(&settings).await.unwrap());
        let (rest, grpc) = (free().await, free().await);
        let (rest_address, grpc_address) = (rest.local_addr().unwrap(), grpc.local_addr().unwrap());
        let port = match hop {
            Hop::InProcess => port(&core),
            Hop::Network => rest_gateway::core::Core::connect(
                &format!("http://{grpc_address}"),
                rest_gateway::core::Limits::default(),
            )
            .unwrap(),
        };
        let stop = CancellationToken::new();
        let mut servers = JoinSet::new();
        servers.spawn({
            let stop = stop.clone();
            async move {
                core_service::serve(grpc, &core, stop.cancelled_owned()).await.unwrap();
                Arc::into_inner(core).unwrap().close().await;
            }
        });
        let router = rest_gateway::router(port, gateway.clone());
        let stopped = stop.clone().cancelled_owned();
        servers.spawn(async move { rest_gateway::serve(rest, router, gateway, stopped).await.unwrap() });
        // No proxy: an environment variable of whoever runs the tests must not lead them elsewhere.
        let http = reqwest::Client::builder().no_proxy().tcp_nodelay(true).build().unwrap();
        Self { upstream, rest: rest_address, grpc: grpc_address, http, stop, servers, data }
    }

    async fn stop(self) {
        let Self { stop, mut servers, http, .. } = self;
        // Kept connections would hold up the drain.
        drop(http);
        stop.cancel();
        soon("the servers to go down", async {
            while let Some(ended) = servers.join_next().await {
                ended.unwrap();
            }
        })
        .await;
    }

    /// Where the core keeps its media.
    pub(crate) fn media_dir(&self) -> PathBuf {
        self.data.path().join("media")
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.rest)
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, self.url(path))
    }

    /// A chat request over REST, sent as it is written here.
    pub(crate) async fn chat(&self, body: impl Into<reqwest::Body>) -> reqwest::Response {
        let request = self.request(Method::POST, "/v1/chat/completions").header("content-type", "application/json");
        soon("an answer", request.body(body).send()).await.unwrap()
    }

    /// A JSON request over REST.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> reqwest::Response {
        let request = self.request(Method::POST, path).header("content-type", "application/json");
        soon("an answer", request.body(body.to_string()).send()).await.unwrap()
    }

    async fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.grpc)).unwrap().connect().await.unwrap()
    }

    pub(crate) async fn chat_client(&self) -> ChatServiceClient<Channel> {
        ChatServiceClient::new(self.channel().await)
    }

    pub(crate) async fn model_client(&self) -> ModelServiceClient<Channel> {
        ModelServiceClient::new(self.channel().await)
    }

    pub(crate) async fn image_client(&self) -> ImageServiceClient<Channel> {
        ImageServiceClient::new(self.channel().await).max_decoding_message_size(LARGEST_MESSAGE)
    }

    pub(crate) async fn video_client(&self) -> VideoServiceClient<Channel> {
        VideoServiceClient::new(self.channel().await)
    }

    pub(crate) async fn media_client(&self) -> MediaServiceClient<Channel> {
        MediaServiceClient::new(self.channel().await)
    }
}

/// A body with one user's turn and these members besides.
pub(crate) fn hello(members: &Value) -> String {
    let mut body = json!({"model": MODEL, "messages": [{"role": "user", "content": "Hello"}]});
    let extra = members.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(extra);
    body.to_string()
}

/// Asserts that an answer is an error in the OpenAI shape, with a request id, and gives its members.
pub(crate) async fn error_of(response: reqwest::Response) -> (StatusCode, Value) {
    let status = response.status();
    assert!(response.headers().contains_key("x-request-id"), "an answer without an id: {response:?}");
    assert_eq!(response.headers()["content-type"], "application/json");
    let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    let error = &body["error"];
    for member in ["message", "type", "param", "code"] {
        assert!(error.get(member).is_some(), "{body} has no `{member}`");
    }
    assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{body}");
    (status, error.clone())
}

/// Reads an event stream as it comes: one event's text at a time, `None` at the end.
#[derive(Debug)]
pub(crate) struct Events {
    response: reqwest::Response,
    buffer: String,
    /// The beginning of a character whose end has not arrived.
    torn: Vec<u8>,
}

impl Events {
    pub(crate) fn of(response: reqwest::Response) -> Self {
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, buffer: String::new(), torn: Vec::new() }
    }

    pub(crate) async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.find("\n\n") {
                let event = self.buffer[..end].to_owned();
                self.buffer.drain(..end + 2);
                return Some(event);
            }
            let Some(bytes) = soon("an event", self.response.chunk()).await.unwrap() else {
                assert_eq!(self.buffer, "", "the stream ended within an event");
                return None;
            };
            self.torn.extend_from_slice(&bytes);
            let whole = std::str::from_utf8(&self.torn).map_or_else(|error| error.valid_up_to(), str::len);
            self.buffer.push_str(std::str::from_utf8(&self.torn[..whole]).unwrap());
            self.torn.drain(..whole);
            assert!(self.torn.len() < 4, "the stream is no UTF-8");
        }
    }

    pub(crate) async fn rest(mut self) -> Vec<String> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }
}

/// The JSON behind `data: `.
pub(crate) fn data(event: &str) -> Value {
    serde_json::from_str(event.strip_prefix("data: ").unwrap_or_else(|| panic!("no data: {event}"))).unwrap()
}

async fn free() -> TcpListener {
    let bound: io::Result<_> = TcpListener::bind("127.0.0.1:0").await;
    bound.unwrap()
}

/// The gateway's port with the core's own services behind it, as the executable joins them.
fn port(core: &Core) -> rest_gateway::core::Core {
    let services = core.services();
    rest_gateway::core::Core {
        chat: services.chat.clone(),
        image: services.image.clone(),
        video: services.video.clone(),
        model: services.model.clone(),
        media: services.media.clone(),
    }
}
