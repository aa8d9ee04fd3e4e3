//! What becomes of a request for pictures, told alike for both doors.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
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

    fn body(&self) -> Value {
        json!({"model": self.model, "prompt": "x"})
    }

    /// A request that is answered so fails so.
    pub(super) async fn fails(&self, world: &World, reply: Reply, status: u16, code: &str) {
        world.upstream.will_at(self.path, reply);
        let (got, error) = error_of(world.post(GENERATIONS, &self.body()).await).await;
        assert_eq!((got.as_u16(), error["code"].as_str().unwrap()), (status, code), "{error}");
        world.upstream.saw().await;
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

    /// A request that is answered so is told to come back after so many seconds.
    pub(super) async fn paces(&self, world: &World, reply: Reply, seconds: &str) {
        world.upstream.will_at(self.path, reply);
        let answer = world.post(GENERATIONS, &self.body()).await;
        assert_eq!((answer.status().as_u16(), answer.headers()["retry-after"].to_str().unwrap()), (429, seconds));
        world.upstream.saw().await;
    }

    /// An upstream in the midst of its answer is left by a caller who hangs up.
    pub(super) async fn is_left(&self, world: &World, more: Value) {
        let gate = Gate::new();
        world.upstream.will_at(self.path, Reply::stream().send("data: {}\n\n").hold(&gate).stall());
        let mut body = self.body();
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let calling = hanging(world, &body);
        world.upstream.saw().await;
        gate.open();
        calling.abort();
        world.upstream.was_left().await;
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
