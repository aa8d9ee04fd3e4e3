//! Streams over TCP from an upstream that the test controls.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::coop::poll_proceed,
    time::{advance, timeout},
};
use triptych_proto::v1 as pb;
use url::Url;

use super::*;
use crate::{
    call::{Call, Chunks},
    chat::{ChatProvider, providers::openai::OpenAiChat},
    context::RequestContext,
    upstream::Timeouts,
};

const MINUTE: Duration = Duration::from_mins(1);
const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";

/// Returns an event of one choice with a text, and with a finish reason unless that is empty.
fn event(index: u32, finish: &str) -> String {
    let finish = if finish.is_empty() { "null".to_owned() } else { format!("\"{finish}\"") };
    format!(
        "data: {{\"choices\":[{{\"index\":{index},\"delta\":{{\"content\":\"a\"}},\"finish_reason\":{finish}}}]}}\n\n"
    )
}

/// Starts a stream with these events; returns it and the upstream's side. Idle timeout one minute, deadline five minutes.
async fn start(events: &str) -> (TcpStream, Chunks<ChatChunk>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = Url::parse(&format!("http://{}/v1", listener.local_addr().unwrap())).unwrap();
    let timeouts = Timeouts { connect: MINUTE, first_byte: MINUTE, idle: MINUTE };
    let provider = OpenAiChat::new(base, None, timeouts).unwrap();
    let call = Call {
        model: "m".to_owned(),
        request: Arc::new(pb::ChatRequest::default()),
        context: RequestContext { deadline: Some(Instant::now() + MINUTE * 5), ..RequestContext::default() },
    };
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        assert_ne!(stream.read(&mut [0; 4096]).await.unwrap(), 0);
        stream.write_all(format!("{HEAD}{events}").as_bytes()).await.unwrap();
        stream
    };
    let (upstream, chunks) = tokio::join!(serve, provider.stream(call, None));
    (upstream, chunks.unwrap())
}

/// Returns the failure of a stream that is closed after these events.
async fn failure_at_end(events: &[String]) -> Option<ProviderError> {
    let (upstream, mut chunks) = start(&events.concat()).await;
    drop(upstream);
    while let Some(chunk) = chunks.next().await {
        if let Err(error) = chunk {
            return Some(error);
        }
    }
    None
}

#[tokio::test]
async fn stream_is_complete_if_every_started_choice_has_a_finish_reason() {
    let (zero, one) = (event(0, ""), event(1, ""));
    let stop = |index| event(index, "stop");
    let done = "data: [DONE]\n\n".to_owned();
    let complete = [
        vec![zero.clone(), stop(0)],
        vec![zero.clone(), one.clone(), stop(1), stop(0)],
        // A chunk after the finish reason does not reopen the choice: OpenRouter sends the usage in one.
        vec![zero.clone(), stop(0), zero.clone(), done.clone()],
        // Choices from 127 on share a bit.
        vec![event(200, ""), stop(127)],
    ];
    for events in complete {
        assert_eq!(failure_at_end(&events).await, None, "{events:#?}");
    }
    let incomplete_streams = [
        vec![zero.clone()],
        vec![zero.clone(), one.clone(), stop(0)],
        vec![zero.clone(), one.clone(), stop(0), done.clone()],
        vec![stop(0), one.clone()],
        vec![zero.clone(), event(127, ""), stop(0)],
    ];
    for events in incomplete_streams {
        assert_eq!(failure_at_end(&events).await, Some(incomplete()), "{events:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn comments_extend_the_idle_timeout() {
    let (mut upstream, mut chunks) = start(&event(0, "")).await;
    assert!(chunks.next().await.unwrap().is_ok());
    for _ in 0..4 {
        advance(MINUTE * 3 / 4).await;
        upstream.write_all(b": keep-alive\n\n").await.unwrap();
        assert!(futures_util::poll!(chunks.next()).is_pending());
    }
    let idle_since = Instant::now();
    assert_eq!(chunks.next().await.unwrap().unwrap_err(), timed_out());
    assert!(idle_since.elapsed() >= MINUTE, "{:?}", idle_since.elapsed());
}

/// Polls the stream once with a task budget for this many reads, none or one.
async fn poll_with_budget(
    chunks: &mut Chunks<ChatChunk>,
    reads: usize,
) -> Poll<Option<Result<ChatChunk, ProviderError>>> {
    poll_fn(|cx| {
        let mut last = None;
        while let Poll::Ready(step) = poll_proceed(cx) {
            if let Some(step) = last.replace(step) {
                step.made_progress();
            }
        }
        // A step without progress returns its budget.
        if let Some(step) = last.filter(|_| reads == 0) {
            step.made_progress();
        }
        Poll::Ready(chunks.as_mut().poll_next(cx))
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn first_poll_with_an_exhausted_budget_still_arms_the_timer() {
    let (_upstream, mut chunks) = start(&event(0, "")).await;
    assert!(chunks.next().await.unwrap().is_ok());
    assert!(poll_with_budget(&mut chunks, 0).await.is_pending());
    // The wake-up of another timer, for example of a short timeout, would hide a missing wake-up of the stream's own timer.
    let idle_since = Instant::now();
    assert_eq!(timeout(MINUTE * 2, chunks.next()).await.unwrap().unwrap().unwrap_err(), timed_out());
    assert!(idle_since.elapsed() < MINUTE * 2, "{:?}", idle_since.elapsed());
}

#[tokio::test(start_paused = true)]
async fn deadline_ends_a_stream_whose_upstream_sends_only_blank_lines_without_pause() {
    let (mut upstream, mut chunks) = start(&event(0, "")).await;
    assert!(chunks.next().await.unwrap().is_ok());
    let flood = vec![b'\n'; 128 << 10];
    upstream.write_all(&flood).await.unwrap();
    for _ in 0..4 {
        assert!(poll_with_budget(&mut chunks, 1).await.is_pending());
        upstream.write_all(&flood[..64 << 10]).await.unwrap();
        advance(MINUTE * 3 / 4).await;
    }
    // Beyond the deadline of five minutes.
    advance(MINUTE * 3 / 4 * 3).await;
    let Poll::Ready(Some(Err(error))) = poll_with_budget(&mut chunks, 1).await else {
        panic!("the stream continues after its deadline")
    };
    assert_eq!(error, timed_out());
}
