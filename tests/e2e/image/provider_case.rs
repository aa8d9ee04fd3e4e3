//! Test cases that every image provider has in common, and the outcome of a request in one form for REST and gRPC. The
//! upstream's responses are fixtures in `tests/fixtures/image/PROVIDER/`.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tonic::Code;
use tonic_types::StatusExt;
use triptych_proto::v1 as pb;

use super::{decoded, size};
use crate::{
    fake_upstream::{Latch, Reply},
    rest_response::error_body,
    test_server::TestServer,
};

pub(super) const GENERATIONS: &str = "/v1/images/generations";

/// The images and partial failures of a request, or its error code.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Outcome {
    pub(super) images: usize,
    /// The error codes of the images that failed while others succeeded.
    pub(super) failures: Vec<String>,
    /// The revised prompt of the first image.
    pub(super) revised: String,
    /// `usage.total_tokens`.
    pub(super) tokens: u64,
    /// The code of the error, empty if at least one image was generated.
    pub(super) error: String,
}

impl Outcome {
    /// Returns the outcome with this total of tokens; by default, the upstream reports none.
    pub(super) fn with_tokens(self, tokens: u64) -> Self {
        Self { tokens, ..self }
    }
}

/// A request that gives this many images.
pub(super) fn succeeds(images: usize) -> Outcome {
    Outcome { images, ..Outcome::default() }
}

/// A request that fails with this error code.
pub(super) fn fails(error: &str) -> Outcome {
    Outcome { error: error.to_owned(), ..Outcome::default() }
}

/// The responses of a provider's upstream, one file each.
#[derive(Debug)]
pub(super) struct Fixtures(PathBuf);

impl Fixtures {
    pub(super) fn new(provider: &str) -> Self {
        Self(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/image").join(provider))
    }

    /// Returns a response's body, with `UPSTREAM` replaced by the fake upstream's URL.
    pub(super) fn text(&self, server: &TestServer, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap().replace("UPSTREAM", &server.upstream.url(""))
    }

    /// Returns a response with the status in its file name, such as `rate.429.json`; the default is 200.
    pub(super) fn reply(&self, server: &TestServer, name: &str) -> Reply {
        let status = name.rsplit('.').nth(1).and_then(|status| status.parse().ok()).unwrap_or(200);
        Reply::new(status, &self.text(server, name))
    }

    /// Returns the names of all files.
    pub(super) fn names(&self) -> BTreeSet<String> {
        let files = std::fs::read_dir(&self.0).unwrap();
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
    }
}

/// A model, and the requests that its provider sends to the upstream.
#[derive(Debug, Clone, Copy)]
pub(super) struct ProviderCase {
    pub(super) model: &'static str,
    /// The path of a generation at the upstream.
    pub(super) path: &'static str,
    /// The API key for the upstream.
    pub(super) key: &'static str,
}

impl ProviderCase {
    /// Requests `n` images over gRPC and over REST, and asserts the outcome of both. `exchanges` returns the paths of the
    /// requests that the upstream must receive, and the replies to them. `case` names the case in messages.
    pub(super) async fn assert_outcome(
        &self,
        server: &TestServer,
        n: u32,
        case: &str,
        exchanges: impl Fn() -> Vec<(String, Reply)>,
        expected: &Outcome,
    ) {
        let paths = enqueue_all(server, exchanges());
        let (over_grpc, upstream_code) = request_over_grpc(server, self.model, n).await;
        assert_eq!(over_grpc, *expected, "{case} over gRPC");
        assert_requests(server, paths).await;
        let paths = enqueue_all(server, exchanges());
        let error = upstream_code.unwrap_or(expected.error.clone());
        let expected = Outcome { error, ..expected.clone() };
        assert_eq!(over_rest(server, self.model, n, self.key).await, expected, "{case} over REST");
        assert_requests(server, paths).await;
    }

    /// Asserts the failure of a request whose only upstream call gets this reply.
    pub(super) async fn assert_failure(&self, server: &TestServer, reply: Reply, status: u16, code: &str) {
        self.assert_failure_after(server, &[(self.path.to_owned(), reply)], status, code).await;
    }

    /// Asserts the failure of a request after these upstream calls. Both APIs run at once, since their replies are the same.
    pub(super) async fn assert_failure_after(
        &self,
        server: &TestServer,
        exchanges: &[(String, Reply)],
        status: u16,
        code: &str,
    ) {
        let paths = enqueue_all(server, [exchanges, exchanges].concat());
        let body = self.body();
        let over_rest = async { error_body(server.post(GENERATIONS, &body).await).await };
        let ((http_status, error), (over_grpc, upstream_code)) =
            tokio::join!(over_rest, request_over_grpc(server, self.model, 1));
        assert_eq!(over_grpc, fails(code), "over gRPC");
        let code = upstream_code.unwrap_or(code.to_owned());
        assert_eq!((http_status.as_u16(), error["code"].as_str().unwrap()), (status, &*code), "{error}");
        assert_requests(server, paths).await;
    }

    fn body(&self) -> Value {
        json!({"model": self.model, "prompt": "x"})
    }

    /// Asserts the failure of connections that are lost within this response and before it.
    pub(super) async fn assert_connection_loss(&self, server: &TestServer, body: &str) {
        self.assert_failure(server, Reply::new(200, &body[..body.len() / 2]).abort(), 502, "upstream_unavailable")
            .await;
        self.assert_failure(server, Reply::new(200, "").abort(), 502, "upstream_unavailable").await;
    }

    /// Asserts the failure of upstreams that stall within this response and before it. `image.first_byte_timeout` covers both: a
    /// response that is not streamed must be complete within it.
    pub(super) async fn assert_timeouts(&self, server: &TestServer, body: &str) {
        self.assert_failure(server, Reply::new(200, &body[..body.len() / 2]).stall(), 504, "upstream_timeout").await;
        self.assert_failure(server, Reply::no_response(), 504, "upstream_timeout").await;
    }

    /// Asserts that a request whose attempts get these replies, one each, returns 429 with this Retry-After. Both APIs run at once
    /// and take the replies from one queue, so the replies must be equal.
    pub(super) async fn assert_retry_after(&self, server: &TestServer, replies: &[Reply], seconds: u64) {
        let exchanges = || replies.iter().map(|reply| (self.path.to_owned(), reply.clone()));
        let paths = enqueue_all(server, exchanges().chain(exchanges()));
        let ((), over_grpc) =
            tokio::join!(self.assert_rate_limited_over_rest(server, seconds), self.retry_delay_over_grpc(server));
        assert_eq!(over_grpc, seconds);
        assert_requests(server, paths).await;
    }

    /// Asserts that a 429 with a retry delay opens the circuit breaker: the second request fails in the same way, without a
    /// call to the upstream.
    pub(super) async fn assert_opens_breaker(&self, server: &TestServer, reply: Reply, seconds: u64) {
        let paths = enqueue_all(server, [(self.path.to_owned(), reply)]);
        self.assert_rate_limited_over_rest(server, seconds).await;
        let remaining = self.retry_delay_over_grpc(server).await;
        assert!(remaining == seconds || remaining == seconds - 1, "{remaining} s of {seconds} s");
        assert_requests(server, paths).await;
        let request = pb::GetModelRequest { id: self.model.to_owned() };
        let model = server.model_client().await.get_model(request).await.unwrap().into_inner().model.unwrap();
        assert_eq!((model.healthy, model.targets[0].state()), (false, pb::model::target::State::Open));
    }

    async fn assert_rate_limited_over_rest(&self, server: &TestServer, seconds: u64) {
        let response = server.post(GENERATIONS, &self.body()).await;
        let retry_after = response.headers()["retry-after"].to_str().unwrap();
        assert_eq!((response.status().as_u16(), retry_after), (429, seconds.to_string().as_str()));
    }

    /// Returns the retry delay of a rate-limited request in seconds, rounded up.
    async fn retry_delay_over_grpc(&self, server: &TestServer) -> u64 {
        let mut client = server.image_client().await;
        let status = client.generate_images(generate_request(self.model, 1, "320x200")).await.unwrap_err();
        let delay = status.get_error_details().retry_info().and_then(|info| info.retry_delay).unwrap();
        assert_eq!(status.code(), Code::ResourceExhausted);
        u64::try_from(delay.as_millis().div_ceil(1000)).unwrap()
    }

    /// Asserts that a client disconnect closes the connection to an upstream that is sending its response. `extra` are
    /// members that `pb::ImageRequest` has no field for.
    pub(super) async fn assert_client_disconnect(&self, server: &TestServer, n: u32, extra: Value) {
        let mut body = self.body();
        body["n"] = n.into();
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let mut request = generate_request(self.model, n, "320x200");
        request.image.as_mut().unwrap().extra_json = extra.to_string();
        let client = server.image_client().await;
        for api in ["REST", "gRPC"] {
            let gate = Latch::new();
            server.upstream.enqueue_at(self.path, Reply::stream().send("data: {}\n\n").wait_for(&gate).stall());
            let call = if api == "REST" {
                spawn_request(server, &body).abort_handle()
            } else {
                let (mut client, request) = (client.clone(), request.clone());
                tokio::spawn(async move { client.generate_images(request).await }).abort_handle()
            };
            server.upstream.received().await;
            gate.open();
            call.abort();
            server.upstream.disconnected().await;
        }
    }
}

/// Sends a request in a task of its own, which a test can abort.
pub(super) fn spawn_request(server: &TestServer, body: &Value) -> JoinHandle<reqwest::Result<reqwest::Response>> {
    let request = server.request(Method::POST, GENERATIONS).header("content-type", "application/json");
    tokio::spawn(request.body(body.to_string()).send())
}

/// Enqueues these replies, and returns their paths.
pub(super) fn enqueue_all(server: &TestServer, exchanges: impl IntoIterator<Item = (String, Reply)>) -> Vec<String> {
    let enqueue = |(path, reply): (String, Reply)| {
        server.upstream.enqueue_at(&path, reply);
        path
    };
    exchanges.into_iter().map(enqueue).collect()
}

/// Asserts that the next requests that the upstream received are for these paths, in any order.
pub(super) async fn assert_requests(server: &TestServer, mut paths: Vec<String>) {
    let mut received = Vec::new();
    for _ in &paths {
        received.push(server.upstream.received().await.path);
    }
    received.sort();
    paths.sort();
    assert_eq!(received, paths);
}

/// Returns a black PNG.
pub(super) fn png(width: u32, height: u32) -> Vec<u8> {
    let mut out = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(width, height).write_to(&mut out, image::ImageFormat::Png).unwrap();
    out.into_inner()
}

/// Asserts the status 200 and returns the body.
pub(super) async fn json_body(response: reqwest::Response) -> Value {
    assert_eq!(response.status(), 200);
    serde_json::from_str(&response.text().await.unwrap()).unwrap()
}

/// Returns a gRPC request for images as bytes.
pub(super) fn generate_request(model: &str, n: u32, size: &str) -> pb::GenerateImagesRequest {
    let image = pb::ImageRequest {
        model: model.to_owned(),
        prompt: "a boat".to_owned(),
        n: Some(n),
        size: size.to_owned(),
        delivery: pb::ImageDelivery::Bytes.into(),
        ..pb::ImageRequest::default()
    };
    pb::GenerateImagesRequest { image: Some(image), ..pb::GenerateImagesRequest::default() }
}

/// Requests images of 320x200 over REST. An error must not contain the upstream's key.
pub(super) async fn over_rest(server: &TestServer, model: &str, n: u32, key: &str) -> Outcome {
    let body = json!({"model": model, "prompt": "a boat", "n": n, "size": "320x200", "response_format": "b64_json"});
    let response = server.post(GENERATIONS, &body).await;
    if response.status() != 200 {
        let error = error_body(response).await.1;
        assert!(!error.to_string().contains(key), "{error}");
        return fails(error["code"].as_str().unwrap());
    }
    let body = json_body(response).await;
    let images = body["data"].as_array().unwrap();
    assert!(images.iter().all(|item| size(&decoded(item)) == (320, 200)), "not of the requested size");
    let failures = body["failures"].as_array().into_iter().flatten();
    Outcome {
        images: images.len(),
        failures: failures.map(|failure| failure["code"].as_str().unwrap().to_owned()).collect(),
        revised: images[0]["revised_prompt"].as_str().unwrap_or_default().to_owned(),
        tokens: body["usage"]["total_tokens"].as_u64().unwrap_or_default(),
        error: String::new(),
    }
}

/// Requests images of 320x200 over gRPC. Also returns the `code` of the upstream's error if it is a word: the error over REST has
/// it as its code. A number, often the HTTP status, is replaced by the reason.
async fn request_over_grpc(server: &TestServer, model: &str, n: u32) -> (Outcome, Option<String>) {
    let response = match server.image_client().await.generate_images(generate_request(model, n, "320x200")).await {
        Ok(response) => response.into_inner(),
        Err(status) => {
            let info = status.get_error_details().error_info().cloned().unwrap();
            let code = info.metadata.get("upstream_code").filter(|code| code.parse::<f64>().is_err());
            return (fails(&info.reason.to_lowercase()), code.cloned());
        }
    };
    assert!(response.pictures.iter().all(|picture| size(&picture.data) == (320, 200)), "not of the requested size");
    let outcome = Outcome {
        images: response.pictures.len(),
        failures: response.failures.into_iter().map(|failure| failure.code).collect(),
        revised: response.pictures[0].revised_prompt.clone(),
        tokens: response.usage.map_or(0, |usage| usage.total_tokens),
        error: String::new(),
    };
    (outcome, None)
}
