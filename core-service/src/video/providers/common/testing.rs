//! A scripted upstream for unit tests of providers, over TCP, and a search at it for a lost submission: one whose response did not
//! arrive.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};
use url::Url;

use super::context::ProviderContext;
use crate::{
    config::GuardSettings,
    context::RequestContext,
    error::ProviderError,
    media::{Downloader, download::DownloadSettings},
    model_facts::{FactsTable, fit::FitPolicy},
    models::Entry,
    upstream::{ConcurrencyLimit, SetupError, Timeouts},
    video::{LostSubmission, Search, UpstreamTask, VideoModel, parameters::VideoParameters},
};

const MINUTE: Duration = Duration::from_mins(1);

/// Calls `VideoProvider::find` for a lost submission of `model` with the prompt `a boat` and the job id `video_1`, at an
/// upstream that responds to the requests in turn with `bodies`. Returns the result and the paths of the requests. `entries`
/// builds the provider's entries for the address of that upstream.
pub(in crate::video::providers) async fn search(
    model: &str,
    bodies: &[&str],
    entries: impl FnOnce(Url, &ProviderContext) -> Result<Vec<Entry<VideoModel>>, SetupError>,
) -> (Result<Search, ProviderError>, Vec<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let entries = entries(address, &context()).unwrap();
    let server = serve(listener, bodies.iter().map(|body| (*body).to_owned()).collect());
    let lost = LostSubmission {
        job_id: "video_1".to_owned(),
        model: model.to_owned(),
        parameters: VideoParameters { prompt: "a boat".to_owned(), ..VideoParameters::default() },
        // 2026-11-22 10:30:00 UTC.
        submitted_at: 1_795_343_400,
    };
    let provider = Arc::clone(&entries[0].provider.provider);
    let found = provider.find(&lost, &RequestContext::default()).await.map(|search| match search {
        // Without the id of the API key, which `KeyRotation` stores before the task: `KEY_ID|TASK`.
        Search::Found(UpstreamTask(stored)) => {
            Search::Found(UpstreamTask(stored.split_once('|').map_or(stored.clone(), |(_, task)| task.to_owned())))
        }
        other @ (Search::Absent | Search::Inconclusive) => other,
    });
    (found, server.await.unwrap())
}

fn context() -> ProviderContext {
    ProviderContext {
        timeouts: Timeouts { connect: MINUTE, first_byte: MINUTE, idle: MINUTE },
        downloads: Downloader::new(DownloadSettings::default()).unwrap(),
        max_file_bytes: 1 << 20,
        facts: FactsTable::default(),
        fit_policy: FitPolicy::default(),
        guard: GuardSettings::default(),
        // 0 is no limit.
        submissions: Arc::new(ConcurrencyLimit::new(0, 0)),
    }
}

/// Responds with status 200 and each of these bodies to one request after the other, and returns the paths of the requests.
pub(in crate::video::providers) fn serve(listener: TcpListener, bodies: Vec<String>) -> JoinHandle<Vec<String>> {
    tokio::spawn(async move {
        let mut paths = Vec::new();
        for body in bodies {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !is_complete(&request) {
                assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0, "the request is incomplete");
            }
            let text = String::from_utf8(request).unwrap();
            paths.push(text.split(' ').nth(1).unwrap().to_owned());
            let length = body.len();
            let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
            stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        }
        paths
    })
}

fn is_complete(request: &[u8]) -> bool {
    let text = str::from_utf8(request).unwrap();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let mut lines = head.lines().map(str::to_lowercase);
    let length = lines.find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}
