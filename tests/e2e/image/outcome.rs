//! What becomes of a request for pictures, told alike for both doors.

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
    harness::{World, error_of},
    upstream::{Gate, Reply},
};

pub(super) const GENERATIONS: &str = "/v1/images/generations";

/// Pictures and what failed of them, or a failure.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Outcome {
    pub(super) pictures: usize,
    pub(super) failures: Vec<String>,
    pub(super) revised: String,
    pub(super) tokens: u64,
    pub(super) error: String,
}

pub(super) fn makes(pictures: usize, tokens: u64) -> Outcome {
    Outcome { pictures, tokens, ..Outcome::default() }
}

pub(super) fn fails(error: &str) -> Outcome {
    Outcome { error: error.to_owned(), ..Outcome::default() }
}

/// What a provider's upstream answers, one file each.
#[derive(Debug)]
pub(super) struct Fixtures(PathBuf);

impl Fixtures {
    pub(super) fn of(provider: &str) -> Self {
        Self(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/image").join(provider))
    }

    /// The text, the address that plays it in place of `UPSTREAM`.
    pub(super) fn text(&self, world: &World, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap().replace("UPSTREAM", &world.upstream.url(""))
    }

    /// The answer, with the status that its name tells.
    pub(super) fn reply(&self, world: &World, name: &str) -> Reply {
        let status = name.rsplit('.').nth(1).and_then(|status| status.parse().ok()).unwrap_or(200);
        Reply::new(status, &self.text(world, name))
    }

    pub(super) fn names(&self) -> BTreeSet<String> {
        let files = std::fs::read_dir(&self.0).unwrap();
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
    }
}

/// A model and where its upstream is asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Played {
    pub(super) model: &'static str,
    pub(super) path: &'static str,
    /// The upstream's key.
    pub(super) key: &'static str,
}

impl Played {
    /// Asks for `n` pictures at each door, the upstream answering as `turns` tell, which are all that it is asked.
    pub(super) async fn at_both_doors(
        &self,
        world: &World,
        n: u32,
        what: &str,
        turns: impl Fn() -> Vec<(String, Reply)>,
        expected: &Outcome,
    ) {
        for door in ["REST", "gRPC"] {
            let paths = play(world, turns());
            let outcome = if door == "REST" {
                over_rest(world, self.model, n, self.key).await
            } else {
                over_grpc(world, self.model, n).await
            };
            assert_eq!(outcome, *expected, "{what} over {door}");
            saw(world, paths).await;
        }
    }

    /// A request that is answered so fails so.
    pub(super) async fn fails(&self, world: &World, reply: Reply, status: u16, code: &str) {
        self.fails_in_turns(world, &[(self.path.to_owned(), reply)], status, code).await;
    }

    /// The same where the upstream is asked more than once. Both doors at a time: what is played to either is the same.
    pub(super) async fn fails_in_turns(&self, world: &World, turns: &[(String, Reply)], status: u16, code: &str) {
        let paths = play(world, [turns, turns].concat());
        let over_rest = async {
            let (got, error) = error_of(world.post(GENERATIONS, &self.body()).await).await;
            assert_eq!((got.as_u16(), error["code"].as_str().unwrap()), (status, code), "{error}");
        };
        let over_grpc = async { assert_eq!(over_grpc(world, self.model, 1).await, fails(code), "over gRPC") };
        tokio::join!(over_rest, over_grpc);
        saw(world, paths).await;
    }

    fn body(&self) -> Value {
        json!({"model": self.model, "prompt": "x"})
    }

    /// Connections that break in the midst of this answer, and before it.
    pub(super) async fn vanishes(&self, world: &World, whole: &str) {
        self.fails(world, Reply::new(200, &whole[..whole.len() / 2]).cut(), 502, "upstream_unavailable").await;
        self.fails(world, Reply::new(200, "").cut(), 502, "upstream_unavailable").await;
    }

    /// Upstreams that fall silent in the midst of this answer, and before it; `image.first_byte_timeout` had better be short.
    pub(super) async fn dawdles(&self, world: &World, whole: &str) {
        self.fails(world, Reply::new(200, &whole[..whole.len() / 2]).stall(), 504, "upstream_timeout").await;
        self.fails(world, Reply::silence(), 504, "upstream_timeout").await;
    }

    /// Rate-limited requests over both APIs return 429 with this `Retry-After`; the upstream sends none itself.
    pub(super) async fn paces(&self, world: &World, replies: &[Reply], seconds: u64) {
        let turns = || replies.iter().map(|reply| (self.path.to_owned(), reply.clone()));
        let paths = play(world, turns().chain(turns()));
        let ((), over_grpc) =
            tokio::join!(self.is_limited_over_rest(world, seconds), self.retry_delay_over_grpc(world));
        assert_eq!(over_grpc, seconds);
        saw(world, paths).await;
    }

    /// A 429 with `Retry-After` opens the circuit breaker: the second request gets the same answer without a call to the
    /// upstream.
    pub(super) async fn opens_breaker(&self, world: &World, reply: Reply, seconds: u64) {
        let paths = play(world, [(self.path.to_owned(), reply)]);
        self.is_limited_over_rest(world, seconds).await;
        let rest = self.retry_delay_over_grpc(world).await;
        assert!(rest == seconds || rest == seconds - 1, "{rest} s of {seconds} s");
        saw(world, paths).await;
        let asked = pb::GetModelRequest { id: self.model.to_owned() };
        let model = world.model_client().await.get_model(asked).await.unwrap().into_inner().model.unwrap();
        assert_eq!((model.healthy, model.targets[0].state()), (false, pb::model::target::State::Open));
    }

    async fn is_limited_over_rest(&self, world: &World, seconds: u64) {
        let answer = world.post(GENERATIONS, &self.body()).await;
        let retry_after = answer.headers()["retry-after"].to_str().unwrap();
        assert_eq!((answer.status().as_u16(), retry_after), (429, seconds.to_string().as_str()));
    }

    /// The delay of a rate-limited request in seconds, rounded up.
    async fn retry_delay_over_grpc(&self, world: &World) -> u64 {
        let status = world.image_client().await.generate_images(ask(self.model, 1, "320x200")).await.unwrap_err();
        let delay = status.get_error_details().retry_info().and_then(|info| info.retry_delay).unwrap();
        assert_eq!(status.code(), Code::ResourceExhausted);
        u64::try_from(delay.as_millis().div_ceil(1000)).unwrap()
    }

    /// An upstream in the midst of its answer is left by a caller who hangs up. `more` has no field in the contract.
    pub(super) async fn is_left(&self, world: &World, n: u32, more: Value) {
        let mut body = self.body();
        body["n"] = n.into();
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let mut request = ask(self.model, n, "320x200");
        request.image.as_mut().unwrap().extra_json = more.to_string();
        let client = world.image_client().await;
        for door in ["REST", "gRPC"] {
            let gate = Gate::new();
            world.upstream.will_at(self.path, Reply::stream().send("data: {}\n\n").hold(&gate).stall());
            let calling = if door == "REST" {
                hanging(world, &body).abort_handle()
            } else {
                let (mut client, request) = (client.clone(), request.clone());
                tokio::spawn(async move { client.generate_images(request).await }).abort_handle()
            };
            world.upstream.saw().await;
            gate.open();
            calling.abort();
            world.upstream.was_left().await;
        }
    }
}

/// A request whose caller can be made to hang up.
pub(super) fn hanging(world: &World, body: &Value) -> JoinHandle<reqwest::Result<reqwest::Response>> {
    let request = world.request(Method::POST, GENERATIONS).header("content-type", "application/json");
    tokio::spawn(request.body(body.to_string()).send())
}

/// Readies these answers; where they are.
pub(super) fn play(world: &World, turns: impl IntoIterator<Item = (String, Reply)>) -> Vec<String> {
    let ready = |(path, reply): (String, Reply)| {
        world.upstream.will_at(&path, reply);
        path
    };
    turns.into_iter().map(ready).collect()
}

/// That exactly these were asked for, in whatever order.
pub(super) async fn saw(world: &World, mut paths: Vec<String>) {
    let mut seen = Vec::new();
    for _ in &paths {
        seen.push(world.upstream.saw().await.path);
    }
    seen.sort();
    paths.sort();
    assert_eq!(seen, paths);
}

/// A black picture.
pub(super) fn png(width: u32, height: u32) -> Vec<u8> {
    let mut out = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(width, height).write_to(&mut out, image::ImageFormat::Png).unwrap();
    out.into_inner()
}

pub(super) async fn json_of(answer: reqwest::Response) -> Value {
    assert_eq!(answer.status(), 200);
    serde_json::from_str(&answer.text().await.unwrap()).unwrap()
}

pub(super) fn ask(model: &str, n: u32, size: &str) -> pb::GenerateImagesRequest {
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

/// Asks for 320x200 over REST; the upstream's key must not come back.
pub(super) async fn over_rest(world: &World, model: &str, n: u32, key: &str) -> Outcome {
    let body = json!({"model": model, "prompt": "a boat", "n": n, "size": "320x200", "response_format": "b64_json"});
    let answer = world.post(GENERATIONS, &body).await;
    if answer.status() != 200 {
        let error = error_of(answer).await.1;
        assert!(!error.to_string().contains(key), "{error}");
        return fails(error["code"].as_str().unwrap());
    }
    let made = json_of(answer).await;
    let pictures = made["data"].as_array().unwrap();
    assert!(pictures.iter().all(|item| size(&decoded(item)) == (320, 200)), "not the size that was asked for");
    let failures = made["failures"].as_array().into_iter().flatten();
    Outcome {
        pictures: pictures.len(),
        failures: failures.map(|failure| failure["code"].as_str().unwrap().to_owned()).collect(),
        revised: pictures[0]["revised_prompt"].as_str().unwrap_or_default().to_owned(),
        tokens: made["usage"]["total_tokens"].as_u64().unwrap_or_default(),
        error: String::new(),
    }
}

/// The same over gRPC.
pub(super) async fn over_grpc(world: &World, model: &str, n: u32) -> Outcome {
    let made = match world.image_client().await.generate_images(ask(model, n, "320x200")).await {
        Ok(made) => made.into_inner(),
        Err(status) => return fails(&status.get_error_details().error_info().unwrap().reason.to_lowercase()),
    };
    assert!(made.pictures.iter().all(|picture| size(&picture.data) == (320, 200)), "not the size that was asked for");
    Outcome {
        pictures: made.pictures.len(),
        failures: made.failures.into_iter().map(|failure| failure.code).collect(),
        revised: made.pictures[0].revised_prompt.clone(),
        tokens: made.usage.map_or(0, |usage| usage.total_tokens),
        error: String::new(),
    }
}
