//! Test cases that every video provider has in common: one job over each API, and the requests that the upstream receives. The
//! upstream's responses are fixtures in `tests/fixtures/video/PROVIDER/`.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};
use triptych_proto::v1::{self as pb, download_video_response::Part, media_input::Source, video::State};

use super::{create, wait_until_final};
use crate::{
    fake_upstream::{ReceivedRequest, Reply},
    test_server::{TestServer, within_timeout},
};

/// A small MP4 file, the result of every render.
pub(super) static CLIP: LazyLock<Vec<u8>> = LazyLock::new(|| {
    struct Silent;
    impl offline_video::Observer for Silent {
        fn frames(&self, _: u32, _: u32) {}

        fn cancelled(&self) -> bool {
            false
        }
    }
    let picture = image::RgbImage::from_pixel(64, 64, image::Rgb([40, 90, 160]));
    let shot = offline_video::Shot {
        pictures: std::slice::from_ref(&picture),
        ends_on_last_picture: false,
        prompt: "",
        width: 64,
        height: 64,
        seconds: 1,
        fps: offline_video::FrameRate::default(),
        seed: 1,
        audio: false,
    };
    offline_video::render(&shot, &Silent).unwrap().mp4
});

/// A small PNG file, the first frame of videos that require one.
pub(super) static FRAME: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut file = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(320, 180).write_to(&mut file, image::ImageFormat::Png).unwrap();
    file.into_inner()
});

/// A kind of request that the upstream receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    /// The submission of a render.
    Create,
    /// The request for the state of a render.
    Poll,
    /// The request for the link to the result, if the response to a poll does not have it.
    Link,
    /// The download of the result.
    File,
    /// The request to stop or delete a render.
    Cancel,
}

/// A request to the upstream, and the file name of the fixture with its response.
pub(super) type Exchange = (Call, &'static str);

/// The requests of one job in their order, and its outcome: `Ok` if it succeeds, else the code of its error.
pub(super) type Scenario = (&'static [Exchange], Result<(), &'static str>);

/// In place of the name of a fixture: the response to a [`Call::File`] is the file [`CLIP`].
pub(super) const MP4: &str = "";

/// The responses of a provider's upstream, one file each.
#[derive(Debug)]
pub(super) struct Fixtures(PathBuf);

impl Fixtures {
    pub(super) fn new(provider: &str) -> Self {
        Self(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/video").join(provider))
    }

    /// Returns a response with the status in its file name, such as `rate.429.json`; the default is 200. `UPSTREAM` stands for
    /// the fake upstream's URL, `TASK_ID` for the id of the render.
    pub(super) fn reply(&self, server: &TestServer, name: &str, id: &str) -> Reply {
        let text = std::fs::read_to_string(self.0.join(name)).unwrap();
        let status = name.rsplit('.').nth(1).and_then(|status| status.parse().ok()).unwrap_or(200);
        Reply::new(status, &text.replace("UPSTREAM", &server.upstream.url("")).replace("TASK_ID", id))
    }

    /// Asserts that the scenarios and `others` use all fixtures, and that all fixtures they use exist.
    pub(super) fn assert_all_used<'a>(&self, scenarios: impl IntoIterator<Item = &'a Scenario>, others: &[&'a str]) {
        let exchanges = scenarios.into_iter().flat_map(|(exchanges, _)| *exchanges);
        let used = exchanges.map(|(_, fixture)| *fixture).chain(others.iter().copied());
        let files = std::fs::read_dir(&self.0).unwrap();
        let names: BTreeSet<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        let used: BTreeSet<_> = used.chain(["README.md"]).filter(|name| *name != MP4).map(str::to_owned).collect();
        assert_eq!(names, used);
    }
}

/// A provider and the paths of its API.
#[derive(Debug, Clone, Copy)]
pub(super) struct ProviderCase {
    pub(super) provider: &'static str,
    pub(super) model: &'static str,
    /// The API key for the upstream.
    pub(super) key: &'static str,
    /// The path of submissions. Polls and cancellations have the same path with `/` and the id of the render after it, unless
    /// `route` says otherwise.
    pub(super) tasks: &'static str,
    /// Returns the path of the result of a render.
    pub(super) file: fn(&str) -> String,
    /// Returns the method and path of a request that deviates from `tasks` and `file`, `None` for the others.
    pub(super) route: fn(Call, &str) -> Option<(&'static str, String)>,
    /// Whether the model requires a first frame.
    pub(super) needs_frame: bool,
}

impl ProviderCase {
    pub(super) fn fixtures(&self) -> Fixtures {
        Fixtures::new(self.provider)
    }

    /// Enqueues the response to a call about the render `id`, and returns its request line: `get /path`.
    pub(super) fn enqueue(&self, server: &TestServer, id: &str, call: Call, fixture: &str) -> String {
        let (method, path) = self.line(call, id);
        let reply =
            if fixture == MP4 { Reply::file("video/mp4", &CLIP) } else { self.fixtures().reply(server, fixture, id) };
        server.upstream.enqueue_at(&path, reply);
        format!("{method} {path}")
    }

    /// Returns method and path of a request about the render `id`.
    pub(super) fn line(&self, call: Call, id: &str) -> (&'static str, String) {
        (self.route)(call, id).unwrap_or_else(|| match call {
            Call::Create => ("post", self.tasks.to_owned()),
            Call::Poll => ("get", format!("{}/{id}", self.tasks)),
            Call::Link => panic!("no request for a link at {}", self.provider),
            Call::File => ("get", (self.file)(id)),
            Call::Cancel => ("delete", format!("{}/{id}", self.tasks)),
        })
    }

    /// Creates one job over REST and one over gRPC, whose upstream calls get these responses, and asserts how both end. The
    /// upstream must receive exactly these requests. Returns them.
    pub(super) async fn assert_outcome(
        &self,
        server: &TestServer,
        exchanges: &[Exchange],
        expected: Result<(), &str>,
    ) -> Vec<ReceivedRequest> {
        let requests = |id| exchanges.iter().map(move |(call, fixture)| self.enqueue(server, id, *call, fixture));
        let mut paths: Vec<_> = requests("task-1").chain(requests("task-2")).collect();
        let (over_rest, over_grpc) = tokio::join!(self.over_rest(server), self.over_grpc(server));
        let expected = expected.map_err(str::to_owned);
        assert_eq!((&over_rest, &over_grpc), (&expected, &expected), "{exchanges:?} over REST and gRPC");
        let mut received = Vec::new();
        for _ in &paths {
            received.push(server.upstream.received().await);
        }
        let mut received_paths: Vec<_> = received.iter().map(request_line).collect();
        received_paths.sort();
        paths.sort();
        assert_eq!(received_paths, paths, "{exchanges:?}");
        received
    }

    /// Returns the body of a REST request for a video.
    pub(super) fn body(&self) -> Value {
        let mut body = json!({"model": self.model, "prompt": "a boat", "size": "1280x720", "seconds": 4});
        if self.needs_frame {
            body["input_reference"] = json!(STANDARD.encode(&*FRAME));
        }
        body
    }

    /// Creates a video and waits for its end. Returns the code of its error.
    async fn over_rest(&self, server: &TestServer) -> Result<(), String> {
        let id = create(server, &self.body()).await;
        let video = wait_until_final(server, &id).await;
        if video["status"] != "completed" {
            let error = &video["error"];
            assert!(!error.to_string().contains(self.key), "{error}");
            return Err(error["code"].as_str().unwrap().to_owned());
        }
        let content = server.request(Method::GET, &format!("/v1/videos/{id}/content")).send().await.unwrap();
        assert_eq!(content.headers()["content-type"], "video/mp4");
        assert!(content.bytes().await.unwrap() == *CLIP, "not the file of the upstream");
        Ok(())
    }

    /// Creates a video and waits for its end. Returns the code of its error.
    async fn over_grpc(&self, server: &TestServer) -> Result<(), String> {
        let mut client = server.video_client().await;
        let request = pb::CreateVideoRequest {
            model: self.model.to_owned(),
            prompt: "a boat".to_owned(),
            size: "1280x720".to_owned(),
            duration_seconds: Some(4),
            input_reference: self
                .needs_frame
                .then(|| pb::MediaInput { source: Some(Source::Data(FRAME.clone().into())) }),
            ..pb::CreateVideoRequest::default()
        };
        let id = client.create_video(request).await.unwrap().into_inner().video.unwrap().id;
        let watch = client.watch_video(pb::WatchVideoRequest { id: id.clone() }).await.unwrap().into_inner();
        let snapshots: Vec<_> = within_timeout("the video", watch.collect()).await;
        let last = snapshots.into_iter().next_back().unwrap().unwrap().video.unwrap();
        if last.state() != State::Succeeded {
            return Err(last.error.unwrap().code);
        }
        let request = pb::DownloadVideoRequest { id, ..pb::DownloadVideoRequest::default() };
        let parts = client.download_video(request).await.unwrap().into_inner();
        let bytes = parts.filter_map(async |part| match part.unwrap().part {
            Some(Part::Data(data)) => Some(data),
            Some(Part::Media(_) | Part::DownloadUrl(_)) | None => None,
        });
        assert!(bytes.collect::<Vec<_>>().await.concat() == *CLIP, "not the file of the upstream");
        Ok(())
    }
}

/// Returns the method, in lower case, and the path of a request.
pub(super) fn request_line(request: &ReceivedRequest) -> String {
    format!("{} {}", request.head.split(' ').next().unwrap(), request.path)
}
