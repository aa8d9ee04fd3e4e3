//! Starts the core and the gateway in the test's process, on free ports, in front of a fake upstream.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    num::NonZeroUsize,
    path::PathBuf,
    sync::{Arc, Weak},
    time::Duration,
};

use core_service::{Core, config::Settings};
use http_server::{ConnectionThreads, ThreadCount};
use reqwest::{Method, RequestBuilder};
use rest_gateway::{
    Gateway,
    core_client::{ConnectOptions, CoreServices},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};
use triptych_proto::v1::{
    admin_service_client::AdminServiceClient, chat_service_client::ChatServiceClient,
    image_service_client::ImageServiceClient, media_service_client::MediaServiceClient,
    model_service_client::ModelServiceClient, response_service_client::ResponseServiceClient,
    usage_service_client::UsageServiceClient, video_service_client::VideoServiceClient,
    webhook_service_client::WebhookServiceClient,
};

use crate::{fake_upstream::FakeUpstream, log_capture};

/// The model that the fake upstream serves.
pub(crate) const MODEL: &str = "scripted-1";
/// Longest wait for anything that must happen. Far more than a busy machine needs, so reaching it is a failure.
const TIMEOUT: Duration = Duration::from_mins(3);
/// Limit of the messages that image clients accept. tonic's default of 4 MiB is too small for images.
const MAX_MESSAGE_BYTES: usize = 64 << 20;

/// How the gateway reaches the core.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CoreLocation {
    /// By method calls on trait objects.
    InProcess,
    /// By gRPC over a socket.
    Remote,
}

/// A running core and gateway with the fake upstream behind them.
#[derive(Debug)]
pub(crate) struct TestServer {
    pub(crate) upstream: FakeUpstream,
    pub(crate) rest: SocketAddr,
    pub(crate) grpc: SocketAddr,
    http: reqwest::Client,
    /// The settings at start.
    settings: Box<Settings>,
    core: Weak<Core>,
    stop: CancellationToken,
    servers: JoinSet<()>,
    /// The data directory of the core: job database and media store.
    data: TempDir,
}

/// Runs a test against a gateway with the core in its process and against one with a remote core, each on fresh servers.
pub(crate) async fn with_local_and_remote_core(test: impl AsyncFn(&TestServer)) {
    with_local_and_remote_core_and_settings(|_, _| (), test).await;
}

/// As [`with_local_and_remote_core`], with adjusted settings.
pub(crate) async fn with_local_and_remote_core_and_settings(
    adjust: impl Fn(&mut Settings, &mut rest_gateway::Settings),
    test: impl AsyncFn(&TestServer),
) {
    // Both kinds of connection threads: as many as the executable has on a machine with two CPUs, and none, so that the
    // runtime of the test serves the connections.
    let threads = ThreadCount::Fixed(const { NonZeroUsize::new(2).unwrap() });
    run(&[(CoreLocation::InProcess, threads), (CoreLocation::Remote, ThreadCount::Shared)], adjust, test).await;
}

/// As [`with_local_and_remote_core_and_settings`], with servers that run on the thread of the test, whose log it can then capture.
pub(crate) async fn with_local_and_remote_core_on_this_thread(
    adjust: impl Fn(&mut Settings, &mut rest_gateway::Settings),
    test: impl AsyncFn(&TestServer),
) {
    let shared = [CoreLocation::InProcess, CoreLocation::Remote].map(|location| (location, ThreadCount::Shared));
    run(&shared, adjust, test).await;
}

/// Runs a test once for each of these forms, and asserts that it has taken every request from the fake upstream.
async fn run(
    forms: &[(CoreLocation, ThreadCount)],
    adjust: impl Fn(&mut Settings, &mut rest_gateway::Settings),
    test: impl AsyncFn(&TestServer),
) {
    for &(location, threads) in forms {
        eprintln!("over {location:?}, {threads:?}");
        let mut server = TestServer::start(location, threads, &adjust).await;
        test(&server).await;
        server.upstream.assert_no_request().await;
        server.shut_down().await;
    }
}

/// Awaits work; panics if it does not finish within [`TIMEOUT`].
pub(crate) async fn within_timeout<T>(expected: &str, work: impl Future<Output = T>) -> T {
    timeout(TIMEOUT, work).await.unwrap_or_else(|_| panic!("timed out: waited for {expected}"))
}

impl TestServer {
    pub(crate) async fn start(
        location: CoreLocation,
        threads: ThreadCount,
        adjust: &impl Fn(&mut Settings, &mut rest_gateway::Settings),
    ) -> Self {
        // Returns an error from the second test of the process on, since the provider is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        log_capture::install();
        Self::start_on(tempfile::tempdir().unwrap(), FakeUpstream::start().await, location, threads, adjust).await
    }

    /// Shuts the servers down, and starts new ones on the same data and upstream.
    pub(crate) async fn restart(
        mut self,
        location: CoreLocation,
        threads: ThreadCount,
        adjust: &impl Fn(&mut Settings, &mut rest_gateway::Settings),
    ) -> Self {
        self.shut_down().await;
        Self::start_on(self.data, self.upstream, location, threads, adjust).await
    }

    async fn start_on(
        data: TempDir,
        upstream: FakeUpstream,
        location: CoreLocation,
        threads: ThreadCount,
        adjust: &impl Fn(&mut Settings, &mut rest_gateway::Settings),
    ) -> Self {
        let mut settings = Settings { data_dir: data.path().to_owned(), ..Settings::default() };
        settings.chat.base_url = Some(format!("http://{}/v1", upstream.address).parse().unwrap());
        settings.chat.api_key = Some("upstream-secret".into());
        MODEL.clone_into(&mut settings.chat.model);
        // Every enqueued reply is for one attempt, and failures must not open the circuit breaker.
        settings.chat.routing.retries = 0;
        settings.chat.routing.failure_threshold = u32::MAX;
        settings.image.routing.retries = 0;
        settings.image.routing.failure_threshold = u32::MAX;
        settings.offline.chat_tokens_per_second = 0;
        let mut gateway = rest_gateway::Settings::default();
        adjust(&mut settings, &mut gateway);

        let core = Arc::new(Core::open(&settings).await.unwrap());
        let (weak, settings) = (Arc::downgrade(&core), Box::new(settings));
        let (rest, grpc) = (bind_free_port().await, bind_free_port().await);
        let (rest_address, grpc_address) = (rest.local_addr().unwrap(), grpc.local_addr().unwrap());
        let core_services = match location {
            CoreLocation::InProcess => in_process_services(&core),
            CoreLocation::Remote => {
                CoreServices::connect(&format!("http://{grpc_address}"), ConnectOptions::default()).unwrap()
            }
        };
        let threads = ConnectionThreads::start(threads).unwrap();
        let stop = CancellationToken::new();
        let mut servers = JoinSet::new();
        servers.spawn({
            let (stop, threads) = (stop.clone(), threads.clone());
            async move {
                core_service::serve(grpc, &core, &threads, stop.cancelled_owned()).await.unwrap();
                Arc::into_inner(core).unwrap().close().await;
            }
        });
        let gateway = Gateway::new(core_services, gateway);
        let stopped = stop.clone().cancelled_owned();
        servers.spawn(async move { gateway.serve(rest, &threads, stopped).await });
        // Ignores the proxy settings of the environment that the tests run in.
        let http = reqwest::Client::builder().no_proxy().tcp_nodelay(true).build().unwrap();
        Self { upstream, rest: rest_address, grpc: grpc_address, http, settings, core: weak, stop, servers, data }
    }

    /// Reloads the core with settings that differ from those at start.
    pub(crate) fn reload(&self, change: impl FnOnce(&mut Settings)) {
        let mut settings = Settings::clone(&self.settings);
        change(&mut settings);
        self.core.upgrade().unwrap().reload(&settings).unwrap();
    }

    pub(crate) async fn shut_down(&mut self) {
        // Open connections would delay the drain.
        self.http = reqwest::Client::new();
        self.stop.cancel();
        within_timeout("the servers to shut down", async {
            while let Some(ended) = self.servers.join_next().await {
                ended.unwrap();
            }
        })
        .await;
    }

    /// Returns the directory of the media store.
    pub(crate) fn media_dir(&self) -> PathBuf {
        self.data.path().join("media")
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.rest)
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, self.url(path))
    }

    /// Sends a chat request with this body over REST.
    pub(crate) async fn chat(&self, body: impl Into<reqwest::Body>) -> reqwest::Response {
        let request = self.request(Method::POST, "/v1/chat/completions").header("content-type", "application/json");
        within_timeout("a response", request.body(body).send()).await.unwrap()
    }

    /// Sends a JSON request over REST.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> reqwest::Response {
        let request = self.request(Method::POST, path).header("content-type", "application/json");
        within_timeout("a response", request.body(body.to_string()).send()).await.unwrap()
    }

    async fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.grpc)).unwrap().connect().await.unwrap()
    }

    pub(crate) async fn chat_client(&self) -> ChatServiceClient<Channel> {
        ChatServiceClient::new(self.channel().await)
    }

    pub(crate) async fn response_client(&self) -> ResponseServiceClient<Channel> {
        ResponseServiceClient::new(self.channel().await)
    }

    pub(crate) async fn model_client(&self) -> ModelServiceClient<Channel> {
        ModelServiceClient::new(self.channel().await)
    }

    pub(crate) async fn image_client(&self) -> ImageServiceClient<Channel> {
        ImageServiceClient::new(self.channel().await).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    pub(crate) async fn video_client(&self) -> VideoServiceClient<Channel> {
        VideoServiceClient::new(self.channel().await)
    }

    pub(crate) async fn webhook_client(&self) -> WebhookServiceClient<Channel> {
        WebhookServiceClient::new(self.channel().await)
    }

    pub(crate) async fn usage_client(&self) -> UsageServiceClient<Channel> {
        UsageServiceClient::new(self.channel().await)
    }

    pub(crate) async fn admin_client(&self) -> AdminServiceClient<Channel> {
        AdminServiceClient::new(self.channel().await)
    }

    pub(crate) async fn media_client(&self) -> MediaServiceClient<Channel> {
        MediaServiceClient::new(self.channel().await)
    }
}

/// Returns the body of a chat request with one user message and these members.
pub(crate) fn chat_body(members: &Value) -> String {
    let mut body = json!({"model": MODEL, "messages": [{"role": "user", "content": "Hello"}]});
    let extra = members.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(extra);
    body.to_string()
}

async fn bind_free_port() -> TcpListener {
    let bound: io::Result<_> = TcpListener::bind("127.0.0.1:0").await;
    bound.unwrap()
}

/// Connects the gateway to the core's services by method calls, as the executable does.
fn in_process_services(core: &Core) -> CoreServices {
    let services = core.services();
    CoreServices {
        chat: services.chat.clone(),
        response: services.response.clone(),
        image: services.image.clone(),
        video: services.video.clone(),
        webhook: services.webhook.clone(),
        usage: services.usage.clone(),
        admin: services.admin.clone(),
        model: services.model.clone(),
        media: services.media.clone(),
        key_check: Some(Arc::new({
            let keys = core.keys().clone();
            move |authorization, report| keys.check(authorization, report)
        })),
        health: Arc::new(core.health_service()),
    }
}
