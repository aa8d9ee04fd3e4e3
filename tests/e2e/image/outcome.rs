//! What becomes of a request for pictures, told alike for both doors.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use tonic_types::StatusExt;
use triptych_proto::v1 as pb;

use super::{decoded, size};
use crate::{
    harness::{World, error_of},
    upstream::Reply,
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
