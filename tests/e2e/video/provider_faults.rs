//! Assertions about faults that every video provider handles alike, and helpers for requests with inputs.

use reqwest::Method;
use serde_json::Value;
use triptych_proto::v1::{self as pb, video_frame::Position, video_reference::Kind};

use super::{
    create,
    provider_case::{
        CLIP,
        Call::{Cancel, Create, File, Poll},
        MP4, ProviderCase, request_line,
    },
    wait_until_final, wait_until_rendering,
};
use crate::{
    fake_upstream::{FakeUpstream, Latch, Reply},
    test_server::TestServer,
};

/// Asserts that a submission whose connection is lost is not repeated, and leads to an unknown outcome. Providers with a list of
/// renders are then searched for it: `search` is the beginning of the path of this search, and a response without the render.
pub(super) async fn assert_lost_submission_is_not_repeated(
    case: &ProviderCase,
    server: &TestServer,
    search: Option<(&str, &str)>,
) {
    for reply in [Reply::new(200, "{\"data\":").abort(), Reply::new(200, "").abort()] {
        server.upstream.enqueue_at(case.tasks, reply);
        if let Some((_, list)) = search {
            server.upstream.enqueue(Reply::new(200, list));
        }
        let id = create(server, &case.body()).await;
        let video = wait_until_final(server, &id).await;
        assert_eq!(video["error"]["code"], "outcome_unknown", "{video}");
        assert_eq!(request_line(&server.upstream.received().await), format!("post {}", case.tasks));
        if let Some((path, _)) = search {
            let line = request_line(&server.upstream.received().await);
            assert!(line.starts_with(&format!("get {path}")), "{line}");
        }
        server.upstream.assert_no_request().await;
    }
}

/// Asserts that a job continues with the render of a submission whose response was lost. `list` returns the response to the
/// search, in which the render `task-1` has the given mark: the id of the job, which the submission sent along.
pub(super) async fn assert_lost_submission_is_found_by_its_mark(
    case: &ProviderCase,
    server: &TestServer,
    succeeded: &str,
    list: impl Fn(&str) -> Value,
) {
    let latch = Latch::new();
    server.upstream.enqueue_at(case.tasks, Reply::new(200, "{").wait_for(&latch).abort());
    let id = create(server, &case.body()).await;
    server.upstream.enqueue(Reply::new(200, &list(&id).to_string()));
    let expected =
        [(Poll, succeeded), (File, MP4)].map(|(call, fixture)| case.enqueue(server, "task-1", call, fixture));
    latch.open();
    let video = wait_until_final(server, &id).await;
    assert_eq!(video["status"], "completed", "{video}");
    server.upstream.skip_requests(2).await;
    for expected in expected {
        assert_eq!(request_line(&server.upstream.received().await), expected);
    }
    server.upstream.assert_no_request().await;
}

/// Asserts that a cancelled job is final, and that the upstream gets the request to cancel its render, however it responds.
/// `state` is the response to the only poll, after which the next one is far away. Without responses to cancellations, the
/// upstream has no such request and gets none.
pub(super) async fn assert_cancelled_job_is_final(
    case: &ProviderCase,
    server: &TestServer,
    created: &str,
    state: &str,
    replies: &[&str],
) {
    let mut client = server.video_client().await;
    let replies = replies.iter().copied().map(Some).chain(replies.is_empty().then_some(None));
    for reply in replies {
        let submission = case.enqueue(server, "task-1", Create, created);
        let poll = case.enqueue(server, "task-1", Poll, state);
        let id = create(server, &case.body()).await;
        wait_until_rendering(server, &id).await;
        for expected in [submission, poll] {
            assert_eq!(request_line(&server.upstream.received().await), expected);
        }
        let cancellation = reply.map(|reply| case.enqueue(server, "task-1", Cancel, reply));
        let cancelled = server.request(Method::POST, &format!("/v1/videos/{id}/cancel")).send().await.unwrap();
        assert_eq!(cancelled.status(), 200);
        if let Some(cancellation) = cancellation {
            assert_eq!(request_line(&server.upstream.received().await), cancellation);
        }
        let video = client.get_video(pb::GetVideoRequest { id }).await.unwrap().into_inner().video.unwrap();
        assert_eq!(video.state(), pb::video::State::Cancelled);
    }
    server.upstream.assert_no_request().await;
}

/// Asserts that the key is not sent to a link of another origin. `finished` returns the response to a poll with the link. The
/// settings must permit private addresses.
pub(super) async fn assert_foreign_link_gets_no_key(
    case: &ProviderCase,
    server: &TestServer,
    created: &str,
    finished: impl Fn(&str) -> Value,
) {
    // A server of another origin than the provider's API.
    let storage = FakeUpstream::start().await;
    case.enqueue(server, "task-1", Create, created);
    let (_, poll) = case.line(Poll, "task-1");
    let link = storage.url("/clip.mp4?sig=1");
    server.upstream.enqueue_at(&poll, Reply::new(200, &finished(&link).to_string()));
    storage.enqueue_at("/clip.mp4?sig=1", Reply::file("video/mp4", &CLIP));
    let id = create(server, &case.body()).await;
    assert_eq!(wait_until_final(server, &id).await["status"], "completed");
    let file = storage.received().await;
    assert_eq!(file.path, "/clip.mp4?sig=1");
    assert!(!file.head.contains(&case.key.to_lowercase()), "{}", file.head);
    server.upstream.skip_requests(2).await;
}

/// Renders a video over gRPC, and returns the body of the submission. `responses` are the fixtures for the submission and for
/// the only poll.
pub(super) async fn submission_of(
    case: &ProviderCase,
    server: &TestServer,
    responses: [&str; 2],
    request: pb::CreateVideoRequest,
) -> Value {
    let [created, succeeded] = responses;
    for (call, fixture) in [(Create, created), (Poll, succeeded), (File, MP4)] {
        case.enqueue(server, "task-1", call, fixture);
    }
    let request = pb::CreateVideoRequest { prompt: "a boat".to_owned(), ..request };
    let created = server.video_client().await.create_video(request).await.unwrap().into_inner();
    let id = created.video.unwrap().id;
    let video = wait_until_final(server, &id).await;
    assert_eq!(video["status"], "completed", "{video}");
    let submission = server.upstream.received().await;
    assert_eq!(submission.header("content-type"), Some("application/json"));
    server.upstream.skip_requests(2).await;
    submission.json()
}

/// A frame with a link that only the provider understands.
pub(super) fn frame(position: Position, link: &str) -> pb::VideoFrame {
    pb::VideoFrame { image: Some(medium(link)), position: position.into() }
}

/// A reference with a link.
pub(super) fn reference(kind: Kind, link: &str) -> pb::VideoReference {
    pb::VideoReference { media: Some(medium(link)), kind: kind.into() }
}

fn medium(link: &str) -> pb::MediaInput {
    pb::MediaInput { source: Some(pb::media_input::Source::Url(link.to_owned())) }
}
